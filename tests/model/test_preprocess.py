import time

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from model.errors import PixelDataError
from model.preprocess import to_network_input

Float32Array = npt.NDArray[np.float32]
SIZE_PX = (448, 336)


def breast(rows: int = 800, columns: int = 640, *, side: str = "left") -> Float32Array:
    """A half ellipse of textured tissue at the chest wall, skin fading into air."""
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    distance = np.hypot((row - rows * 0.5) / (rows * 0.35), column / (columns * 0.5))
    tissue = np.clip((1.0 - distance) * 8, 0, 1) * (0.35 + 0.25 * (1 - distance))
    texture = cv2.GaussianBlur(
        np.random.default_rng(3).random((rows, columns), np.float32), (0, 0), 4
    )
    image = np.where(distance < 1, tissue * (0.7 + texture), 0.0).astype(np.float32)
    return np.ascontiguousarray(image[:, ::-1]) if side == "right" else image


def with_letters(display: Float32Array, text: str, place: tuple[int, int]) -> Float32Array:
    """Metal letters on the film: OpenCV draws on 8 bit alone."""
    letters = np.zeros(display.shape, np.uint8)
    cv2.putText(letters, text, place, cv2.FONT_HERSHEY_SIMPLEX, 2.0, 255, 10)
    return np.maximum(display, np.asarray(letters, np.float32) / 255)


def test_the_breast_fills_the_input_and_keeps_its_aspect_ratio() -> None:
    display = breast()

    result = to_network_input(display, SIZE_PX)

    geometry = result.geometry
    assert result.pixels.shape == (448, 336, 3)
    assert result.pixels.dtype == np.float32
    assert 0.0 <= result.pixels.min() < result.pixels.max() <= 255.0
    # The half ellipse is 560 rows high and 320 columns wide.
    assert geometry.crop.height == pytest.approx(560, abs=30)
    assert geometry.crop.width == pytest.approx(320, abs=20)
    assert geometry.scale_rows == pytest.approx(geometry.scale_columns, rel=0.01)
    assert geometry.content.height == 448 or geometry.content.width == 336


def test_the_chest_wall_lies_left_whichever_breast_it_is() -> None:
    left = to_network_input(breast(), SIZE_PX)
    right = to_network_input(breast(side="right"), SIZE_PX)

    assert not left.geometry.is_mirrored
    assert right.geometry.is_mirrored
    # The same breast from the other side; one pixel of rounding where the crop begins.
    assert np.abs(left.pixels - right.pixels).mean() < 3.0


def test_letters_scratches_and_film_borders_are_cropped_away() -> None:
    plain = breast()
    soiled = plain.copy()
    soiled[:16, :] = 1.0
    soiled[-14:, :] = 0.95
    soiled[:, -12:] = 1.0
    soiled[300:700, 620:623] = 0.9
    soiled = with_letters(soiled, "R MLO", (380, 120))

    expected = to_network_input(plain, SIZE_PX)
    result = to_network_input(soiled, SIZE_PX)

    for side in ("top", "left", "bottom", "right"):
        found, clean = getattr(result.geometry.crop, side), getattr(expected.geometry.crop, side)
        assert found == pytest.approx(clean, abs=12), side
    assert np.abs(result.pixels - expected.pixels).mean() < 6.0


def test_a_smaller_piece_of_tissue_is_left_out() -> None:
    display = breast()
    display[770:800, 0:60] = 0.4

    result = to_network_input(display, SIZE_PX)

    assert result.geometry.crop.bottom < 770


def test_pixels_outside_the_breast_are_black() -> None:
    display = np.maximum(breast(), np.float32(0.02))

    result = to_network_input(display, SIZE_PX)

    assert result.breast_mask.any()
    assert not result.pixels[~result.breast_mask].any()
    assert result.pixels[result.breast_mask].mean() > 50


def test_a_hole_as_dark_as_air_belongs_to_the_breast() -> None:
    display = breast()
    cv2.circle(display, (100, 400), 40, 0.0, cv2.FILLED)

    result = to_network_input(display, SIZE_PX)

    row, column = result.geometry.to_input(400, 100)
    assert result.breast_mask[round(row), round(column)]


@pytest.mark.parametrize("gain", [0.2, 0.6])
def test_brightness_of_the_whole_image_does_not_matter(gain: float) -> None:
    display = breast()

    one = to_network_input(display, SIZE_PX)
    other = to_network_input(display * np.float32(gain), SIZE_PX)

    # Two grey values of 255: the mask may move by a pixel of the thumbnail.
    assert np.abs(one.pixels - other.pixels).mean() < 2.0


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("shape", [(800, 640), (640, 800), (3000, 1200)])
def test_points_map_to_the_input_and_back(side: str, shape: tuple[int, int]) -> None:
    geometry = to_network_input(breast(*shape, side=side), SIZE_PX).geometry

    for point in ((0.5, 0.5), (shape[0] / 3, shape[1] / 5), (shape[0] - 0.5, 7.25)):
        assert geometry.to_original(*geometry.to_input(*point)) == pytest.approx(point)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mark_on_the_image_is_found_where_its_corners_map_to(side: str) -> None:
    display = breast(side=side)
    columns = slice(60, 100) if side == "left" else slice(540, 580)
    display[380:420, columns] = 1.0

    result = to_network_input(display, SIZE_PX)

    # The chest wall comes to the left: what was on the right of a right breast is left.
    corners = sorted(
        [result.geometry.to_input(380, columns.start), result.geometry.to_input(420, columns.stop)],
        key=lambda corner: corner[1],
    )
    (_, left), (_, right) = corners
    top, bottom = sorted(row for row, _ in corners)
    bright = np.argwhere(result.pixels[..., 0] > 250)
    # Half open, and one pixel of interpolation.
    assert bright.min(axis=0) == pytest.approx([top, left], abs=1.5)
    assert bright.max(axis=0) + 1 == pytest.approx([bottom, right], abs=1.5)


@pytest.mark.parametrize(
    ("display", "found"),
    [
        (np.zeros((400, 300), np.float32), "one grey value"),
        (np.full((400, 300), 0.7, np.float32), "one grey value"),
        (np.full((400, 300), np.nan, np.float32), "NaN"),
        (np.zeros((3, 400, 300), np.float32), r"shape \(3, 400, 300\)"),
        (np.zeros((4, 4), np.float32), r"shape \(4, 4\)"),
    ],
)
def test_an_image_without_a_breast_is_refused_with_what_was_found(
    display: Float32Array, found: str
) -> None:
    with pytest.raises(PixelDataError, match=found):
        to_network_input(display, SIZE_PX)


def test_a_film_with_nothing_but_letters_has_no_breast() -> None:
    display = with_letters(np.zeros((800, 640), np.float32), "L CC", (300, 200))

    with pytest.raises(PixelDataError, match="no connected tissue"):
        to_network_input(display, SIZE_PX)


def test_one_nan_is_found() -> None:
    display = breast()
    display[700, 600] = np.nan

    with pytest.raises(PixelDataError, match="NaN"):
        to_network_input(display, SIZE_PX)


def test_the_display_array_is_not_changed() -> None:
    display = breast()
    before = display.copy()

    to_network_input(display, SIZE_PX)

    np.testing.assert_array_equal(display, before)


def test_a_whole_detector_image_takes_less_than_a_second() -> None:
    display = breast(4000, 3000)

    # Time of the processor, not of the clock: a busy machine is no slow function.
    begun_s = time.process_time()
    to_network_input(display, SIZE_PX)

    # 50 ms on an idle core.
    assert time.process_time() - begun_s < 1.0
