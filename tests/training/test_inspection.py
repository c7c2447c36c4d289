import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_set_layouts import write_cbis_ddsm, write_class_folders, write_mini_mias
from drawn_breasts import write_rsna_layout

from training.datasets import DataSet, Split, cbis_ddsm, class_folders, mini_mias, rsna
from training.inspection import Count, inspect
from training.splits import assign


@pytest.fixture
def squares(tmp_path: Path) -> DataSet:
    return rsna.read(write_rsna_layout(tmp_path / "rsna", patients=60, size_px=64))


def test_images_and_patients_are_counted_by_split_and_class(squares: DataSet) -> None:
    inspection = inspect(squares)

    assert inspection.all == Count(images=240, patients=60)
    rows = inspection.by_split_and_label
    assert sum(row["malignant"].images for row in rows.values()) == 40
    assert sum(row["malignant"].patients for row in rows.values()) == 20
    assert sum(row["no_cancer"].images for row in rows.values()) == 200
    assert inspection.errors == ()


def test_views_densities_and_lesions_are_counted_where_they_are_known(tmp_path: Path) -> None:
    inspection = inspect(mini_mias.read(write_mini_mias(tmp_path, size_px=128)))

    assert inspection.by_view == {
        "L MLO": Count(images=5, patients=5),
        "R MLO": Count(images=5, patients=5),
    }
    assert inspection.by_density["G"] == Count(images=2, patients=1)
    assert inspection.with_place_of_lesion == 3


def test_the_same_pixels_under_another_name_in_another_split_are_a_leak(squares: DataSet) -> None:
    of_split = {
        split: next(
            i for i, s in zip(squares.images, assign(squares.images), strict=True) if s is split
        )
        for split in Split
    }
    # Losslessly, as another format: equal pixels are looked for, not equal files.
    copy = of_split[Split.TEST].path
    stored = cv2.imread(str(of_split[Split.TRAIN].path), cv2.IMREAD_GRAYSCALE)
    assert stored is not None
    copy.unlink()
    cv2.imwrite(str(copy.with_suffix(".png")), stored)
    images = tuple(
        replace(image, path=copy.with_suffix(".png"), is_inverted=of_split[Split.TRAIN].is_inverted)
        if image.path == copy
        else image
        for image in squares.images
    )

    inspection = inspect(replace(squares, images=images))

    assert len(inspection.leaks) == 1
    assert {name.split("(")[1] for name in inspection.leaks[0]} == {"train)", "test)"}
    assert "1 images are in two splits under different names" in inspection.errors


def test_the_same_pixels_twice_in_one_split_are_said_and_are_no_error(tmp_path: Path) -> None:
    folder = write_class_folders(tmp_path)
    shutil.copy(folder / "Benign/P01/series/1.png", folder / "Benign/P01/series/3.png")

    inspection = inspect(class_folders.read(folder))

    assert len(inspection.duplicates) == 1
    assert inspection.leaks == ()


def test_a_patient_whom_the_publisher_put_into_two_splits_is_an_error(squares: DataSet) -> None:
    images = tuple(
        replace(image, split=Split.TEST if number % 2 else Split.TRAIN)
        for number, image in enumerate(squares.images)
    )

    published = inspect(replace(squares, images=images))
    own = inspect(replace(squares, images=images), keeps_published=False)

    assert len(published.patients_in_two_splits) == 60
    assert "60 patients are in two splits" in published.errors
    assert own.patients_in_two_splits == ()


def test_broken_images_and_masks_are_listed_with_their_files(tmp_path: Path) -> None:
    folder = write_cbis_ddsm(tmp_path)
    data_set = cbis_ddsm.read(folder)
    data_set.images[0].path.write_bytes(b"no image")
    data_set.images[1].masks[0].write_bytes(b"no mask")

    inspection = inspect(data_set)

    assert [str(path) in broken for path, broken in zip(
        (data_set.images[0].path, data_set.images[1].masks[0]), inspection.broken, strict=True
    )] == [True, True]  # fmt: skip
    assert "2 images or masks cannot be read" in inspection.errors


def test_an_image_in_which_no_breast_is_found_is_listed(squares: DataSet) -> None:
    cv2.imwrite(str(squares.images[3].path), np.zeros((64, 64), np.uint8))

    inspection = inspect(squares)

    assert inspection.without_breast == (str(squares.images[3].path),)
    assert inspection.errors == ()


def test_labels_without_images_are_errors(tmp_path: Path) -> None:
    folder = write_mini_mias(tmp_path, size_px=128)
    (folder / "mdb001.pgm").unlink()

    inspection = inspect(mini_mias.read(folder))

    assert inspection.problems == {"label without an image": ("mdb001",)}
    assert "1 labels have no image" in inspection.errors


def test_one_class_alone_is_an_error(squares: DataSet) -> None:
    benign = tuple(image for image in squares.images if not image.is_cancer)

    inspection = inspect(replace(squares, images=benign))

    assert len(inspection.missing_classes) == 3
    assert inspection.errors[0].startswith("train: 0 of ")
