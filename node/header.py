"""The data set as it came: whole or not, and what its header says. No pixel is touched.

pydicom reads a truncated file without complaint, so the structure is walked from its first element
to its last byte (PS3.5 7.1, 7.5, A.4), skipping every value. Memory stays flat however large the
object is, deflated ones included: they are inflated to a temporary file first. A sequence of known
length is entered for its depth and its elements alone: what is wrong inside is no reason to refuse,
for the walk finds its end all the same.
"""

import hashlib
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from model.attributes import VALUE_ERRORS, value_of
from node.errors import RejectedInstance

CANNOT_UNDERSTAND = 0xC000
"""PS3.4 B.2.3, Error: Cannot Understand."""

MAX_ELEMENTS = 200_000
"""More elements than that are an attack on our time, not an image."""
MAX_DEPTH = 32
"""Of sequences in sequences, whether their lengths are known or not: whoever reads, compares or
copies a data set does so recursively."""
MAX_HEADER_BYTES = 256 * 1024**2
"""Of all that is read into memory before the pixel data: many values that are each short enough."""
MAX_HEADER_VALUE_BYTES = 1024**2
"""Longer values are not read into memory; a few VOI LUTs of 16 bits are the longest that is asked
of a header."""
INFLATE_IN_MEMORY_BYTES = 16 * 1024**2
MAX_INFLATION = 100
"""How many times its size a deflated data set may inflate to; what is made to fill a disk reaches
1,000."""
ALWAYS_INFLATED_BYTES = 256 * 1024**2
"""Up to here the ratio does not count: the largest image that is analysed may be all air."""

_ISO_2022_IR_58 = "\x1b$)A"
"""PS3.3 table C.12-4, K.2 of PS3.5."""
_META_LENGTH_END = 144
"""Preamble, prefix, and (0002,0000) with its value."""
_PIXEL_DATA_GROUP = 0x7FE0
_ITEM = (0xFFFE, 0xE000)
_ITEM_END = (0xFFFE, 0xE00D)
_SEQUENCE_END = (0xFFFE, 0xE0DD)
_UNDEFINED = 0xFFFFFFFF
_ITEM_HEAD_BYTES = 8
_LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_CHUNK_BYTES = 1024**2


def read_header(
    path: Path,
    *,
    transfer_syntax_uid: str,
    dataset_offset: int,
    max_dataset_bytes: int | None = None,
) -> Dataset:
    """Check that a data set is whole, and read what stands before its pixels.

    Parameters
    ----------
    path
        A file of the store, or one that has just been received.
    transfer_syntax_uid
        Of its data set.
    dataset_offset
        Where in the file the data set begins: after the file meta information, in bytes.
    max_dataset_bytes
        What a deflated data set may grow to; None: ``MAX_INFLATION`` alone counts.

    Returns
    -------
    header
        All elements before the pixel data whose value is ``MAX_HEADER_VALUE_BYTES`` at the most.

    Raises
    ------
    RejectedInstance
        With status 0xC000, if the file holds no data set, or only the beginning of one.
    """
    syntax = UID(transfer_syntax_uid)
    with path.open("rb") as file:
        file.seek(dataset_offset)
        if not syntax.is_deflated:
            return _read(file, syntax)
        with tempfile.SpooledTemporaryFile(
            INFLATE_IN_MEMORY_BYTES, dir=str(path.parent)
        ) as inflated:
            _inflate(file, inflated, max_dataset_bytes)
            inflated.seek(0)
            return _read(inflated, syntax)


def read_message(encoded: IO[bytes], *, transfer_syntax_uid: str) -> Dataset:
    """Check that a data set in memory is whole, and read it; that of a message that stores nothing.

    Parameters
    ----------
    encoded
        As it came, from its first byte.
    transfer_syntax_uid
        Not a deflated one.

    Raises
    ------
    RejectedInstance
        With status 0xC000, if it is no data set, or only the beginning of one.
    """
    encoded.seek(0)
    return _read(encoded, UID(transfer_syntax_uid))


def dataset_offset(path: Path) -> int:
    """Return where the data set of a stored file begins, in bytes (PS3.10 7.1).

    Raises
    ------
    RejectedInstance
        If the file does not begin as every file of the store does.
    """
    with path.open("rb") as file:
        head = file.read(_META_LENGTH_END)
    if head[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00" or len(head) < _META_LENGTH_END:
        raise _rejected("the file does not begin with File Meta Information Group Length")
    (length,) = struct.unpack_from("<L", head, 140)
    return _META_LENGTH_END + int(length)


def sha256_from(path: Path, offset: int) -> str:
    """Return the SHA-256 of what a file holds from a byte on, in hexadecimal."""
    with path.open("rb") as file:
        file.seek(offset)
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_of(ds: Dataset, keyword: str) -> str:
    """Give an attribute as text, empty if it is missing or cannot be read.

    What is not needed to file an instance must not be a reason to refuse it.
    """
    value = value_of(ds, keyword)
    return "" if value is None else plain(str(value))


def plain(text: str) -> str:
    """Take away what is around a value, and the escape sequence that pydicom leaves in Chinese."""
    return text.replace(_ISO_2022_IR_58, "").replace("\x00", "").strip()


def _read(file: IO[bytes], syntax: UID) -> Dataset:
    start = file.tell()
    end = file.seek(0, 2)
    file.seek(start)
    encoding = _Encoding(
        is_implicit_vr=syntax.is_implicit_VR, byte_order="<" if syntax.is_little_endian else ">"
    )
    _Walk(file, end).elements(end, encoding, depth=0)
    file.seek(start)
    try:
        header = read_dataset(
            file,  # type: ignore[arg-type]  # pydicom wants BinaryIO where any binary file will do
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            stop_when=_is_pixel_data,
            defer_size=MAX_HEADER_VALUE_BYTES,
        )
    except VALUE_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk: to be tried again
        raise _rejected(f"the header cannot be read: {type(error).__name__}") from error
    for tag in list(header.keys()):
        raw = header.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement) and raw.value is None and raw.length > 0:
            del header[tag]  # deferred: its value stands in the file only
    return header


def _is_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group >= _PIXEL_DATA_GROUP


def _inflate(source: IO[bytes], target: IO[bytes], max_bytes: int | None) -> None:
    """Inflate a Deflated Explicit VR Little Endian data set (PS3.5 A.5), up to a limit."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    begin, size = source.tell(), 0
    try:
        while not inflater.eof and (chunk := inflater.unconsumed_tail or source.read(_CHUNK_BYTES)):
            piece = inflater.decompress(chunk, _CHUNK_BYTES)
            size += target.write(piece)
            if max_bytes is not None and size > max_bytes:
                raise _rejected(f"inflates to more than the {max_bytes} bytes that are taken")
            taken = source.tell() - begin
            if size > max(ALWAYS_INFLATED_BYTES, MAX_INFLATION * taken):
                raise _rejected(f"inflates to more than {MAX_INFLATION} times its size")
    except zlib.error as error:
        raise _rejected("expected a deflated data set, found something else") from error
    if not inflater.eof:
        raise _rejected("the deflated data set ends before its end")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoding:
    is_implicit_vr: bool
    byte_order: str


_UN_SEQUENCE = _Encoding(is_implicit_vr=True, byte_order="<")
"""Of a sequence with undefined length under VR UN, PS3.5 6.2.2 note 2."""


class _Walk:
    """One pass over the structure of a data set, from element to element."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file = file
        self._end = end
        self._position = file.tell()
        self._element_count = 0
        self._header_bytes = 0

    def elements(self, end: int, encoding: _Encoding, *, depth: int, is_open: bool = False) -> None:
        """Walk until `end`, or in an item of undefined length (`is_open`) until its delimiter."""
        while self._position < end:
            tag, vr, length = self._element_head(encoding)
            if tag == _ITEM_END and is_open:
                return
            if tag[0] == _ITEM[0]:
                raise _broken(f"expected an element at byte {self._position}, found an item")
            begin = self._position
            inner = _UN_SEQUENCE if vr == b"UN" else encoding
            if length != _UNDEFINED:
                if tag[0] != _PIXEL_DATA_GROUP and self._may_be_sequence(vr, length, inner):
                    self._look_inside(length, tag, partial(self._items, inner, depth=depth + 1))
                else:
                    self._skip(length, tag)
            elif tag[0] == _PIXEL_DATA_GROUP:
                self._fragments(encoding)
            else:
                self._items(inner, self._end, depth=depth + 1, is_open=True)
            is_left_in_file = MAX_HEADER_VALUE_BYTES < length < _UNDEFINED
            if depth == 0 and tag[0] < _PIXEL_DATA_GROUP and not is_left_in_file:
                self._count_header(self._position - begin)
        if is_open:
            raise _broken("the data set ends inside a sequence")

    def _may_be_sequence(self, vr: bytes, length: int, encoding: _Encoding) -> bool:
        """Say whether a value of known length is a sequence, or begins as one where no VR tells."""
        if vr == b"SQ":
            return True
        if vr not in (b"", b"UN") or length < _ITEM_HEAD_BYTES:
            return False
        tag = self._file.read(4)
        self._file.seek(self._position)
        return tag == struct.pack(f"{encoding.byte_order}HH", *_ITEM)

    def _look_inside(self, length: int, tag: tuple[int, int], walk: Callable[[int], None]) -> None:
        """Hold what lies within a known length to the limits alone, and go on behind it."""
        begin, outer_end = self._position, self._end
        self._skip(length, tag)
        behind = self._position
        self._position, self._end = self._file.seek(begin), behind
        try:
            walk(behind)
        except _BrokenStructure:
            pass  # nobody is asked for what is inside; where it ends is known
        finally:
            self._position, self._end = self._file.seek(behind), outer_end

    def _count_header(self, size_bytes: int) -> None:
        self._header_bytes += size_bytes
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _rejected(f"more than {MAX_HEADER_BYTES} bytes before the pixel data")

    def _items(self, encoding: _Encoding, end: int, *, depth: int, is_open: bool = False) -> None:
        """Walk the items of a sequence until `end`, or until its delimiter (`is_open`)."""
        if depth > MAX_DEPTH:
            raise _rejected(f"sequences are nested more than {MAX_DEPTH} deep")
        while is_open or self._position < end:
            tag, length = self._item_head(encoding)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _broken(f"expected an item at byte {self._position}")
            if length == _UNDEFINED:
                self.elements(self._end, encoding, depth=depth, is_open=True)
            else:
                walk = partial(self.elements, encoding=encoding, depth=depth)
                self._look_inside(length, tag, walk)

    def _fragments(self, encoding: _Encoding) -> None:
        """Walk encapsulated pixel data, PS3.5 A.4."""
        while True:
            tag, length = self._item_head(encoding)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM or length == _UNDEFINED:
                raise _broken(f"expected a fragment of pixel data at byte {self._position}")
            self._skip(length, tag)

    def _element_head(self, encoding: _Encoding) -> tuple[tuple[int, int], bytes, int]:
        """Read tag, VR and length of an element; the VR is empty where it is implicit."""
        self._element_count += 1
        if self._element_count > MAX_ELEMENTS:
            raise _rejected(f"more than {MAX_ELEMENTS} elements")
        head = self._take(8)
        order = encoding.byte_order
        group, element = struct.unpack_from(f"{order}HH", head)
        vr = head[4:6]
        # Delimiters have no VR; and some writers fall back to implicit VR halfway.
        if encoding.is_implicit_vr or group == _ITEM[0] or not (vr.isalpha() and vr.isupper()):
            (length,) = struct.unpack_from(f"{order}L", head, 4)
            return (group, element), b"", length
        if vr in _LONG_VRS:
            (length,) = struct.unpack(f"{order}L", self._take(4))
        else:
            (length,) = struct.unpack_from(f"{order}H", head, 6)
        return (group, element), vr, length

    def _item_head(self, encoding: _Encoding) -> tuple[tuple[int, int], int]:
        group, element, length = struct.unpack(f"{encoding.byte_order}HHL", self._take(8))
        self._element_count += 1
        if self._element_count > MAX_ELEMENTS:
            raise _rejected(f"more than {MAX_ELEMENTS} elements and items")
        return (group, element), length

    def _take(self, count: int) -> bytes:
        taken = self._file.read(count)
        if len(taken) < count:
            raise _broken(f"the data set ends inside the element at byte {self._position}")
        self._position += count
        return taken

    def _skip(self, length: int, tag: tuple[int, int]) -> None:
        if self._position + length > self._end:
            raise _broken(
                f"({tag[0]:04X},{tag[1]:04X}) claims {length} bytes, "
                f"{self._end - self._position} are there"
            )
        self._position = self._file.seek(length, 1)


class _BrokenStructure(RejectedInstance):
    """Bytes that are no data set, and not too much of one."""


def _broken(reason: str) -> _BrokenStructure:
    return _BrokenStructure(status=CANNOT_UNDERSTAND, reason=reason)


def _rejected(reason: str) -> RejectedInstance:
    return RejectedInstance(status=CANNOT_UNDERSTAND, reason=reason)
