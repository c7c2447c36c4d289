"""Whole or not: every way of writing a data set is read, every way of cutting one is noticed."""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from node import header
from node.errors import RejectedInstance
from node.header import (
    MAX_DEPTH,
    MAX_HEADER_VALUE_BYTES,
    dataset_offset,
    read_header,
    text_of,
)
from phantoms import ENCODABLE, film, mammogram, to_bytes, write
from reliability.mutations import nested

PRIVATE_LONG = 0x00091001


def phantom(transfer_syntax: str = ExplicitVRLittleEndian) -> Dataset:
    eight_bit = transfer_syntax in (JPEGBaseline8Bit, JPEGExtended12Bit)
    return mammogram(
        rows=64, columns=48, bits_stored=8 if eight_bit else 12, transfer_syntax=transfer_syntax
    )


def header_of(path: Path, transfer_syntax: str, *, limit: int = 10**8) -> Dataset:
    return read_header(
        path,
        transfer_syntax_uid=transfer_syntax,
        dataset_offset=dataset_offset(path),
        max_dataset_bytes=limit,
    )


@pytest.mark.parametrize("transfer_syntax", ENCODABLE)
def test_the_header_is_read_in_every_transfer_syntax(tmp_path: Path, transfer_syntax: str) -> None:
    ds = phantom(transfer_syntax)
    path = write(ds, tmp_path)

    header = header_of(path, transfer_syntax)

    assert header.SOPInstanceUID == ds.SOPInstanceUID
    assert header.ViewCodeSequence[0].CodeValue == ds.ViewCodeSequence[0].CodeValue
    assert "PixelData" not in header


@pytest.mark.parametrize(
    "transfer_syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    ],
)
def test_a_data_set_that_was_cut_anywhere_is_noticed(tmp_path: Path, transfer_syntax: str) -> None:
    """Only a cut between two elements of the outermost level makes another whole data set."""
    ds = phantom(transfer_syntax)
    path = write(ds, tmp_path)
    whole = path.read_bytes()
    offset = dataset_offset(path)
    step = max(1, (len(whole) - offset) // 150)

    unnoticed = []
    for length in range(offset + 1, len(whole), step):
        path.write_bytes(whole[:length])
        try:
            header_of(path, transfer_syntax)
        except RejectedInstance:
            continue
        unnoticed.append(length)

    ends = {len(to_bytes(_first_elements(ds, count))) for count in range(1, len(ds) + 1)}
    assert set(unnoticed) <= ends if not _is_deflated(transfer_syntax) else unnoticed == []


def _is_deflated(transfer_syntax: str) -> bool:
    return transfer_syntax == DeflatedExplicitVRLittleEndian


def _first_elements(ds: Dataset, count: int) -> Dataset:
    part = Dataset()
    for element in list(ds)[:count]:
        part.add(element)
    part.SOPClassUID, part.SOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    part.file_meta = ds.file_meta
    return part


@pytest.mark.parametrize(
    "content", [b"", b"not a data set at all, but a letter", b"\xff" * 64, b"\x08\x00\x16\x00UI"]
)
def test_what_is_no_data_set_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "received"
    path.write_bytes(content)

    if content:
        with pytest.raises(RejectedInstance) as caught:
            read_header(
                path,
                transfer_syntax_uid=ExplicitVRLittleEndian,
                dataset_offset=0,
                max_dataset_bytes=10**8,
            )
        assert caught.value.status == 0xC000
    else:  # nothing is a data set without elements; its UIDs will be missed
        header = read_header(
            path,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            dataset_offset=0,
            max_dataset_bytes=10**8,
        )
        assert len(header) == 0


def test_a_deflated_data_set_may_not_grow_beyond_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    element = b"\xe0\x7f\x10\x00OW\x00\x00" + struct.pack("<L", 50_000_000)
    path.write_bytes(deflater.compress(element + bytes(50_000_000)) + deflater.flush())

    with pytest.raises(RejectedInstance, match="inflates to more than"):
        read_header(
            path,
            transfer_syntax_uid=DeflatedExplicitVRLittleEndian,
            dataset_offset=0,
            max_dataset_bytes=10_000_000,
        )


def test_a_long_value_is_left_in_the_file(tmp_path: Path) -> None:
    ds = phantom()
    ds.add_new(PRIVATE_LONG, "UN", bytes(MAX_HEADER_VALUE_BYTES + 2))
    path = write(ds, tmp_path)

    header = header_of(path, ExplicitVRLittleEndian)

    assert PRIVATE_LONG not in header
    assert header.StudyInstanceUID == ds.StudyInstanceUID


def test_several_luts_of_sixteen_bits_are_read(tmp_path: Path) -> None:
    ds = phantom()
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [0, 0, 16])
    lut.add_new("LUTData", "OW", bytes(2 * 65536))
    ds.VOILUTSequence = [lut] * 4
    path = write(ds, tmp_path)

    header = header_of(path, ExplicitVRLittleEndian)

    assert [len(item.LUTData) for item in header.VOILUTSequence] == [2 * 65536] * 4


def test_sequences_may_not_be_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / "nested"
    begin = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(begin * (MAX_DEPTH + 1))

    with pytest.raises(RejectedInstance, match="nested"):
        read_header(
            path,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            dataset_offset=0,
            max_dataset_bytes=10**8,
        )


def test_elements_without_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_bytes(b"\x09\x00\x01\x10LO\x00\x00" * 300_000)

    with pytest.raises(RejectedInstance, match="more than 200000 elements"):
        read_header(
            path,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            dataset_offset=0,
            max_dataset_bytes=10**8,
        )


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (b"", b""),
        # One sequence of undefined length: its values are read whatever their length.
        (
            b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff",
            b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00",
        ),
    ],
)
def test_a_header_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes, end: bytes
) -> None:
    monkeypatch.setattr(header, "MAX_HEADER_BYTES", 10_000)
    path = tmp_path / "long"
    value = b"\x09\x00\x01\x10LT" + (1000).to_bytes(2, "little") + b"x" * 1000

    def read(count: int) -> Dataset:
        path.write_bytes(begin + value * count + end)
        return read_header(
            path,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            dataset_offset=0,
            max_dataset_bytes=10**8,
        )

    assert read(9)
    with pytest.raises(RejectedInstance, match="more than 10000 bytes before the pixel data"):
        read(11)


def test_a_film_is_read_as_a_mammogram_is(tmp_path: Path) -> None:
    path = write(film(rows=64, columns=48), tmp_path)

    header = header_of(path, ExplicitVRLittleEndian)

    assert header.Modality == "MG"


def test_the_offset_is_where_pydicom_finds_the_data_set(tmp_path: Path) -> None:
    ds = phantom()
    path = write(ds, tmp_path)

    first = next(iter(dcmread(path)))

    assert path.read_bytes()[dataset_offset(path) :][:2] == struct.pack("<H", first.tag.group)


def test_a_value_that_cannot_be_read_is_no_text() -> None:
    ds = phantom()
    # Three bytes of a value whose numbers have two.
    ds["SamplesPerPixel"] = RawDataElement(BaseTag(0x00280002), "US", 3, b"\1\0\0", 0, False, True)

    assert text_of(ds, "SamplesPerPixel") == ""
    assert text_of(ds, "Modality") == "MG"


def test_a_data_set_that_inflates_without_end_is_refused_before_it_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header, "ALWAYS_INFLATED_BYTES", 10_000)
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path = tmp_path / "bomb"
    path.write_bytes(deflater.compress(bytes(50 * 1024**2)) + deflater.flush())

    with pytest.raises(RejectedInstance, match="more than 100 times its size"):
        read_header(
            path,
            transfer_syntax_uid=DeflatedExplicitVRLittleEndian,
            dataset_offset=0,
            max_dataset_bytes=10**9,
        )


def test_a_header_that_pydicom_cannot_read_is_refused_for_what_it_is(tmp_path: Path) -> None:
    ds = phantom()
    ds.SpecificCharacterSet = "ISO_IR 192"
    path = tmp_path / "broken"
    path.write_bytes(to_bytes(ds).replace(b"\x08\0\x05\0CS", b"\x08\0\x05\0ZZ"))

    with pytest.raises(RejectedInstance, match="the header cannot be read"):
        header_of(path, ExplicitVRLittleEndian)


NESTED_IN: dict[str, tuple[str, Callable[..., bytes]]] = {
    "little endian": (ExplicitVRLittleEndian, nested),
    "big endian": (ExplicitVRBigEndian, partial(nested, order=">")),
    "implicit VR": (ImplicitVRLittleEndian, partial(nested, vr=b"")),
    "unknown VR": (ExplicitVRLittleEndian, partial(nested, vr=b"UN")),
}


def read_nested(path: Path, transfer_syntax: str, content: bytes) -> Dataset:
    path.write_bytes(content)
    return read_header(path, transfer_syntax_uid=transfer_syntax, dataset_offset=0)


@pytest.mark.parametrize("name", NESTED_IN)
def test_sequences_of_known_length_may_not_be_nested_without_end_either(
    tmp_path: Path, name: str
) -> None:
    transfer_syntax, encode = NESTED_IN[name]
    path = tmp_path / "nested"

    assert len(read_nested(path, transfer_syntax, encode(MAX_DEPTH, is_defined=True))) == 1
    for depth in (MAX_DEPTH + 1, 3000):
        with pytest.raises(RejectedInstance, match="nested more than 32 deep") as caught:
            read_nested(path, transfer_syntax, encode(depth, is_defined=True))
        assert caught.value.status == 0xC000


def test_depth_counts_through_known_and_unknown_lengths_alike(tmp_path: Path) -> None:
    outer = nested(MAX_DEPTH, is_defined=True, content=nested(1))

    with pytest.raises(RejectedInstance, match="nested"):
        read_nested(tmp_path / "nested", ExplicitVRLittleEndian, outer)
    with pytest.raises(RejectedInstance, match="nested"):
        read_nested(
            tmp_path / "nested",
            ExplicitVRLittleEndian,
            nested(MAX_DEPTH, content=nested(1, is_defined=True)),
        )


def test_elements_within_sequences_of_known_length_are_counted(tmp_path: Path) -> None:
    many = nested(1, is_defined=True, content=b"\x09\x00\x01\x10LO\x00\x00" * 300_000)

    with pytest.raises(RejectedInstance, match="more than 200000 elements"):
        read_nested(tmp_path / "many", ExplicitVRLittleEndian, many)


def test_what_is_wrong_in_a_sequence_of_known_length_is_no_reason_to_refuse(
    tmp_path: Path,
) -> None:
    for content in (b"\xff" * 20, b"\x08\x00", b"\xfe\xff\x0d\xe0\0\0\0\0", nested(1)[:-4]):
        header = read_nested(
            tmp_path / "odd",
            ExplicitVRLittleEndian,
            nested(1, is_defined=True, content=content) + b"\x54\x00\x01\x10LO\x02\x00ab",
        )

        assert header[0x00541001].value == "ab"
