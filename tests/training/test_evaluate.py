from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluated_runs import SIZE_PX, drawn_data_set, write_run

from model.errors import WeightsError
from model.manifest import MANIFEST_FILE, Manifest, read_manifest
from model.network import THREE_CLASSES, build
from networks import write_untrained_weights
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.datasets import Box, DataSet, Label, Split
from training.errors import DataSetError, RunError
from training.evaluate import EVALUATION_FOLDER, evaluate, evaluate_weights
from training.evaluation.levels import LevelName
from training.evaluation.report import REPORT_FILE, read_evaluation
from training.evaluation.scores import read_scores
from training.settings import TrainingSettings

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "rsna"


@pytest.fixture(scope="module")
def data_set(data_folder: Path) -> DataSet:
    return drawn_data_set(data_folder, patients=60)


@pytest.fixture(scope="module")
def run(
    data_set: DataSet, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> TrainingSettings:
    return write_run(data_set, data_folder, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def manifest(data_set: DataSet, run: TrainingSettings) -> Manifest:
    return evaluate(data_set, run)


def test_both_held_out_splits_are_measured_and_stated(manifest: Manifest) -> None:
    assert manifest.figures is not None
    for figures in (manifest.figures.validation, manifest.figures.test):
        assert figures.images == 4 * figures.patients
        for name in ("image_auc", "breast_auc", "patient_auc", "image_f1", "image_accuracy"):
            found = getattr(figures, name)
            assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert manifest.operating_point.specificity >= 0.90


def test_an_evaluated_run_is_a_folder_of_weights(run: TrainingSettings, manifest: Manifest) -> None:
    assert read_manifest(run.out_folder) == manifest
    assert manifest.weights_file == CHOSEN_WEIGHTS_FILE


def test_each_split_has_its_report_figures_and_scores(
    run: TrainingSettings, manifest: Manifest
) -> None:
    assert manifest.figures is not None
    for split, stated in (
        (Split.VALIDATION, manifest.figures.validation),
        (Split.TEST, manifest.figures.test),
    ):
        folder = run.out_folder / EVALUATION_FOLDER / split
        evaluation, table = read_evaluation(folder), read_scores(folder)
        assert evaluation.split == split
        assert evaluation.measured.level(LevelName.IMAGE).figures["auc"] == stated.image_auc
        assert evaluation.measured.control_auc == stated.shortcut_auc
        assert len(table.images) == stated.images
        assert "Grad-CAM" in (folder / REPORT_FILE).read_text(encoding="utf-8")
        # Both views of a drawn breast carry its label.
        assert evaluation.mixed_breasts == 0
    assert "flatter" in " ".join(
        read_evaluation(run.out_folder / EVALUATION_FOLDER / Split.VALIDATION).cautions
    )


def test_evaluated_weights_are_not_scored_again(
    data_set: DataSet, run: TrainingSettings, manifest: Manifest
) -> None:
    written = (run.out_folder / MANIFEST_FILE).stat().st_mtime_ns

    assert evaluate(data_set, run) == manifest
    assert (run.out_folder / MANIFEST_FILE).stat().st_mtime_ns == written


@pytest.mark.slow
def test_the_weights_of_a_run_are_measured_alike_by_their_folder(
    data_set: DataSet, run: TrainingSettings, manifest: Manifest, tmp_path: Path
) -> None:
    evaluation = evaluate_weights(
        run.out_folder,
        data_set,
        data_folder=run.data_folder,
        split=Split.TEST,
        to=tmp_path / "again",
        seed=run.seed,
    )

    assert manifest.figures is not None
    found = evaluation.measured.level(LevelName.PATIENT).figures["auc"]
    assert found == manifest.figures.test.patient_auc
    assert evaluation.cautions == ()


@pytest.mark.slow
def test_weights_of_three_classes_are_measured_on_images_of_three_classes(
    data_set: DataSet, data_folder: Path, tmp_path: Path
) -> None:
    weights = write_untrained_weights(
        tmp_path / "weights", input_size_px=SIZE_PX, classes=THREE_CLASSES
    )
    others = (Label.NORMAL, Label.BENIGN)
    box = Box(top=40, left=20, bottom=80, right=100)
    images = tuple(
        replace(
            image,
            label=Label.MALIGNANT if image.is_cancer else others[row % 2],
            boxes=(box,) if image.is_cancer else (),
        )
        for row, image in enumerate(data_set.images[:120])
    )
    other = replace(data_set, images=images, citation="Another.", name="Another data set")

    evaluation = evaluate_weights(
        weights, other, data_folder=data_folder, split=None, to=tmp_path / "made"
    )

    assert evaluation.split == "all"
    assert evaluation.weights.classes == THREE_CLASSES
    by_image = evaluation.measured.level(LevelName.IMAGE)
    assert by_image.of_classes is not None
    assert evaluation.pointing_game is not None
    assert evaluation.pointing_game.images == by_image.cancers
    assert evaluation.control_fitted_on == "fitted across five folds of these patients"
    assert "trained on other data" in evaluation.cautions[0]
    outputs = read_scores(tmp_path / "made").outputs
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0, rtol=1e-5)


def test_weights_that_are_not_those_of_their_manifest_are_refused(
    data_set: DataSet, data_folder: Path, tmp_path: Path
) -> None:
    weights = write_untrained_weights(tmp_path / "weights", input_size_px=SIZE_PX)
    with (weights / read_manifest(weights).weights_file).open("ab") as file:
        file.write(b"\0")

    with pytest.raises(WeightsError, match="SHA-256"):
        evaluate_weights(
            weights, data_set, data_folder=data_folder, split=None, to=tmp_path / "made"
        )

    assert not (tmp_path / "made").exists()


@pytest.mark.slow
def test_weights_trained_on_a_part_of_the_data_are_said_to_be(
    data_set: DataSet, data_folder: Path, run: TrainingSettings, manifest: Manifest, tmp_path: Path
) -> None:
    joined = replace(
        data_set,
        name=f"{data_set.name} + another",
        citation=f"{data_set.citation} And another.",
        images=data_set.images[:80],
    )

    evaluation = evaluate_weights(
        run.out_folder, joined, data_folder=data_folder, split=Split.TEST, to=tmp_path / "made"
    )

    assert evaluation.cautions[0].startswith("The weights were trained on another part of these")


def test_a_run_that_has_not_come_to_its_end_is_named_with_what_to_do(
    data_set: DataSet, run: TrainingSettings, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"expected a run that came to its end.*training fit"):
        evaluate(data_set, run.model_copy(update={"out_folder": tmp_path}))


def test_a_split_without_an_image_is_named(
    data_set: DataSet, data_folder: Path, tmp_path: Path
) -> None:
    weights = write_untrained_weights(tmp_path / "weights", input_size_px=SIZE_PX)

    with pytest.raises(DataSetError, match=r"a breast in test; found 0 images.*--split"):
        evaluate_weights(
            weights,
            replace(data_set, images=()),
            data_folder=data_folder,
            split=Split.TEST,
            to=tmp_path / "made",
        )


def test_a_validation_split_of_one_class_is_named(
    data_set: DataSet, run: TrainingSettings, tmp_path: Path
) -> None:
    settings = run.model_copy(update={"out_folder": tmp_path})
    build(SIZE_PX).save_weights(tmp_path / CHOSEN_WEIGHTS_FILE)
    healthy = tuple(image for image in data_set.images if not image.is_cancer)

    with pytest.raises(DataSetError, match="with and without cancer; found 0 with cancer"):
        evaluate(replace(data_set, images=healthy), settings)


@pytest.mark.slow
def test_weights_that_tell_nothing_apart_are_not_calibrated(
    data_set: DataSet, run: TrainingSettings, tmp_path: Path
) -> None:
    settings = run.model_copy(update={"out_folder": tmp_path})
    model = build(SIZE_PX)
    model.load_weights(run.out_folder / CHOSEN_WEIGHTS_FILE)
    kernel, bias = model.get_layer("softmax").get_weights()
    model.get_layer("softmax").set_weights([kernel[:, ::-1], bias[::-1]])
    model.save_weights(tmp_path / CHOSEN_WEIGHTS_FILE)

    with pytest.raises(RunError, match="outputs that rise with cancer"):
        evaluate(data_set, settings)
