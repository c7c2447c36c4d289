"""From the stored pixels of a data set to what a reader would see: air 0, white 1.

Every step is a function of the stored value alone, so that the whole chain is worked out once for
each of the 256 or 65,536 values a cell can hold, and the image is one look-up in that table.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from model.decoders import StoredArray, decode
from model.errors import PixelDataCause, PixelDataError

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
UInt16Array = npt.NDArray[np.uint16]

# Rows that are looked up at a time: few enough that numpy's widened indices stay in the cache,
# three times as fast as all at once.
_ROWS_AT_A_TIME = 64


def read_display(ds: Dataset) -> Float32Array:
    """Decode a mammogram and apply what its header says about display.

    In this order: bits above High Bit are cut off; modality LUT (sequence, else rescale); VOI LUT;
    inversion; padding becomes air.

    Where several VOI transformations are offered, the first item of VOI LUT Sequence (0028,3010) is
    taken, else the first pair of Window Center (0028,1050) and Window Width (0028,1051) that the
    standard allows: manufacturers put their default first. Without any, the range of the values
    that are not padding fills [0, 1].

    The values are inverted, once, for MONOCHROME1 or for a Presentation LUT Shape (2050,0020) of
    INVERSE; a mammogram that says both means the same by them.

    Parameters
    ----------
    ds
        A data set with file meta information and pixel data.

    Returns
    -------
    display
        Shape (rows, columns), values in [0, 1]; air and padding are 0.

    Raises
    ------
    PixelDataError
        With the cause: pixel data that do not decode (see `model.decoders.decode`), have more than
        one frame, are not grey or are all zero, or transformations that cannot be carried out.

    References
    ----------
    DICOM PS3.3 C.7.5.1.1.2 (Pixel Padding), C.7.6.3 (Image Pixel), C.11.1 (Modality LUT),
    C.11.2 (VOI LUT), C.11.6 and C.8.11.3.1.2 (Presentation LUT Shape); PS3.4 N.2 (their order).
    """
    stored = decode(ds)
    cell_values = np.arange(2 ** (8 * stored.dtype.itemsize))
    values = _stored_values(cell_values, ds)
    occurs = np.zeros(cell_values.size, np.bool_)
    occurs[stored] = True
    if not values[occurs].any():
        raise PixelDataError(
            expected="pixels", found="every stored value is 0", cause=PixelDataCause.ALL_ZERO
        )
    is_padding = _padding(values, ds)
    modality = _modality_lut(values, ds)
    shown = modality[occurs & ~is_padding]
    if shown.size == 0:
        raise PixelDataError(
            expected="pixels beside the padding", found="padding alone",
            cause=PixelDataCause.ALL_ZERO,
        )  # fmt: skip
    table = _voi_lut(modality, ds, lowest=float(shown.min()), highest=float(shown.max()))
    if is_inverted(ds):
        table = 1.0 - table
    table[is_padding] = 0.0
    return _look_up(table.astype(np.float32), stored)


def _look_up(table: Float32Array, stored: StoredArray) -> Float32Array:
    """Replace each cell by its entry of the table."""
    display = np.empty(stored.shape, np.float32)
    for start in range(0, stored.shape[0], _ROWS_AT_A_TIME):
        rows = slice(start, start + _ROWS_AT_A_TIME)
        np.take(table, stored[rows], out=display[rows], mode="clip")
    return display


def _stored_values(cells: npt.NDArray[np.int64], ds: Dataset) -> npt.NDArray[np.int64]:
    """Read cells as numbers of Bits Stored bits, signed where Pixel Representation says so."""
    bits = int(ds.BitsStored)
    values: npt.NDArray[np.int64] = cells & (2**bits - 1)
    if _is_signed(ds):
        values = np.where(values >= 2 ** (bits - 1), values - 2**bits, values)
    return values


def _is_signed(ds: Dataset) -> bool:
    """Pixel Representation (0028,0103): 1 is two's complement."""
    return bool(ds.get("PixelRepresentation") == 1)


def _padding(values: npt.NDArray[np.int64], ds: Dataset) -> BoolArray:
    """Return which stored values are padding: Pixel Padding Value, or the range up to its limit."""
    padding = _numbers(ds, "PixelPaddingValue")
    if not padding:
        return np.zeros(values.shape, np.bool_)
    limit = _numbers(ds, "PixelPaddingRangeLimit")
    # Compared modulo the bits stored: the value representation is often that of the other sign.
    ends = [
        _stored_values(np.array([int(end)]), ds)[0] for end in (padding[0], (limit or padding)[0])
    ]
    is_padding: BoolArray = (values >= min(ends)) & (values <= max(ends))
    return is_padding


def _modality_lut(values: npt.NDArray[np.int64], ds: Dataset) -> Float64Array:
    """Apply the Modality LUT Sequence, else rescale, else leave the values: PS3.3 C.11.1."""
    sequence = ds.get("ModalityLUTSequence")
    if sequence:
        entries, first, _ = _lut(sequence[0], is_signed=_is_signed(ds))
        return entries[np.clip(values - first, 0, entries.size - 1)]
    slope = _numbers(ds, "RescaleSlope") or [1.0]
    intercept = _numbers(ds, "RescaleIntercept") or [0.0]
    if slope[0] == 0.0:
        raise _unusable("a Rescale Slope (0028,1053) other than 0", "0")
    rescaled: Float64Array = values.astype(np.float64) * slope[0] + intercept[0]
    return rescaled


def _voi_lut(values: Float64Array, ds: Dataset, *, lowest: float, highest: float) -> Float64Array:
    """Apply the VOI transformation that is chosen, else stretch the range: PS3.3 C.11.2."""
    sequence = ds.get("VOILUTSequence")
    if sequence:
        entries, first, bits = _lut(sequence[0], is_signed=lowest < 0)
        index = np.clip(np.round(values) - first, 0, entries.size - 1).astype(np.int64)
        shown: Float64Array = entries[index] / max(2**bits - 1, entries.max())
        return shown
    function = str(ds.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in _WINDOWS:
        raise _unusable(f"a VOI LUT Function (0028,1056) of {', '.join(_WINDOWS)}", function[:16])
    least_width, window = _WINDOWS[function]
    for center, width in zip(
        _numbers(ds, "WindowCenter"), _numbers(ds, "WindowWidth"), strict=False
    ):
        if width >= least_width and width > 0:
            return window(values, center, width)
    if highest <= lowest:
        return np.zeros_like(values)
    return np.clip((values - lowest) / (highest - lowest), 0.0, 1.0)


def _linear(values: Float64Array, center: float, width: float) -> Float64Array:
    """PS3.3 C.11.2.1.2.1: half a step of the values lies on either side of the window."""
    if width == 1:
        return np.where(values <= center - 0.5, 0.0, 1.0)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _linear_exact(values: Float64Array, center: float, width: float) -> Float64Array:
    """PS3.3 C.11.2.1.3.2."""
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _sigmoid(values: Float64Array, center: float, width: float) -> Float64Array:
    """PS3.3 C.11.2.1.3.1; the exponent is held where a float's range ends."""
    exponent = np.clip(-4.0 * (values - center) / width, -500.0, 500.0)
    return 1.0 / (1.0 + np.exp(exponent))


_WINDOWS: dict[str, tuple[float, Callable[[Float64Array, float, float], Float64Array]]] = {
    "LINEAR": (1.0, _linear),
    "LINEAR_EXACT": (0.0, _linear_exact),
    "SIGMOID": (0.0, _sigmoid),
}
"""VOI LUT Function (0028,1056): the least Window Width that it allows, and what it does."""


def is_inverted(ds: Dataset) -> bool:
    """Whether the lowest value is to be shown white, by either attribute that can say so."""
    return (
        ds.PhotometricInterpretation == "MONOCHROME1"
        or str(ds.get("PresentationLUTShape", "")).strip().upper() == "INVERSE"
    )


def _lut(item: Dataset, *, is_signed: bool) -> tuple[Float64Array, int, int]:
    """Read a LUT: its entries, the value that the first one is for, and its bits.

    PS3.3 C.11.1.1 and C.11.2.1.1: three numbers describe it; 0 entries stand for 65,536; the second
    is signed where its input is.
    """
    descriptor = [int(number) for number in _numbers(item, "LUTDescriptor")]
    if len(descriptor) != 3:
        raise _unusable("three values in LUT Descriptor (0028,3002)", str(descriptor)[:64])
    count, first, bits = descriptor
    # A negative number of entries is one above 32,767 that was read as signed.
    count = count % 2**16 or 2**16
    if is_signed and first >= 2**15:
        first -= 2**16
    words = lut_words(item)
    # Entries of 8 bits lie one to a word, or two.
    entries = words.view(np.uint8) if bits <= 8 and words.size < count else words
    if not 8 <= bits <= 16 or entries.size < count:
        raise _unusable(
            f"{count} entries of 8 to 16 bits in LUT Data (0028,3006), by the LUT Descriptor",
            f"{entries.size} entries of {bits} bits",
        )
    return entries[:count].astype(np.float64), first, bits


def lut_words(item: Dataset) -> UInt16Array:
    """Read LUT Data (0028,3006) of an item of a LUT sequence, written as US or as OW.

    Parameters
    ----------
    item
        As it was read, or as it was made.

    Returns
    -------
    words
        Shape (words,), little endian; empty if there are none.

    Raises
    ------
    PixelDataError
        If the values are no numbers.
    """
    data = item.get("LUTData")
    if not isinstance(data, bytes):
        numbers = np.array([int(number) for number in _numbers(item, "LUTData")], np.int64)
        return (numbers & 0xFFFF).astype("<u2")
    # pydicom leaves the bytes of OW as they were in the file (PS3.5 7.3).
    _, is_little_endian = item.original_encoding
    words = np.frombuffer(data, ">u2" if is_little_endian is False else "<u2", len(data) // 2)
    return words.astype("<u2")


def _numbers(ds: Dataset, keyword: str) -> list[float]:
    """Every value of an attribute; none if it is absent or empty."""
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    try:
        numbers = [
            float(one) for one in (value if isinstance(value, MultiValue | list) else [value])
        ]
    except (TypeError, ValueError) as error:
        raise _unusable(f"numbers in {keyword}", repr(value)[:64]) from error
    if not np.isfinite(numbers).all():
        raise _unusable(f"finite numbers in {keyword}", repr(value)[:64])
    return numbers


def _unusable(expected: str, found: str) -> PixelDataError:
    """Build the error of a header that says no possible thing about its pixels."""
    return PixelDataError(expected=expected, found=found, cause=PixelDataCause.UNDECODABLE)
