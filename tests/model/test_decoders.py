"""Stored pixels out of every transfer syntax, and no allocation for a claim."""

import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    RLELossless,
)

from model.decoders import DECODERS, MAX_DECOMPRESSION, NATIVE, decode
from model.errors import PixelDataCause, PixelDataError
from phantoms import ENCODABLE, mammogram, write
from validators import require_peer

# What a lossy code stream of these phantoms may change in a stored value, by its encoder's
# settings: near-lossless JPEG-LS states 2 itself; the others were measured and doubled.
_TOLERANCE = {JPEGLSNearLossless: 2, JPEG2000: 4, JPEGBaseline8Bit: 2, JPEGExtended12Bit: 2}
_EIGHT_BIT_ONLY = (JPEGBaseline8Bit, JPEGExtended12Bit)


def test_every_transfer_syntax_with_a_decoder_is_tried_below() -> None:
    assert {*DECODERS, *NATIVE} == set(ENCODABLE)


@pytest.mark.parametrize(
    ("transfer_syntax", "bits_stored"),
    [
        pytest.param(uid, bits, id=f"{uid.name}, {bits} bits")
        for uid in ENCODABLE
        for bits in (8, 10, 12, 16)
        if bits == 8 or uid not in _EIGHT_BIT_ONLY
    ],
)
def test_stored_values_come_out_as_they_went_in(transfer_syntax: UID, bits_stored: int) -> None:
    expected = decode(mammogram(bits_stored=bits_stored))

    stored = decode(mammogram(bits_stored=bits_stored, transfer_syntax=transfer_syntax))

    assert stored.dtype == expected.dtype
    difference = np.abs(stored.astype(int) - expected.astype(int)).max()
    assert difference <= _TOLERANCE.get(transfer_syntax, 0)


@pytest.mark.parametrize(
    "transfer_syntax",
    [uid for uid in ENCODABLE if uid not in _TOLERANCE],
    ids=lambda uid: uid.name,
)
def test_signed_values_come_out_as_twos_complement(transfer_syntax: str) -> None:
    expected = decode(mammogram(is_signed=True))

    stored = decode(mammogram(is_signed=True, transfer_syntax=transfer_syntax))

    assert stored.min() == 0
    assert stored.max() > 2**15
    mask = 2**12 - 1
    np.testing.assert_array_equal(stored & mask, expected & mask)


def test_twelve_bit_jpeg_extended_decodes_as_dcmtk_decodes_it(tmp_path: Path) -> None:
    original = write(mammogram(bits_stored=12), tmp_path)
    encoded, decoded = tmp_path / "encoded.dcm", tmp_path / "decoded.dcm"
    encode: list[str | Path] = [require_peer("dcmcjpeg"), "+ee", "+q", "95", original, encoded]
    subprocess.run(encode, check=True, capture_output=True)
    subprocess.run([require_peer("dcmdjpeg"), encoded, decoded], check=True, capture_output=True)

    stored = decode(dcmread(encoded))

    assert dcmread(encoded).file_meta.TransferSyntaxUID == JPEGExtended12Bit
    np.testing.assert_array_equal(stored, decode(dcmread(decoded)))


def test_rle_whose_runs_cross_rows_is_decoded_all_the_same() -> None:
    ds = mammogram(bits_stored=8, transfer_syntax=RLELossless, rows=32, columns=32)
    # One run of 128 zeros (PS3.5 G.3.1: count 1 - n, then the byte) crosses three ends of rows.
    segment = bytes([129, 7]) * 8
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    ds.PixelData = encapsulate([header + segment])

    stored = decode(ds)

    assert (stored == 7).all()


@pytest.mark.parametrize("rows", [0, 65535])
def test_an_impossible_size_is_refused_by_its_header(rows: int) -> None:
    ds = mammogram(Rows=rows, Columns=32767)

    with pytest.raises(PixelDataError, match="Rows"):
        decode(ds)


def test_four_gigabytes_of_claimed_pixels_allocate_nothing() -> None:
    ds = mammogram(transfer_syntax=RLELossless, Rows=65535, Columns=32767)
    tracemalloc.start()
    try:
        with pytest.raises(PixelDataError) as raised:
            decode(ds)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert raised.value.cause is PixelDataCause.UNDECODABLE
    # The error's own strings and traceback; NumPy tells tracemalloc of its arrays, touched or not.
    assert peak_bytes < 2**20


@pytest.mark.parametrize("transfer_syntax", sorted(DECODERS))
def test_a_few_bytes_that_claim_a_large_image_are_given_to_no_decoder(transfer_syntax: str) -> None:
    ds = mammogram(transfer_syntax=RLELossless, rows=8000, columns=8000)
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    ds.PixelData = encapsulate([bytes(8000 * 8000 * 2 // MAX_DECOMPRESSION - 100)])
    tracemalloc.start()
    try:
        with pytest.raises(PixelDataError, match="of at least 1/1000 of the 128000000") as raised:
            decode(ds)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert raised.value.cause is PixelDataCause.UNDECODABLE
    assert peak_bytes < 2**20


def test_no_value_at_all_is_as_few_bytes_as_can_be() -> None:
    ds = mammogram(transfer_syntax=RLELossless)
    ds.PixelData = None

    with pytest.raises(PixelDataError, match="found 0 bytes"):
        decode(ds)


@pytest.mark.parametrize("change_bytes", [-2, 2, 100])
def test_short_and_long_pixel_data_are_refused(change_bytes: int) -> None:
    ds = mammogram()
    ds.PixelData = (ds.PixelData + bytes(100))[: len(ds.PixelData) + change_bytes]

    with pytest.raises(PixelDataError, match="bytes of Pixel Data"):
        decode(ds)


def test_the_padding_byte_of_an_odd_length_is_not_a_pixel() -> None:
    ds = mammogram(bits_stored=8, rows=17, columns=33)

    assert len(ds.PixelData) == 17 * 33 + 1
    assert decode(ds).shape == (17, 33)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"NumberOfFrames": 2}, PixelDataCause.MULTI_FRAME),
        ({"SamplesPerPixel": 3}, PixelDataCause.NOT_GREYSCALE),
        ({"PhotometricInterpretation": "RGB"}, PixelDataCause.NOT_GREYSCALE),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, PixelDataCause.NOT_GREYSCALE),
        ({"PixelData": None}, PixelDataCause.UNDECODABLE),
        ({"Rows": None}, PixelDataCause.UNDECODABLE),
        ({"BitsAllocated": 32}, PixelDataCause.UNDECODABLE),
        ({"BitsStored": 17}, PixelDataCause.UNDECODABLE),
        ({"HighBit": 15}, PixelDataCause.UNDECODABLE),
    ],
)
def test_a_header_that_is_no_grey_still_is_refused_with_its_cause(
    changes: dict[str, Any], cause: PixelDataCause
) -> None:
    ds = mammogram(**changes)

    with pytest.raises(PixelDataError) as raised:
        decode(ds)

    assert raised.value.cause is cause


def test_one_stated_frame_is_no_multi_frame_image() -> None:
    assert decode(mammogram(NumberOfFrames=1)).shape == (256, 192)


def test_a_transfer_syntax_without_a_decoder_is_named() -> None:
    ds = mammogram()
    ds.file_meta.TransferSyntaxUID = MPEG2MPML

    with pytest.raises(PixelDataError, match="MPEG2"):
        decode(ds)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("transfer_syntax", DECODERS, ids=lambda uid: uid.name)
def test_damaged_code_streams_are_refused(transfer_syntax: str) -> None:
    ds = mammogram(transfer_syntax=transfer_syntax, bits_stored=8)
    frame = _frame(ds)
    ds.PixelData = encapsulate([frame[:20] + bytes(len(frame) // 2 * 2 - 20)])

    with pytest.raises(PixelDataError) as raised:
        decode(ds)

    assert raised.value.cause is PixelDataCause.UNDECODABLE


@pytest.mark.filterwarnings("ignore")
def test_a_code_stream_of_another_size_than_the_header_is_refused() -> None:
    ds = mammogram(transfer_syntax=JPEG2000, Rows=128)

    with pytest.raises(PixelDataError):
        decode(ds)


def test_a_data_set_without_file_meta_information_is_refused() -> None:
    ds = mammogram(transfer_syntax=ExplicitVRLittleEndian)
    del ds.file_meta.TransferSyntaxUID

    with pytest.raises(PixelDataError, match="Transfer Syntax"):
        decode(ds)


def _frame(ds: Dataset) -> bytes:
    """Return the code stream of the one frame."""
    return next(generate_frames(ds.PixelData, number_of_frames=1))
