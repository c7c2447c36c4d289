"""Grad-CAM on features that are known, and its way back to the original image."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from model.explain import HeatMap, find_regions, grad_cam
from model.manifest import RegionRule
from model.preprocess import NetworkInput, to_network_input
from phantoms import breast_pixels, lesion_in

Float32Array = npt.NDArray[np.float32]

SIZE_PX = (256, 192)
CELLS = (8, 6)
# On an axis of 256 or 192 pixels, each halving is of an even length, so that cell `i` is centred
# on pixel 32 i + 31; see `model.explain`.
CENTRE_OF_CELL = 31.5


def network_input(laterality: str = "L", *, rows: int = 600, columns: int = 400) -> NetworkInput:
    return to_network_input(breast_pixels(laterality, rows=rows, columns=columns), SIZE_PX)


def one_cell(row: int, column: int, *, channels: int = 3) -> tuple[Float32Array, Float32Array]:
    """Features with one bright cell in channel 0, and gradients that look at that channel only."""
    features = np.zeros((*CELLS, channels), np.float32)
    features[row, column, 0] = 5.0
    gradients = np.zeros_like(features)
    gradients[..., 0] = 1.0
    return features, gradients


def rule(**changes: float) -> RegionRule:
    values: dict[str, float] = {
        "score_at_least": 0.5,
        "heat_map_at_least": 0.5,
        "area_at_least": 0.0,
        "regions_at_most": 3,
        **changes,
    }
    return RegionRule.model_validate(values)


def peak(values: Float32Array) -> tuple[float, float]:
    """Centre of the pixel where an array is largest."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return float(row) + 0.5, float(column) + 0.5


@pytest.mark.parametrize(("row", "column"), [(3, 1), (4, 1), (2, 2)])
def test_the_map_is_highest_where_the_cell_looks(row: int, column: int) -> None:
    given = network_input()

    heat_map = grad_cam(*one_cell(row, column), given)

    found = peak(heat_map.values)
    # To the pixel: a cell's centre is the centre of a pixel here.
    assert found == (32 * row + CENTRE_OF_CELL, 32 * column + CENTRE_OF_CELL)


def test_the_map_goes_on_to_the_chest_wall() -> None:
    heat_map = grad_cam(*one_cell(4, 0), network_input())

    row = heat_map.values[4 * 32 + 31]
    assert row[0] == pytest.approx(1.0, abs=1e-3)
    assert row[:64].min() > 0.0
    assert (np.diff(row) <= 0.0).all()


@pytest.mark.parametrize("strength", [1.0, 0.25, 0.0])
def test_the_largest_value_is_the_strength(strength: float) -> None:
    heat_map = grad_cam(*one_cell(3, 1), network_input(), strength=strength)

    assert heat_map.values.max() == pytest.approx(strength, abs=1e-7)
    assert heat_map.values.min() == 0.0


def test_what_lowers_the_score_is_not_shown() -> None:
    features, gradients = one_cell(3, 1)

    heat_map = grad_cam(features, -gradients, network_input())

    assert not heat_map.values.any()


def test_the_scale_of_the_gradients_does_not_matter() -> None:
    features, gradients = one_cell(3, 1)

    one = grad_cam(features, gradients, network_input())
    other = grad_cam(features, gradients * np.float32(1e-9), network_input())

    # Both are scaled to 1 in float64 and float32 in turn.
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)


def test_the_map_is_zero_outside_the_breast() -> None:
    given = network_input()

    heat_map = grad_cam(np.ones((*CELLS, 3), np.float32), np.ones((*CELLS, 3), np.float32), given)

    assert (heat_map.values[~given.breast_mask] == 0).all()
    assert (heat_map.values[given.breast_mask] > 0).all()


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("shape", [None, (600, 400), (300, 200), (150, 100)])
def test_the_map_lies_on_the_original_where_the_lesion_is(
    laterality: str, shape: tuple[int, int] | None
) -> None:
    lesion = lesion_in(laterality, rows=600, columns=400)
    given = network_input(laterality)
    row, column = np.mgrid[0 : SIZE_PX[0], 0 : SIZE_PX[1]] + 0.5
    at = given.geometry.to_input(lesion.row, lesion.column)
    hill = np.exp(-((row - at[0]) ** 2 + (column - at[1]) ** 2) / 200).astype(np.float32)
    heat_map = HeatMap(values=hill, breast_mask=given.breast_mask, geometry=given.geometry)

    laid = heat_map.on_original(shape)

    shrink = 600 / laid.shape[0]
    found = peak(laid)
    assert laid.shape == (shape or (600, 400))
    # One pixel of the picture, and one of the network's input.
    tolerance = shrink + 1 / given.geometry.scale_rows
    assert found[0] * shrink == pytest.approx(lesion.row, abs=tolerance)
    assert found[1] * shrink == pytest.approx(lesion.column, abs=tolerance)


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_the_breast_on_the_original_covers_the_tissue(laterality: str) -> None:
    tissue = breast_pixels(laterality, rows=600, columns=400) > 0

    covered = grad_cam(*one_cell(3, 1), network_input(laterality)).breast_on_original()

    assert (covered & tissue).sum() > 0.97 * tissue.sum()
    assert (covered & ~tissue).sum() < 0.1 * tissue.sum()


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_a_region_is_on_the_original_around_the_peak(laterality: str) -> None:
    given = network_input(laterality)
    heat_map = grad_cam(*one_cell(3, 1), given)

    (region,) = find_regions(heat_map, rule(), score=0.9)

    expected = given.geometry.to_original(3 * 32 + CENTRE_OF_CELL, 32 + CENTRE_OF_CELL)
    assert (region.peak_row, region.peak_column) == pytest.approx(expected)
    assert 0 <= region.top < region.peak_row < region.bottom <= 600
    assert 0 <= region.left < region.peak_column < region.right <= 400
    # At half height a blurred hill of one cell is between one and two cells wide.
    cell = 32 / given.geometry.scale_rows
    assert cell < region.bottom - region.top < 2 * cell
    laid = heat_map.on_original()
    rows, columns = np.nonzero(laid >= 0.55)
    assert region.top <= rows.min() < rows.max() < region.bottom
    assert region.left <= columns.min() < columns.max() < region.right


def two_hills() -> HeatMap:
    """Make a map whose higher hill lies below the lower one."""
    low, gradients = one_cell(1, 1)
    high, _ = one_cell(6, 1)
    return grad_cam(low * np.float32(0.8) + high, gradients, network_input())


def test_regions_come_highest_first() -> None:
    regions = find_regions(two_hills(), rule(), score=0.9)

    assert [round(region.peak_value, 1) for region in regions] == [1.0, 0.8]
    assert regions[0].top > regions[1].bottom


def test_no_more_regions_than_the_rule_allows() -> None:
    regions = find_regions(two_hills(), rule(regions_at_most=1), score=0.9)

    assert [region.peak_value for region in regions] == pytest.approx([1.0])


def test_small_regions_are_left_out() -> None:
    assert find_regions(two_hills(), rule(area_at_least=0.9), score=0.9) == ()


@pytest.mark.parametrize(("score", "count"), [(0.499, 0), (0.5, 2)])
def test_below_the_rules_score_there_is_no_region(score: float, count: int) -> None:
    assert len(find_regions(two_hills(), rule(), score=score)) == count


def test_the_share_is_of_the_maps_largest_value() -> None:
    weak = two_hills()
    weak = HeatMap(
        values=weak.values * np.float32(0.1), breast_mask=weak.breast_mask, geometry=weak.geometry
    )

    assert len(find_regions(weak, rule(), score=0.9)) == 2


def test_an_empty_map_has_no_region() -> None:
    features, gradients = one_cell(3, 1)

    heat_map = grad_cam(features, -gradients, network_input())

    assert find_regions(heat_map, rule(score_at_least=0.0), score=0.9) == ()


def test_neither_pixels_nor_explanations_load_tensorflow() -> None:
    program = (
        "import sys, model.explain, model.pixels, model.views, node.results; "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
