from pathlib import Path

import cv2
from data_set_layouts import write_cbis_ddsm, write_mini_mias

from training.data_set_sheet import write_data_set_sheet
from training.datasets import cbis_ddsm, mini_mias


def outlined(file: Path) -> int:
    """Pixels in the colour of an outline."""
    sheet = cv2.imread(str(file))
    assert sheet is not None
    return int(((sheet[..., 2] > 200) & (sheet[..., 0] < 90)).sum())


def test_boxes_and_masks_are_outlined(tmp_path: Path) -> None:
    write_data_set_sheet(
        mini_mias.read(write_mini_mias(tmp_path / "mias", size_px=128)), tmp_path / "boxes.png"
    )
    write_data_set_sheet(cbis_ddsm.read(write_cbis_ddsm(tmp_path / "cbis")), tmp_path / "masks.png")

    assert outlined(tmp_path / "boxes.png") > 100
    assert outlined(tmp_path / "masks.png") > 100


def test_the_same_data_set_gives_the_same_sheet(tmp_path: Path) -> None:
    data_set = mini_mias.read(write_mini_mias(tmp_path / "mias", size_px=128))

    for name in ("one.png", "other.png"):
        write_data_set_sheet(data_set, tmp_path / name)

    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_a_broken_image_is_left_out_of_the_sheet(tmp_path: Path) -> None:
    data_set = mini_mias.read(write_mini_mias(tmp_path / "mias", size_px=128))
    for image in data_set.images:
        image.path.write_bytes(b"no picture")

    write_data_set_sheet(data_set, tmp_path / "sheet.png")

    assert outlined(tmp_path / "sheet.png") == 0
