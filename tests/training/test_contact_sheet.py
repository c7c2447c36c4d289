from pathlib import Path

import cv2
import numpy as np

from training.contact_sheet import Row, Tile, write_contact_sheet

GREY = np.full((80, 40), 128, np.uint8)


def read(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    sheet = cv2.imread(str(file))
    assert sheet is not None
    return np.asarray(sheet, np.uint8)


def test_pictures_are_fitted_without_stretching_and_lesions_outlined(tmp_path: Path) -> None:
    lesions = np.zeros(GREY.shape, np.bool_)
    lesions[30:50, 10:30] = True
    tile = Tile(pictures=(GREY, GREY), captions=("one", "R MLO"), lesions=lesions)

    write_contact_sheet(
        tmp_path / "new" / "sheet.png",
        [Row(heading="all", tiles=(tile,))],
        title="Sheet",
        tile_px=160,
    )

    sheet = read(tmp_path / "new" / "sheet.png")
    is_grey = np.all(sheet == 128, axis=2)
    is_outline = (sheet[..., 2] > 200) & (sheet[..., 0] < 90)
    # Two pictures of 160 x 80, one with an outline on it.
    assert 2 * 160 * 80 - 800 < is_grey.sum() <= 2 * 160 * 80
    rows, columns = np.flatnonzero(is_outline.any(axis=1)), np.flatnonzero(is_outline.any(axis=0))
    # 20 pixels at twice their size; a smooth line is up to 3 wide.
    assert all(39 <= np.ptp(places) <= 42 for places in (rows, columns))


def test_a_sheet_is_as_wide_as_its_longest_row(tmp_path: Path) -> None:
    def width(tiles: int) -> int:
        tile = Tile(pictures=(GREY,), captions=("a caption that is too long for a tile",))
        row = Row(heading="row", tiles=(tile,) * tiles)
        write_contact_sheet(tmp_path / "sheet.png", [row], title="Sheet")
        return read(tmp_path / "sheet.png").shape[1]

    assert width(8) - width(6) == 2 * (176 + 12)


def test_a_row_without_tiles_keeps_its_heading(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "sheet.png", [Row(heading="none", tiles=())], title="Sheet")

    assert read(tmp_path / "sheet.png").max() > 200
