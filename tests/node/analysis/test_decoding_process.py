"""What the decoding child does with a path; how it fails is tested with its parent."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.errors import PixelDataCause, PixelDataError
from model.pixels import read_display
from node.analysis.decoding_process import TRIAGE_REASONS, read_pixels
from phantoms import mammogram, write


def test_a_file_is_read_as_it_is_displayed(tmp_path: Path) -> None:
    ds = mammogram(photometric="MONOCHROME1")

    np.testing.assert_array_equal(read_pixels(write(ds, tmp_path)), read_display(ds))


def test_what_is_not_dicom_is_undecodable(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG" + bytes(500))

    with pytest.raises(PixelDataError) as raised:
        read_pixels(path)

    assert raised.value.cause is PixelDataCause.UNDECODABLE


def test_a_file_that_is_not_there_is_no_fault_of_its_pixels(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_pixels(tmp_path / "gone.dcm")


def test_every_cause_has_its_triage_reason() -> None:
    assert set(TRIAGE_REASONS) == set(PixelDataCause)


def test_the_child_does_without_tensorflow() -> None:
    program = "import sys, node.analysis.decoding_process; sys.exit('tensorflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
