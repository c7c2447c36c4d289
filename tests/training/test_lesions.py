from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_set_layouts import COLUMNS, ROWS, lesion_of, write_cbis_ddsm

from model.preprocess import to_network_input
from training.datasets import Box, DataSet, Label, LabelledImage, cbis_ddsm
from training.lesions import lesion_boxes, lesion_mask, lesions_in_input

SIZE = (ROWS, COLUMNS)


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    return cbis_ddsm.read(write_cbis_ddsm(tmp_path))


@pytest.fixture
def two_lesions(data_set: DataSet) -> LabelledImage:
    return next(
        image
        for image in data_set.images
        if image.patient_id == "P_00173" and len(image.masks) == 2
    )


def test_a_mask_has_the_box_around_it(two_lesions: LabelledImage) -> None:
    boxes = lesion_boxes(two_lesions, SIZE)

    assert len(boxes) == 2
    for number, box in enumerate(boxes, start=1):
        lesion = lesion_of("R", number)
        assert box.label is Label.BENIGN
        assert (box.top + box.bottom) / 2 == pytest.approx(lesion.row, abs=1)
        assert (box.left + box.right) / 2 == pytest.approx(lesion.column, abs=1)
        assert box.bottom - box.top == pytest.approx(2 * lesion.radius, abs=1.5)


def test_the_mask_of_another_scan_is_brought_to_the_films_size(
    two_lesions: LabelledImage, tmp_path: Path
) -> None:
    half = np.zeros((ROWS // 2, COLUMNS // 2), np.uint8)
    half[10:20, 30:40] = 255
    cv2.imwrite(str(tmp_path / "half.png"), half)
    image = replace(two_lesions, masks=(tmp_path / "half.png",), mask_labels=())

    assert lesion_boxes(image, SIZE) == (Box(top=20.0, left=60.0, bottom=40.0, right=80.0),)


def test_boxes_and_masks_are_drawn_together(two_lesions: LabelledImage) -> None:
    image = replace(two_lesions, boxes=(Box(top=2.0, left=3.0, bottom=6.0, right=8.0),))

    mask = lesion_mask(image, SIZE)

    assert mask[2:6, 3:8].all()
    assert mask[:10, :20].sum() == 4 * 5
    for number in (1, 2):
        lesion = lesion_of("R", number)
        assert mask[round(lesion.row), round(lesion.column)]


def test_a_small_lesion_is_still_there_on_a_small_picture() -> None:
    image = LabelledImage(
        path=Path("none"),
        patient_id="1",
        label=Label.MALIGNANT,
        source="made up",
        boxes=(Box(top=1000.0, left=500.0, bottom=1010.0, right=510.0),),
    )

    mask = lesion_mask(image, (4000, 3000), (64, 48))

    assert 1 <= mask.sum() <= 4
    assert mask[1005 * 64 // 4000, 505 * 48 // 3000]


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_lesion_follows_its_image_into_the_networks_input(data_set: DataSet, side: str) -> None:
    image = next(image for image in data_set.images if image.laterality == side)
    network_input = to_network_input(data_set.read_display(image), (224, 168))

    inside = lesions_in_input(image, network_input.geometry)

    lesion = lesion_of(side)
    row, column = network_input.geometry.to_input(lesion.row, lesion.column)
    middle = np.argwhere(inside).mean(axis=0) + 0.5
    assert network_input.geometry.is_mirrored == (side == "R")
    if len(image.masks) == 1:
        np.testing.assert_allclose(middle, (row, column), atol=1.0)
    # The phantom's lesion is the brightest thing in it.
    assert network_input.pixels[inside].mean() > network_input.pixels[
        network_input.breast_mask & ~inside
    ].mean()  # fmt: skip


def test_what_the_crop_cuts_off_is_not_in_the_input(data_set: DataSet) -> None:
    image = replace(
        data_set.images[0],
        masks=(),
        mask_labels=(),
        boxes=(Box(top=0.0, left=0.0, bottom=ROWS, right=COLUMNS),),
    )
    network_input = to_network_input(data_set.read_display(image), (224, 168))

    inside = lesions_in_input(image, network_input.geometry)

    content = network_input.geometry.content
    assert inside.sum() == content.height * content.width
