import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from model.network import build
from training.augment import Augmentation
from training.datasets import DataSet, LabelledImage, Split, rsna
from training.fit import (
    CHOSEN_WEIGHTS_FILE,
    adapt_normalisation,
    average_weights,
    fit,
    freeze,
    malignancy,
    start_from,
)
from training.input_pipeline import TrainingBatches
from training.settings import TrainingSettings
from training.splits import split_of

SIZE_PX = (64, 48)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = write_rsna_layout(tmp_path_factory.mktemp("data") / "rsna", patients=18)
    return rsna.read(folder)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in the form of ImageNet's; their numbers are random, seeded."""
    keras.utils.set_random_seed(11)
    trunk = keras.applications.EfficientNetV2B0(
        include_top=False, weights=None, input_shape=(*SIZE_PX, 3)
    )
    file = tmp_path_factory.mktemp("start") / "imagenet.weights.h5"
    trunk.save_weights(file)
    return file


def stage(**changed: object) -> dict[str, object]:
    values: dict[str, object] = {
        "epochs": 1,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warm_up_epochs": 0.5,
        "frozen_prefixes": ("stem", "block1", "block2", "block3"),
        "averaged_epochs": 2,
    }
    return values | changed


def settings_of(imagenet: Path, out_folder: Path, **changed: object) -> TrainingSettings:
    values: dict[str, object] = {
        "data_folder": out_folder,
        "out_folder": out_folder,
        "start_weights": str(imagenet),
        "start_weights_origin": "random",
        "name": "drawn",
        "version": "0.1.0",
        "input_size_px": SIZE_PX,
        "crop_size_px": (80, 60),
        "seed": 1,
        "batch_size": 4,
        "negatives_per_positive": 1.5,
        "weight_decay": 0.004,
        "label_smoothing": 0.05,
        "dropout": 0.1,
        "stages": [stage()],
    }
    return TrainingSettings.model_validate(values | changed)


def test_the_trunk_starts_from_the_weights_given_and_the_head_does_not(imagenet: Path) -> None:
    model = build(SIZE_PX)
    head = [np.array(values) for values in model.get_layer("dense").get_weights()]

    start_from(model, str(imagenet))

    keras.utils.set_random_seed(11)
    trunk = keras.applications.EfficientNetV2B0(
        include_top=False, weights=None, input_shape=(*SIZE_PX, 3)
    )
    for name in ("stem_conv", "block6a_expand_conv", "top_conv"):
        np.testing.assert_array_equal(
            model.get_layer(name).get_weights()[0], trunk.get_layer(name).get_weights()[0]
        )
    np.testing.assert_array_equal(model.get_layer("dense").get_weights()[0], head[0])


def test_normalisation_adapts_to_mammograms_and_kernels_stay() -> None:
    model = build(SIZE_PX)
    crops = np.random.default_rng(0).integers(0, 99, (12, 80, 60), np.uint8)
    batches = TrainingBatches(
        crops,
        np.array([True] * 4 + [False] * 8),
        size_px=SIZE_PX,
        batch_size=4,
        negatives_per_positive=1.0,
        seed=0,
        augmentation=Augmentation(),
    )
    kernel = np.array(model.get_layer("stem_conv").get_weights()[0])
    mean = np.array(model.get_layer("stem_bn").get_weights()[2])

    adapt_normalisation(model, batches)

    np.testing.assert_array_equal(model.get_layer("stem_conv").get_weights()[0], kernel)
    assert np.abs(model.get_layer("stem_bn").get_weights()[2] - mean).max() > 1e-3


def test_frozen_layers_are_those_named() -> None:
    model = build(SIZE_PX)

    freeze(model, ("stem", "block1"))

    frozen = {layer.name for layer in model.layers if not layer.trainable}
    assert {"stem_conv", "stem_bn", "block1a_project_conv"} <= frozen
    assert not any(name.startswith(("block2", "top", "dense")) for name in frozen)


def test_an_average_of_weights_lies_between_them(tmp_path: Path) -> None:
    model = build(SIZE_PX)
    softmax = model.get_layer("softmax")
    files = [tmp_path / f"{number}.weights.h5" for number in (1, 3)]
    for file, value in zip(files, (1.0, 3.0), strict=True):
        softmax.set_weights([np.full_like(part, value) for part in softmax.get_weights()])
        model.save_weights(file)

    average_weights(model, files)

    np.testing.assert_allclose(softmax.get_weights()[0], 2.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_leaves_the_weights_that_validation_chose_and_never_reads_the_test_split(
    data_set: DataSet, imagenet: Path, tmp_path: Path
) -> None:
    read: list[str] = []

    def watch(image: LabelledImage) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        read.append(image.patient_id)
        return rsna.read_display(image)

    choice = fit(replace(data_set, read_display=watch), settings_of(imagenet, tmp_path))

    assert choice.candidate in choice.candidates
    assert choice.validation_image_auc == max(choice.candidates.values())
    assert (tmp_path / CHOSEN_WEIGHTS_FILE).exists()
    history = json.loads((tmp_path / "stage-1" / "history.json").read_text())
    assert history == [choice.candidates["stage 1, epoch 1"]]
    assert {split_of(patient) for patient in read} == {Split.TRAIN, Split.VALIDATION}

    # The same folder again, with a stage more: the first is not run again.
    first_epoch = tmp_path / "stage-1" / "epoch-00.weights.h5"
    written = first_epoch.stat().st_mtime_ns
    longer = fit(
        data_set, settings_of(imagenet, tmp_path, stages=[stage(), stage(frozen_prefixes=())])
    )

    assert {"stage 1, epoch 1", "stage 2, epoch 1"} < set(longer.candidates)
    assert longer.validation_image_auc >= choice.validation_image_auc
    assert first_epoch.stat().st_mtime_ns == written


def test_malignancy_is_the_second_unit_of_the_softmax() -> None:
    model = build(SIZE_PX)
    crops = np.random.default_rng(1).integers(0, 256, (3, *SIZE_PX), np.uint8)

    scores = malignancy(model, crops)

    images = np.repeat(crops[..., None], 3, axis=-1).astype(np.float32)
    np.testing.assert_allclose(scores, np.asarray(model(images))[:, 1], atol=1e-6)
