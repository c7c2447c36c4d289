from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from drawn_breasts import write_rsna_layout

from model.manifest import NOT_FOR_DIAGNOSTIC_USE, read_manifest
from model.network import build, load
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.classes import labels
from training.datasets import DataSet, Split, rsna
from training.evaluate import EVALUATION_FILE, Evaluation, auc, evaluate
from training.export import ExportError, export, store_kernels_as_float16
from training.input_pipeline import prepared_crops
from training.predict import malignancy
from training.settings import Stage, TrainingSettings
from training.splits import by_split

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SIZE_PX = (64, 48)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = write_rsna_layout(tmp_path_factory.mktemp("data") / "rsna", patients=80)
    return rsna.read(folder)


@pytest.fixture(scope="module")
def run(data_set: DataSet, tmp_path_factory: pytest.TempPathFactory) -> TrainingSettings:
    """A run whose chosen weights are seeded and random: evaluation does not mind."""
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(3)
    model = build(SIZE_PX)
    images = by_split(data_set.images)[Split.VALIDATION]
    crops = prepared_crops(data_set, images, SIZE_PX, folder / "crops")
    outputs = malignancy(model, crops)
    log_odds = np.log(outputs / (1 - outputs))
    # Untrained, it says nearly the same of every image, and may rank them the wrong way round:
    # neither could be calibrated.
    sign = 1.0 if auc(outputs, labels(images)) > 0.5 else -1.0
    kernel, bias = model.get_layer("softmax").get_weights()
    gain = sign / log_odds.std()
    centred = bias - np.array([0.0, log_odds.mean()])
    model.get_layer("softmax").set_weights([kernel * gain, centred * gain])
    model.save_weights(folder / CHOSEN_WEIGHTS_FILE)
    return TrainingSettings(
        data_folder=folder,
        out_folder=folder,
        start_weights="none",
        start_weights_origin="random, seeded",
        name="drawn",
        version="0.1.0",
        input_size_px=SIZE_PX,
        crop_size_px=(80, 60),
        seed=1,
        batch_size=4,
        negatives_per_positive=1.5,
        weight_decay=0.004,
        label_smoothing=0.05,
        dropout=0.1,
        stages=(
            Stage(
                epochs=1,
                learning_rate=1e-3,
                warm_up_epochs=0.0,
                frozen_prefixes=(),
                averaged_epochs=1,
            ),
        ),
    )


@pytest.fixture(scope="module")
def evaluation(data_set: DataSet, run: TrainingSettings) -> Evaluation:
    return evaluate(data_set, run)


def test_an_evaluation_measures_both_held_out_splits(evaluation: Evaluation) -> None:
    for figures in (evaluation.figures.validation, evaluation.figures.test):
        assert figures.images == 4 * figures.patients
        assert (
            0.0 <= figures.image_auc.low <= figures.image_auc.value <= figures.image_auc.high <= 1
        )
    assert evaluation.operating_point.specificity >= 0.90
    # Both views of a drawn breast carry its label.
    assert evaluation.mixed_breasts == 0


def test_evaluated_weights_are_not_scored_again(
    data_set: DataSet, run: TrainingSettings, evaluation: Evaluation
) -> None:
    written = (run.out_folder / EVALUATION_FILE).stat().st_mtime_ns

    assert evaluate(data_set, run) == evaluation
    assert (run.out_folder / EVALUATION_FILE).stat().st_mtime_ns == written


def test_exported_weights_load_and_score_as_the_chosen_ones(
    data_set: DataSet, run: TrainingSettings, evaluation: Evaluation, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"

    manifest = export(data_set, run, folder)

    assert read_manifest(folder) == manifest
    assert manifest.calibration == evaluation.calibration
    assert manifest.figures == evaluation.figures
    crops = np.random.default_rng(0).integers(0, 256, (4, *SIZE_PX), np.uint8)
    before = build(SIZE_PX)
    before.load_weights(run.out_folder / CHOSEN_WEIGHTS_FILE)
    # float16 keeps eleven bits of a kernel.
    np.testing.assert_allclose(
        malignancy(load(manifest, folder), crops), malignancy(before, crops), atol=0.005
    )


def test_card_and_licence_say_what_the_manifest_says(
    data_set: DataSet, run: TrainingSettings, evaluation: Evaluation, tmp_path: Path
) -> None:
    manifest = export(data_set, run, tmp_path / "weights")

    card = (tmp_path / "weights" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert NOT_FOR_DIAGNOSTIC_USE in card
    assert f"{evaluation.figures.test.image_auc.value:.3f}" in card
    assert all(gap in card for gap in manifest.known_gaps)
    licence = (tmp_path / "weights" / "LICENSE").read_text(encoding="utf-8")
    assert "non-commercial" in licence
    assert data_set.citation in licence


def test_weights_that_changed_since_they_were_evaluated_are_not_exported(
    data_set: DataSet, run: TrainingSettings, evaluation: Evaluation, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    export(data_set, run, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    elsewhere = run.model_copy(update={"out_folder": tmp_path / "run"})
    elsewhere.out_folder.mkdir()
    (elsewhere.out_folder / EVALUATION_FILE).write_text(evaluation.model_dump_json())
    build(SIZE_PX).save_weights(elsewhere.out_folder / CHOSEN_WEIGHTS_FILE)

    with pytest.raises(ExportError, match="evaluate again"):
        export(data_set, elsewhere, folder)

    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert not list(tmp_path.glob(".export-*"))


def test_only_kernels_are_stored_as_float16(run: TrainingSettings, tmp_path: Path) -> None:
    small = tmp_path / "small.weights.h5"

    store_kernels_as_float16(run.out_folder / CHOSEN_WEIGHTS_FILE, small)

    kinds: dict[int, set[str]] = {}

    def look(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            kinds.setdefault(min(item.ndim, 2), set()).add(str(item.dtype))

    with h5py.File(small) as file:
        file.visititems(look)
    assert kinds[2] == {"float16"}
    assert kinds[1] == {"float32"}
    original = (run.out_folder / CHOSEN_WEIGHTS_FILE).stat().st_size
    assert small.stat().st_size < 0.56 * original
