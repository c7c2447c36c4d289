from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from model.image_statistics import image_statistics
from model.preprocess import to_network_input
from training.datasets import DataSet, Float32Array, LabelledImage, rsna
from training.errors import DataSetError
from training.prepared_crops import prepared_crops, prepared_geometries, prepared_statistics

SIZE_PX = (64, 48)


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    return rsna.read(write_rsna_layout(tmp_path / "rsna", patients=3))


def test_crops_are_made_by_the_models_own_preprocessing(data_set: DataSet, tmp_path: Path) -> None:
    crops = prepared_crops(data_set, data_set.images, SIZE_PX, tmp_path / "cache")

    assert crops.shape == (12, *SIZE_PX)
    # Chest wall left, whichever breast it was.
    assert all((crop[:, :12] > 0).mean() > (crop[:, -12:] > 0).mean() for crop in crops)


def test_crops_are_made_once(data_set: DataSet, tmp_path: Path) -> None:
    def fail(image: LabelledImage) -> Float32Array:
        raise AssertionError(image)

    first = prepared_crops(data_set, data_set.images, SIZE_PX, tmp_path / "cache")
    again = prepared_crops(
        replace(data_set, read_display=fail), data_set.images, SIZE_PX, tmp_path / "cache"
    )

    np.testing.assert_array_equal(first, again)


def test_crops_of_another_size_or_of_other_images_are_made_anew(
    data_set: DataSet, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    prepared_crops(data_set, data_set.images, SIZE_PX, cache)

    assert prepared_crops(data_set, data_set.images[:5], SIZE_PX, cache).shape[0] == 5
    assert prepared_crops(data_set, data_set.images, (80, 60), cache).shape[1:] == (80, 60)


def test_crops_of_images_that_were_replaced_are_made_anew(
    data_set: DataSet, tmp_path: Path
) -> None:
    before = prepared_crops(data_set, data_set.images[:2], SIZE_PX, tmp_path / "cache")
    data_set.images[1].path.write_bytes(data_set.images[0].path.read_bytes())

    after = prepared_crops(data_set, data_set.images[:2], SIZE_PX, tmp_path / "cache")

    assert (before[0] != before[1]).any()
    np.testing.assert_array_equal(after[0], after[1])


def test_an_image_that_has_gone_is_named_whatever_is_in_the_cache(
    data_set: DataSet, tmp_path: Path
) -> None:
    prepared_crops(data_set, data_set.images[:2], SIZE_PX, tmp_path / "cache")
    data_set.images[1].path.unlink()

    with pytest.raises(DataSetError, match=data_set.images[1].path.name):
        prepared_crops(data_set, data_set.images[:2], SIZE_PX, tmp_path / "cache")


def test_an_image_without_a_breast_is_left_black(data_set: DataSet, tmp_path: Path) -> None:
    cv2.imwrite(str(data_set.images[1].path), np.zeros((128, 128), np.uint8))

    crops = prepared_crops(data_set, data_set.images[:3], SIZE_PX, tmp_path / "cache")

    assert [bool(crop.any()) for crop in crops] == [True, False, True]


def never(image: LabelledImage) -> Float32Array:
    raise AssertionError(image)


def test_geometries_are_those_of_the_crops_and_made_with_them(
    data_set: DataSet, tmp_path: Path
) -> None:
    prepared_crops(data_set, data_set.images, SIZE_PX, tmp_path / "cache")

    geometries = prepared_geometries(
        replace(data_set, read_display=never), data_set.images, SIZE_PX, tmp_path / "cache"
    )

    assert list(geometries) == [
        to_network_input(data_set.read_display(image), SIZE_PX).geometry
        for image in data_set.images
    ]


def test_an_image_without_a_breast_has_no_geometry(data_set: DataSet, tmp_path: Path) -> None:
    cv2.imwrite(str(data_set.images[1].path), np.zeros((128, 128), np.uint8))

    geometries = prepared_geometries(data_set, data_set.images[:3], SIZE_PX, tmp_path / "cache")

    assert [geometry is None for geometry in geometries] == [False, True, False]


def test_prepared_images_are_resized_and_no_more(data_set: DataSet, tmp_path: Path) -> None:
    halves = np.zeros((SIZE_PX[0] * 2, SIZE_PX[1] * 2), np.float32)
    halves[:, SIZE_PX[1] :] = 1.0
    prepared = replace(data_set, is_prepared=True, read_display=lambda _: halves)

    crops = prepared_crops(prepared, prepared.images[:1], SIZE_PX, tmp_path / "cache")

    assert (crops[0][:, : SIZE_PX[1] // 2] == 0).all()
    assert (crops[0][:, SIZE_PX[1] // 2 :] == 255).all()


def test_an_unreadable_image_ends_preparing_and_leaves_no_cache(
    data_set: DataSet, tmp_path: Path
) -> None:
    data_set.images[4].path.write_bytes(b"no picture")

    with pytest.raises(DataSetError, match=data_set.images[4].path.name):
        prepared_crops(data_set, data_set.images, SIZE_PX, tmp_path / "cache")

    assert list((tmp_path / "cache").iterdir()) == []


def test_statistics_are_those_that_a_node_would_compute(data_set: DataSet, tmp_path: Path) -> None:
    image = data_set.images[0]

    statistics = prepared_statistics(data_set, data_set.images[:1], SIZE_PX, tmp_path / "cache")

    display = data_set.read_display(image)
    assert statistics == (image_statistics(to_network_input(display, SIZE_PX)),)


def test_an_image_without_a_breast_has_no_statistics(data_set: DataSet, tmp_path: Path) -> None:
    cv2.imwrite(str(data_set.images[1].path), np.zeros((128, 128), np.uint8))

    statistics = prepared_statistics(data_set, data_set.images[:3], SIZE_PX, tmp_path / "cache")

    assert [each is not None for each in statistics] == [True, False, True]
