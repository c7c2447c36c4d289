from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
from model.pixels import read_display
from training.convert import convert
from training.errors import DataSetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "study" / "series").mkdir(parents=True)
    (root / "study" / "series" / "1-1.dcm").write_bytes(phantoms.to_bytes(phantoms.mammogram()))
    (root / "1.2.840").write_bytes(
        phantoms.to_bytes(phantoms.mammogram(photometric="MONOCHROME1", seed=3))
    )
    return root


def stored(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.integer]]:
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture)


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_a_png_holds_what_a_reader_sees(
    folder: Path, tmp_path: Path, bits: int, dtype: type[np.integer]
) -> None:
    list(convert([folder], tmp_path / "out", bits=8 if bits == 8 else 16))

    picture = stored(tmp_path / "out" / "study" / "series" / "1-1.png")
    display = read_display(dcmread(folder / "study" / "series" / "1-1.dcm"))
    assert picture.dtype == dtype
    np.testing.assert_allclose(picture / (2**bits - 1), display, atol=0.6 / (2**bits - 1))


def test_an_inverted_image_is_written_with_black_air(folder: Path, tmp_path: Path) -> None:
    list(convert([folder / "1.2.840"], tmp_path / "out"))

    # The name is a UID: what follows its last dot is no suffix.
    picture = stored(tmp_path / "out" / "1.2.840.png")
    assert picture[:5].max() < 0.05 * 65535 < picture.max()


def test_what_is_no_image_is_left_out_with_the_reason(folder: Path, tmp_path: Path) -> None:
    report = Dataset()
    report.file_meta = phantoms.mammogram().file_meta
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.SOPInstanceUID = phantoms.uid("report")
    (folder / "report.dcm").write_bytes(phantoms.to_bytes(report))
    (folder / "broken.dcm").write_bytes(b"no DICOM")
    (folder / "notes.txt").write_text("notes", encoding="utf-8")
    (folder / "done.png").write_bytes(b"")

    conversions = list(convert([folder], tmp_path / "out"))

    reasons = {one.source.name: one.reason for one in conversions if one.target is None}
    assert set(reasons) == {"report.dcm", "broken.dcm", "notes.txt", "done.png"}
    assert reasons["notes.txt"] == reasons["broken.dcm"] == "no DICOM file"
    assert reasons["done.png"] == "a picture already"
    assert reasons["report.dcm"]
    assert sum(one.target is not None for one in conversions) == 2


def test_two_files_never_become_one(folder: Path, tmp_path: Path) -> None:
    (folder / "1.2.840.dcm").write_bytes(phantoms.to_bytes(phantoms.mammogram(seed=5)))

    conversions = list(convert([folder], tmp_path / "out"))

    left_out = [one for one in conversions if one.target is None]
    assert [one.reason for one in left_out] == ["1.2.840.png is another file's already"]


def test_a_source_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="nowhere: expected a file or a folder"):
        list(convert([tmp_path / "nowhere"], tmp_path / "out"))
