"""Which decoder reads which transfer syntax, and the checks before it may: pixel data to integers.

Every decoder comes inside a package with a permissive licence; none is looked for on the system.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from model.errors import PixelDataCause, PixelDataError

StoredArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

MAX_PIXELS = 2**27
"""Rows times columns of the largest image that is decoded: five times the largest mammogram."""

MAX_DECOMPRESSION = 1_000
"""How many times its size compressed pixel data may claim to decode to.

Lossy mammograms come at up to 80 to 1, lossless ones at up to 20 to 1; a code stream that says one
value for a whole image reaches 20,000, and there is nothing to be seen on that.
"""

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    BytesLengthException,
    Image.DecompressionBombError,
    InvalidDicomError,
    struct.error,
    zlib.error,
)
"""What pydicom and the decoders raise on data that are not what their header says.

A crash, a hang and a hunger for memory are the business of `node.analysis.decode`.
"""


def decode(ds: Dataset) -> StoredArray:
    """Decode the one grey frame of a data set, without interpreting its values.

    Parameters
    ----------
    ds
        A data set with file meta information and pixel data.

    Returns
    -------
    stored
        Shape (rows, columns), uint8 or uint16, little endian: each pixel's cell as it is stored,
        so that a signed value is its two's complement, and bits above High Bit are still there.

    Raises
    ------
    PixelDataError
        If pixel data are absent, claim more than is there or than any mammogram has, are not one
        frame of one sample of up to 16 bits, or do not decode. Sizes are checked before anything
        is allocated.

    References
    ----------
    DICOM PS3.3 C.7.6.3 (Image Pixel Module); PS3.5 section 8 and Annex A.
    """
    rows, columns, bits_allocated = _check_header(ds)
    transfer_syntax = UID(str(ds.file_meta.get("TransferSyntaxUID", "")))
    if transfer_syntax in NATIVE:
        return _native(ds, transfer_syntax, (rows, columns), bits_allocated)
    decoder = DECODERS.get(transfer_syntax)
    if decoder is None:
        raise _undecodable(
            "a transfer syntax of a still image that this node decodes",
            f"Transfer Syntax UID (0002,0010) {transfer_syntax} ({transfer_syntax.name})",
            "Have the sender use another transfer syntax",
        )
    _check_decompression(ds, rows * columns * bits_allocated // 8)
    try:
        decoded = decoder(ds)
    except UNREADABLE as error:
        raise _undecodable(
            f"pixel data that decode as {transfer_syntax.name}", f"{type(error).__name__}: {error}"
        ) from error
    if decoded.shape != (rows, columns):
        raise _undecodable(
            f"{rows} rows and {columns} columns, by (0028,0010) and (0028,0011)",
            f"an encoded image of shape {decoded.shape}",
        )
    unsigned: StoredArray = decoded.view(f"u{decoded.dtype.itemsize}")
    return unsigned


def _check_header(ds: Dataset) -> tuple[int, int, int]:
    """Return rows, columns and bits allocated of pixel data that are worth reading."""
    if "PixelData" not in ds:
        raise _undecodable("Pixel Data (7FE0,0010)", "a data set without")
    frames = _integer(ds, "NumberOfFrames", "(0028,0008)", default=1)
    if frames != 1:
        raise PixelDataError(
            expected="one frame",
            found=f"Number of Frames (0028,0008) {frames}",
            cause=PixelDataCause.MULTI_FRAME,
        )
    samples = _integer(ds, "SamplesPerPixel", "(0028,0002)", default=1)
    photometric = str(ds.get("PhotometricInterpretation", ""))
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise PixelDataError(
            expected="MONOCHROME1 or MONOCHROME2 with one sample per pixel",
            found=f"Photometric Interpretation (0028,0004) {photometric!r} with {samples}",
            cause=PixelDataCause.NOT_GREYSCALE,
        )
    rows = _integer(ds, "Rows", "(0028,0010)")
    columns = _integer(ds, "Columns", "(0028,0011)")
    allocated = _integer(ds, "BitsAllocated", "(0028,0100)")
    stored = _integer(ds, "BitsStored", "(0028,0101)")
    high_bit = _integer(ds, "HighBit", "(0028,0102)", default=stored - 1)
    if rows < 1 or columns < 1 or rows * columns > MAX_PIXELS:
        raise _undecodable(
            f"1 to {MAX_PIXELS} pixels",
            f"Rows (0028,0010) {rows} and Columns (0028,0011) {columns}",
        )
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high_bit != stored - 1:
        raise _undecodable(
            "8 or 16 bits allocated, of which the lowest 1 to 16 are used",
            f"Bits Allocated (0028,0100) {allocated}, Bits Stored (0028,0101) {stored}, "
            f"High Bit (0028,0102) {high_bit}",
        )
    return rows, columns, allocated


def _check_decompression(ds: Dataset, claimed_bytes: int) -> None:
    """Refuse, before any decoder runs, what claims far more pixels than its bytes can hold."""
    there_bytes = len(ds.PixelData or b"")
    if claimed_bytes > MAX_DECOMPRESSION * there_bytes:
        raise _undecodable(
            f"compressed Pixel Data (7FE0,0010) of at least 1/{MAX_DECOMPRESSION} of the "
            f"{claimed_bytes} bytes that Rows, Columns and Bits Allocated claim",
            f"{there_bytes} bytes",
        )


def _integer(ds: Dataset, keyword: str, tag: str, *, default: int | None = None) -> int:
    """Read an attribute that must be one whole number."""
    value = ds.get(keyword)
    if value is None or value == "":
        if default is not None:
            return default
        raise _undecodable(f"{keyword} {tag}", "a data set without")
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise _undecodable(f"one whole number in {keyword} {tag}", repr(value)[:64]) from error


def _native(
    ds: Dataset, transfer_syntax: UID, shape: tuple[int, int], bits_allocated: int
) -> StoredArray:
    """View uncompressed pixel data as an array, without a copy where the byte order allows it."""
    data = ds.PixelData
    cell_bytes = bits_allocated // 8
    expected = shape[0] * shape[1] * cell_bytes
    # PS3.5 8.1.1: a value of odd length ends with one byte of padding.
    if not isinstance(data, bytes) or len(data) not in (expected, expected + expected % 2):
        raise _undecodable(
            f"{expected} bytes of Pixel Data (7FE0,0010) for {shape[0]} rows and {shape[1]} "
            f"columns of {bits_allocated} bits",
            f"{len(data or b'')} bytes",
        )
    is_big_endian = transfer_syntax == ExplicitVRBigEndian
    if cell_bytes == 1 and is_big_endian and ds["PixelData"].VR == "OW":
        # PS3.5 8.1.1: as OW, two cells of 8 bits share a word, and the word is swapped.
        words = np.frombuffer(data, ">u2")
        swapped: StoredArray = words.astype("<u2").view(np.uint8)[:expected].reshape(shape)
        return swapped
    stored = np.frombuffer(
        data, f"{'>' if is_big_endian else '<'}u{cell_bytes}", shape[0] * shape[1]
    )
    native: StoredArray = stored.reshape(shape).astype(f"<u{cell_bytes}", copy=False)
    return native


def _with_pydicom(plugin: str) -> Callable[[Dataset], npt.NDArray[np.generic]]:
    """Decode with one of pydicom's plugins and no other."""

    def decoder(ds: Dataset) -> npt.NDArray[np.generic]:
        transfer_syntax = UID(ds.file_meta.TransferSyntaxUID)
        pixels, _ = get_decoder(transfer_syntax).as_array(
            ds, raw=True, index=0, decoding_plugin=plugin
        )
        return np.ascontiguousarray(pixels)

    return decoder


def _rle(ds: Dataset) -> npt.NDArray[np.generic]:
    """Decode RLE (PS3.5 Annex G) with Pillow's PackBits, six times faster than pydicom's loop.

    PS3.5 G.3.1 wants every row encoded by itself, and Pillow relies on it: a run that crosses rows
    is left to pydicom.
    """
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    count, *offsets = struct.unpack("<16L", frame[:64])
    cell_bytes = ds.BitsAllocated // 8
    if count != cell_bytes:
        message = f"{count} RLE segments where {cell_bytes} are needed"
        raise ValueError(message)
    planes = np.empty((ds.Rows, ds.Columns, cell_bytes), np.uint8)
    ends = [*offsets[1:count], len(frame)]
    try:
        for index, (start, end) in enumerate(zip(offsets[:count], ends, strict=True)):
            plane = Image.frombytes("L", (ds.Columns, ds.Rows), frame[start:end], "packbits", "L")
            # PS3.5 G.2: the most significant byte of each cell comes first.
            planes[..., cell_bytes - 1 - index] = np.asarray(plane)
    except (OSError, ValueError):
        return _with_pydicom("pydicom")(ds)
    cells: npt.NDArray[np.generic] = planes.view(f"<u{cell_bytes}")[..., 0]
    return cells


def _jpeg_extended(ds: Dataset) -> npt.NDArray[np.generic]:
    """Decode JPEG Extended of 8 or 12 bits with GDCM, which pydicom trusts for 8 bits only."""
    if ds.BitsStored <= 8:
        return _with_pydicom("gdcm")(ds)
    import gdcm  # after pydicom: it brings a zlib that must not come before Python's

    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((ds.Columns, ds.Rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, ds.BitsStored, ds.HighBit, ds.PixelRepresentation))
    data = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(data, "<u2").reshape(ds.Rows, ds.Columns)


DECODERS: Mapping[str, Callable[[Dataset], npt.NDArray[np.generic]]] = MappingProxyType(
    {
        RLELossless: _rle,
        JPEGBaseline8Bit: _with_pydicom("gdcm"),
        JPEGExtended12Bit: _jpeg_extended,
        JPEGLossless: _with_pydicom("gdcm"),
        JPEGLosslessSV1: _with_pydicom("gdcm"),
        JPEGLSLossless: _with_pydicom("pyjpegls"),
        JPEGLSNearLossless: _with_pydicom("pyjpegls"),
        JPEG2000Lossless: _with_pydicom("pillow"),
        JPEG2000: _with_pydicom("pillow"),
    }
)
"""The decoder of each compressed transfer syntax; the fastest of those that gave every pixel."""


def _undecodable(expected: str, found: str, to_do: str = "") -> PixelDataError:
    """Build the error of pixel data that cannot be read."""
    return PixelDataError(
        expected=expected, found=found, to_do=to_do, cause=PixelDataCause.UNDECODABLE
    )
