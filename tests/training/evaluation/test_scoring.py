from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from model.network import build
from training.datasets import DataSet, Float32Array, LabelledImage, rsna
from training.evaluation.scoring import score_images
from training.predict import softmax

SIZE_PX = (64, 48)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(2)
    return build(SIZE_PX)


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    return rsna.read(write_rsna_layout(tmp_path / "rsna", patients=3))


def test_every_image_has_the_networks_output_its_crop_and_its_breast(
    model: keras.Model, data_set: DataSet, tmp_path: Path
) -> None:
    scored = score_images(model, data_set, data_set.images, SIZE_PX, tmp_path)

    assert scored.images == data_set.images
    assert scored.without_breast == 0
    np.testing.assert_array_equal(scored.outputs, softmax(model, scored.crops))
    assert len(set(scored.breasts)) == 6
    assert scored.mixed_breasts == 0
    assert scored.patient_ids[:5] == ["0", "0", "0", "0", "1"]


def test_an_image_of_air_is_left_out_and_counted(
    model: keras.Model, data_set: DataSet, tmp_path: Path
) -> None:
    first = data_set.images[0]

    def read_display(image: LabelledImage) -> Float32Array:
        display = data_set.read_display(image)
        return np.zeros_like(display) if image is first else display

    airy = replace(data_set, read_display=read_display)

    scored = score_images(model, airy, airy.images, SIZE_PX, tmp_path)

    assert scored.without_breast == 1
    assert scored.images == data_set.images[1:]
    assert len(scored.outputs) == len(scored.geometries) == len(scored.crops) == 11


def test_no_image_has_no_output(model: keras.Model, data_set: DataSet, tmp_path: Path) -> None:
    scored = score_images(model, data_set, (), SIZE_PX, tmp_path)

    assert scored.images == ()
    assert scored.outputs.shape == (0, 2)
