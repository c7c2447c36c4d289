from dataclasses import replace
from pathlib import Path

import pytest
from data_set_layouts import write_mini_mias
from drawn_breasts import write_rsna_layout

from model.preprocess import to_network_input
from training.breasts import breasts_of
from training.datasets import DataSet, Float32Array, LabelledImage, mini_mias, rsna


@pytest.fixture
def squares(tmp_path: Path) -> DataSet:
    return rsna.read(write_rsna_layout(tmp_path / "rsna", patients=2))


def never(image: LabelledImage) -> Float32Array:
    raise AssertionError(image)


def test_a_known_side_is_believed_and_no_image_is_read(tmp_path: Path) -> None:
    data_set = replace(mini_mias.read(write_mini_mias(tmp_path, size_px=64)), read_display=never)

    breasts = breasts_of(data_set, data_set.images)

    assert breasts[:2] == ["mias001/right", "mias001/left"]


def test_the_chest_wall_stands_for_a_side_that_is_not_known(squares: DataSet) -> None:
    breasts = breasts_of(squares, squares.images)

    assert breasts == [
        f"{patient}/{side}" for patient in (0, 1) for side in ("left", "left", "right", "right")
    ]


def test_with_geometries_no_image_is_read_again(squares: DataSet) -> None:
    geometries = [
        to_network_input(squares.read_display(image), (64, 48)).geometry for image in squares.images
    ]

    breasts = breasts_of(replace(squares, read_display=never), squares.images, geometries)

    assert breasts == breasts_of(squares, squares.images)
