from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from training.datasets import DataSet, Float32Array, LabelledImage, Split, rsna
from training.preview import write_preview
from training.settings import TrainingSettings
from training.splits import split_of


@pytest.fixture
def data_set(tmp_path: Path) -> DataSet:
    return rsna.read(write_rsna_layout(tmp_path / "rsna", patients=12))


def sheet(
    data_set: DataSet, file: Path, **changed: object
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    settings = TrainingSettings.model_validate(
        {"input_size_px": (64, 48), "crop_size_px": (80, 60)} | changed
    )
    write_preview(data_set, settings, file, images=3, twins=4)
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), np.uint8)


def test_the_preview_shows_training_images_alone(data_set: DataSet, tmp_path: Path) -> None:
    read: list[str] = []

    def watch(image: LabelledImage) -> Float32Array:
        read.append(image.patient_id)
        return rsna.read_display(image)

    sheet(replace(data_set, read_display=watch), tmp_path / "preview.png")

    assert len(read) == 3
    assert {split_of(patient) for patient in read} == {Split.TRAIN}


def test_the_twins_hang_on_the_settings_and_on_nothing_else(
    data_set: DataSet, tmp_path: Path
) -> None:
    one = sheet(data_set, tmp_path / "one.png")
    again = sheet(data_set, tmp_path / "again.png")
    calmer = sheet(
        data_set, tmp_path / "calmer.png", augmentation={"brightness": 0.0, "gamma": 0.0}
    )

    np.testing.assert_array_equal(one, again)
    assert calmer.shape == one.shape
    assert np.abs(calmer.astype(int) - one).max() > 20
