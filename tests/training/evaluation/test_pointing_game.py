from pathlib import Path

import numpy as np
import pytest

from model.explain import HeatMap
from model.preprocess import to_network_input
from phantoms import breast_pixels
from training.datasets import Box, Label, LabelledImage
from training.evaluation.pointing_game import (
    Pointed,
    count_hits,
    has_cancer_of_known_place,
    play,
    point,
)

ROWS, COLUMNS = 1000, 800


def image_with(*boxes: Box, label: Label = Label.MALIGNANT) -> LabelledImage:
    return LabelledImage(
        path=Path("one.png"), patient_id="1", label=label, source="drawn", boxes=boxes
    )


def map_that_points_at(row: float, column: float, laterality: str) -> HeatMap:
    """A heat map with its summit at a point of the original image."""
    given = to_network_input(breast_pixels(laterality, rows=ROWS, columns=COLUMNS), (256, 192))
    height, width = given.breast_mask.shape
    peak = given.geometry.to_input(row, column)
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    hill = np.exp(-((rows - peak[0]) ** 2 + (columns - peak[1]) ** 2) / 200)
    return HeatMap(
        values=(hill * given.breast_mask).astype(np.float32),
        breast_mask=given.breast_mask,
        geometry=given.geometry,
    )


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize(("row", "is_hit"), [(450.0, True), (340.0, False)])
def test_a_map_hits_if_its_summit_lies_on_the_lesion(
    laterality: str, row: float, is_hit: bool
) -> None:
    column = 150.0 if laterality == "L" else COLUMNS - 150.0
    box = Box(top=400, left=column - 50, bottom=500, right=column + 50)

    pointed = point(map_that_points_at(row, column, laterality), image_with(box))

    assert pointed is not None
    assert pointed.is_hit is is_hit


def test_chance_is_the_share_of_the_breast_that_lesions_cover() -> None:
    heat_map = map_that_points_at(450, 150, "L")
    breast = heat_map.breast_on_original()
    box = Box(top=400, left=100, bottom=500, right=200)

    pointed = point(heat_map, image_with(box))

    assert pointed is not None
    # The breast covers the box; a picture of other size rounds its outline.
    assert pointed.lesion_share == pytest.approx(100 * 100 / breast.sum(), rel=0.02)


def test_a_map_of_zeros_hits_nothing() -> None:
    heat_map = map_that_points_at(450, 150, "L")
    heat_map.values[:] = 0.0

    pointed = point(heat_map, image_with(Box(top=0, left=0, bottom=ROWS, right=COLUMNS)))

    assert pointed is not None
    assert not pointed.is_hit
    assert pointed.lesion_share == 1.0


def test_a_lesion_outside_the_breast_cannot_be_hit_and_is_left_out() -> None:
    heat_map = map_that_points_at(450, 150, "L")

    assert point(heat_map, image_with(Box(top=0, left=790, bottom=8, right=800))) is None


def test_a_lesion_that_is_known_to_be_benign_is_no_target() -> None:
    heat_map = map_that_points_at(450, 150, "L")
    benign = Box(top=400, left=100, bottom=500, right=200, label=Label.BENIGN)
    cancer = Box(top=600, left=100, bottom=700, right=200, label=Label.MALIGNANT)

    pointed = point(heat_map, image_with(benign, cancer))

    assert pointed is not None
    assert not pointed.is_hit


def test_only_cancers_of_known_place_take_part() -> None:
    box = Box(top=0, left=0, bottom=10, right=10)

    benign = Box(top=0, left=0, bottom=10, right=10, label=Label.BENIGN)

    assert has_cancer_of_known_place(image_with(box))
    assert not has_cancer_of_known_place(image_with())
    assert not has_cancer_of_known_place(image_with(benign))
    assert not has_cancer_of_known_place(image_with(box, label=Label.BENIGN))


def test_the_rate_is_held_against_chance_on_the_same_draws() -> None:
    pointed = [
        Pointed(patient_id=str(row // 2), is_hit=row % 4 < 3, lesion_share=0.05 + 0.1 * (row % 2))
        for row in range(80)
    ]

    game = count_hits(pointed, seed=1)

    assert game is not None
    assert (game.images, game.patients) == (80, 40)
    assert game.hit_rate.value == pytest.approx(0.75)
    assert game.chance.value == pytest.approx(0.10)
    assert game.above_chance.value == pytest.approx(0.65)
    assert game.above_chance.low < 0.65 < game.above_chance.high


def test_without_an_image_there_is_no_game() -> None:
    assert play([], seed=1) is None
