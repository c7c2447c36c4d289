"""Stored values to display values, by every way that a header can ask for."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from model.errors import PixelDataCause, PixelDataError
from model.pixels import read_display
from phantoms import breast_pixels, film, mammogram, to_bytes

Float64Array = npt.NDArray[np.float64]

# float32 has 24 bits; a display value is a look-up of one computed in float64.
_ROUNDING = 1e-6


def ramp(**attributes: Any) -> Dataset:
    """Make an image that holds each 12 bit value once, in order; rows of 64."""
    values = np.arange(4096, dtype="<u2")
    signed = attributes.get("PixelRepresentation") == 1
    if signed:
        values = (np.arange(4096) - 2048).astype("<i2").view("<u2")
    ds = mammogram(rows=64, columns=64, is_signed=signed)
    ds.PixelData = values.tobytes()
    for keyword in ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"):
        delattr(ds, keyword)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def lut_item(entries: npt.ArrayLike, *, first: int, bits: int, as_bytes: bool = False) -> Dataset:
    """Make an item of a Modality or VOI LUT Sequence."""
    data = np.asarray(entries, "<u2")
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [data.size % 2**16, first, bits])
    item.add_new(
        "LUTData", "OW" if as_bytes else "US", data.tobytes() if as_bytes else data.tolist()
    )
    return item


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("bits_stored", [8, 9, 10, 12, 14, 16])
def test_a_phantom_is_displayed_as_it_was_drawn(
    bits_stored: int, is_signed: bool, photometric: str
) -> None:
    drawn = breast_pixels("R")

    display = read_display(
        mammogram(bits_stored=bits_stored, is_signed=is_signed, photometric=photometric)
    )

    half_a_step = 0.5 / (2**bits_stored - 1)
    np.testing.assert_allclose(display, drawn, atol=half_a_step + _ROUNDING)
    assert (display[drawn == 0] == 0).all()
    assert display.dtype == np.float32


@pytest.mark.parametrize(
    "transfer_syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless]
)
def test_the_way_pixels_are_encoded_changes_nothing(transfer_syntax: str) -> None:
    expected = read_display(mammogram())

    display = read_display(mammogram(transfer_syntax=transfer_syntax))

    np.testing.assert_array_equal(display, expected)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (1000.5, 300), (-50, 800), (7, 2)])
def test_a_window_is_what_pydicom_makes_of_it(
    center: float, width: float, function: str | None
) -> None:
    ds = ramp(WindowCenter=center, WindowWidth=width, RescaleSlope=1, RescaleIntercept=0)
    if function is not None:
        ds.VOILUTFunction = function
    windowed = apply_voi_lut(apply_modality_lut(np.arange(4096), ds), ds)
    expected = (windowed / 4095).reshape(64, 64)

    np.testing.assert_allclose(read_display(ds), expected, atol=_ROUNDING)


def test_a_linear_window_of_width_one_is_a_threshold() -> None:
    display = read_display(ramp(WindowCenter=1000, WindowWidth=1)).ravel()

    # PS3.3 C.11.2.1.2.1: up to center - 0.5 is black, above is white.
    assert (display[:1000] == 0).all()
    assert (display[1000:] == 1).all()


def test_the_first_window_of_several_is_taken() -> None:
    several = ramp(WindowCenter=[1000, 3000], WindowWidth=[500, 100])
    first = ramp(WindowCenter=1000, WindowWidth=500)

    np.testing.assert_array_equal(read_display(several), read_display(first))


def test_a_window_that_the_standard_does_not_allow_is_passed_over() -> None:
    several = ramp(WindowCenter=[0, 3000], WindowWidth=[0, 100])
    second = ramp(WindowCenter=3000, WindowWidth=100)

    np.testing.assert_array_equal(read_display(several), read_display(second))


def test_without_a_window_the_range_that_occurs_is_stretched() -> None:
    ds = ramp()
    ds.PixelData = (np.arange(4096) // 2 + 100).astype("<u2").tobytes()

    display = read_display(ds)

    assert (display.min(), display.max()) == (0.0, 1.0)
    assert display.ravel()[2048] == pytest.approx(1024 / 2047, abs=_ROUNDING)


def test_padding_does_not_count_in_the_range_and_is_shown_as_air() -> None:
    ds = ramp(PixelPaddingValue=0, PixelPaddingRangeLimit=1999)

    display = read_display(ds).ravel()

    assert (display[:2001] == 0).all()
    assert display[2001] == pytest.approx(1 / 2095, abs=_ROUNDING)
    assert display[4095] == 1.0


def test_padding_is_air_where_it_would_be_white() -> None:
    ds = ramp(PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0)

    display = read_display(ds).ravel()

    assert display[0] == 0.0
    assert display[1] == 1.0
    assert display[4095] == 0.0


def test_padding_of_a_signed_image_may_be_negative() -> None:
    ds = ramp(PixelRepresentation=1)
    ds.add_new("PixelPaddingValue", "SS", -2048)

    display = read_display(ds).ravel()

    assert display[0] == 0.0
    assert display[1] == 0.0
    assert display[2] == pytest.approx(1 / 4094, abs=_ROUNDING)


def test_a_modality_lut_comes_before_the_window() -> None:
    squares = (np.arange(4096) ** 2 / 4095).round().astype(int)
    ds = ramp(WindowCenter=2048, WindowWidth=4096)
    ds.ModalityLUTSequence = Sequence([lut_item(squares, first=0, bits=12)])

    np.testing.assert_allclose(read_display(ds).ravel(), squares / 4095, atol=_ROUNDING)


def test_rescale_comes_before_the_window() -> None:
    ds = ramp(RescaleSlope="0.5", RescaleIntercept="-100", WindowCenter=500, WindowWidth=200)
    plain = ramp(WindowCenter=500, WindowWidth=200)
    plain.VOILUTFunction = ds.VOILUTFunction = "LINEAR_EXACT"

    display, unscaled = read_display(ds).ravel(), read_display(plain).ravel()

    # 0.5 · 1200 - 100 = 500
    assert display[1200] == pytest.approx(0.5, abs=_ROUNDING)
    np.testing.assert_allclose(display[0::2], unscaled[(np.arange(2048) - 100).clip(0)], atol=1e-6)


def test_a_negative_slope_turns_dark_to_bright() -> None:
    display = read_display(ramp(RescaleSlope="-1", RescaleIntercept="4095")).ravel()

    assert display[0] == 1.0
    assert display[4095] == 0.0


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_voi_lut_is_preferred_to_a_window(as_bytes: bool) -> None:
    entries = np.linspace(0, 65535, 1000).round().astype(int)
    ds = ramp(WindowCenter=1, WindowWidth=1)
    ds.VOILUTSequence = Sequence(
        [
            lut_item(entries, first=2000, bits=16, as_bytes=as_bytes),
            lut_item([0, 1], first=0, bits=16),
        ]
    )

    display = read_display(ds).ravel()

    assert (display[:2001] == 0).all()
    np.testing.assert_allclose(display[2000:3000], entries / 65535, atol=_ROUNDING)
    assert (display[3000:] == 1).all()


def test_a_voi_lut_is_what_pydicom_makes_of_it() -> None:
    ds = ramp()
    entries = (4095 * (np.arange(4096) / 4095) ** 0.6).round().astype(int)
    ds.VOILUTSequence = Sequence([lut_item(entries, first=0, bits=12)])

    expected = apply_voi_lut(np.arange(4096).astype("<u2"), ds).reshape(64, 64) / 4095

    np.testing.assert_allclose(read_display(ds), expected, atol=_ROUNDING)


@pytest.mark.parametrize(
    "transfer_syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_voi_lut_is_read_in_the_byte_order_of_its_file(transfer_syntax: str) -> None:
    entries = (4095 * (np.arange(4096) / 4095) ** 0.6).round().astype("<u2")
    ds = mammogram(transfer_syntax=transfer_syntax)
    item = lut_item(entries, first=0, bits=12, as_bytes=True)
    if transfer_syntax == ExplicitVRBigEndian:
        item.LUTData = entries.byteswap().tobytes()
    ds.VOILUTSequence = Sequence([item])

    display = read_display(dcmread(io.BytesIO(to_bytes(ds))))

    drawn = np.round(breast_pixels("R") * 4095).astype(int)
    np.testing.assert_allclose(display, entries[drawn] / 4095, atol=_ROUNDING)


def test_entries_of_eight_bits_may_lie_two_to_a_word() -> None:
    ds = ramp()
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", bytes(range(256)))
    ds.VOILUTSequence = Sequence([item])

    display = read_display(ds).ravel()

    np.testing.assert_allclose(display[:256], np.arange(256) / 255, atol=_ROUNDING)


def test_a_voi_lut_may_begin_below_zero() -> None:
    ds = ramp(PixelRepresentation=1)
    ds.VOILUTSequence = Sequence([lut_item(np.arange(256), first=-128, bits=8)])

    display = read_display(ds).ravel()

    # Stored value v stands at v + 2048.
    assert display[2048 - 128] == 0.0
    assert display[2048] == pytest.approx(128 / 255, abs=_ROUNDING)
    assert (display[2048 + 127 :] == 1.0).all()


def test_a_lut_of_65536_entries_says_none() -> None:
    ds = mammogram(bits_stored=16)
    drawn = read_display(ds)
    ds.VOILUTSequence = Sequence([lut_item(np.arange(65536), first=0, bits=16)])
    assert ds.VOILUTSequence[0].LUTDescriptor[0] == 0

    np.testing.assert_allclose(read_display(ds), drawn, atol=1e-4)


@pytest.mark.parametrize(
    ("photometric", "shape", "is_inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", True),
    ],
)
def test_values_are_inverted_once_or_not_at_all(
    photometric: str, shape: str | None, is_inverted: bool
) -> None:
    ds = ramp(PhotometricInterpretation=photometric)
    if shape is None:
        del ds.PresentationLUTShape
    else:
        ds.PresentationLUTShape = shape

    display = read_display(ds).ravel()

    assert display[0] == float(is_inverted)
    assert display[4095] == float(not is_inverted)


def test_bits_above_the_high_bit_are_not_part_of_the_value() -> None:
    ds = mammogram()
    expected = read_display(ds)
    with_overlay = np.frombuffer(ds.PixelData, "<u2") | 0xA000
    ds.PixelData = with_overlay.astype("<u2").tobytes()

    np.testing.assert_array_equal(read_display(ds), expected)


def test_a_film_without_a_window_fills_the_range() -> None:
    display = read_display(film())

    assert (display.min(), display.max()) == (0.0, 1.0)


def test_all_zero_pixels_are_refused() -> None:
    ds = mammogram()
    ds.PixelData = bytes(len(ds.PixelData))

    with pytest.raises(PixelDataError) as raised:
        read_display(ds)

    assert raised.value.cause is PixelDataCause.ALL_ZERO


def test_pixels_that_are_all_padding_are_refused() -> None:
    with pytest.raises(PixelDataError) as raised:
        read_display(mammogram(PixelPaddingValue=0, PixelPaddingRangeLimit=4095))

    assert raised.value.cause is PixelDataCause.ALL_ZERO


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RescaleSlope": "0"}, "Rescale Slope"),
        ({"VOILUTFunction": "CUBIC"}, "VOI LUT Function"),
        ({"VOILUTSequence": Sequence([Dataset()])}, "LUT Descriptor"),
        ({"VOILUTSequence": Sequence([lut_item([1, 2], first=0, bits=4)])}, "8 to 16 bits"),
    ],
)
def test_a_transformation_that_makes_no_sense_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(PixelDataError, match=message) as raised:
        read_display(mammogram(**changes))

    assert raised.value.cause is PixelDataCause.UNDECODABLE


def test_a_lut_with_fewer_entries_than_it_says_is_refused() -> None:
    ds = mammogram()
    item = lut_item(np.arange(100), first=0, bits=12)
    item.LUTDescriptor = [4096, 0, 12]
    ds.VOILUTSequence = Sequence([item])

    with pytest.raises(PixelDataError, match="4096 entries"):
        read_display(ds)
