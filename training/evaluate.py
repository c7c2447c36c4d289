"""What weights reach: those of a run, on their own held-out splits; any weights, on any data set.

Of a run, validation chooses calibration, roll-up and operating point; then, once, the test split is
scored. The run's folder gets a manifest, and is from then on a folder of weights like any other.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.errors import WeightsError
from model.manifest import (
    MANIFEST_FILE,
    NOT_FOR_DIAGNOSTIC_USE,
    Figures,
    Interval,
    Manifest,
    RegionRule,
    SplitFigures,
    read_manifest,
    sha256_of,
)
from model.network import GRAD_CAM_LAYER, build, load, network_id
from model.preprocess import PREPROCESS_VERSION
from training.calibrate import (
    calibrated,
    choose_operating_point,
    choose_roll_up,
    fit_calibration,
    roll_up,
)
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.classes import class_names, labels
from training.datasets import DataSet, Split
from training.errors import DataSetError, RunError
from training.evaluation.assess import assess, classifier_of
from training.evaluation.control import control_across_folds, control_trained_on
from training.evaluation.figures import Measured
from training.evaluation.levels import LevelName
from training.evaluation.report import Evaluation
from training.evaluation.scoring import ScoredImages, score_images
from training.prepared_crops import prepared_crops
from training.reference import reference_of
from training.run_data import origin_of_start, trained_on
from training.settings import TrainingSettings
from training.splits import by_split
from training.whole_file import whole_file

BoolArray = npt.NDArray[np.bool_]

EVALUATION_FOLDER = "evaluation"
"""In a run's folder: one folder a split."""
HELD_OUT = (Split.VALIDATION, Split.TEST)
"""What a run is evaluated on, in this order."""
_SPECIFICITY = 0.90
_CROPS_FOLDER = "crops"


def evaluate(data_set: DataSet, settings: TrainingSettings) -> Manifest:
    """Evaluate the chosen weights of a run on its validation and test split.

    Parameters
    ----------
    data_set
        The one that the run was trained on.
    settings
        Those of the run.

    Returns
    -------
    manifest
        With the figures; also written to the run's folder, beside the weights it describes. Each
        split has its report in ``evaluation/``. Weights that have been evaluated are not scored on
        the test split again: what is on file is returned.

    Raises
    ------
    DataSetError
        If validation or test has images of one class only.
    RunError
        If the folder holds no run that came to its end, or its weights tell nothing apart.
    """
    folder = settings.out_folder
    known = _known(folder)
    if known is not None:
        return known
    if not (folder / CHOSEN_WEIGHTS_FILE).is_file():
        raise RunError(
            where=folder,
            expected=f"a run that came to its end, with its {CHOSEN_WEIGHTS_FILE}",
            found="no such file",
            to_do="Train first: `python -m training fit`, which also goes on with a run that was "
            "interrupted; or name the run's folder with --out.",
        )
    images = by_split(data_set.images)
    for split in HELD_OUT:
        _require_both_classes(split, labels(images[split]))
    model = build(settings.input_size_px, classes=class_names(settings.classes))
    model.load_weights(folder / CHOSEN_WEIGHTS_FILE)
    cache = folder / _CROPS_FOLDER
    validation = score_images(
        model, data_set, images[Split.VALIDATION], settings.input_size_px, cache
    )
    manifest = _choose(validation, data_set, settings)
    manifest = manifest.model_copy(update={"reference": reference_of(validation, manifest)})

    # Everything is chosen: now, and only now, the test split.
    test = score_images(model, data_set, images[Split.TEST], settings.input_size_px, cache)
    train_crops = prepared_crops(data_set, images[Split.TRAIN], settings.crop_size_px, cache)
    classifier = classifier_of(model, manifest)
    figures: dict[Split, SplitFigures] = {}
    for split, scored in zip(HELD_OUT, (validation, test), strict=True):
        control = control_trained_on(train_crops, labels(images[Split.TRAIN]), scored.crops)
        evaluation = assess(
            scored,
            control,
            classifier,
            manifest,
            data_set,
            settings.data_folder,
            split=split,
            control_fitted_on="fitted on the training split",
            seed=settings.seed,
            to=folder / EVALUATION_FOLDER / split,
        )
        figures[split] = _split_figures(evaluation.measured)
    manifest = manifest.model_copy(
        update={"figures": Figures(validation=figures[Split.VALIDATION], test=figures[Split.TEST])}
    )
    with whole_file(folder / MANIFEST_FILE) as file:
        file.write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def evaluate_weights(
    weights_folder: Path,
    data_set: DataSet,
    *,
    data_folder: Path,
    split: Split | None,
    to: Path,
    seed: int = 0,
) -> Evaluation:
    """Evaluate weights that are finished, on any data set; nothing is chosen or fitted to it.

    Parameters
    ----------
    weights_folder
        Holds a manifest and the weights it describes: exported, or a run that was evaluated.
    data_set
        Any.
    data_folder
        Where it lies: the names of images in the table are inside it.
    split
        Of the data set; None: all its images.
    to
        Folder for the report, the figures and the scores.
    seed
        Of the resamplings.

    Returns
    -------
    evaluation
        Also written to `to`. The control is fitted on the data set's training split or, where that
        is among the images evaluated, across folds of them.

    Raises
    ------
    WeightsError
        If the weights cannot be used.
    DataSetError
        If no image is left to evaluate.
    """
    manifest = read_manifest(weights_folder)
    manifest.require_preprocessing(PREPROCESS_VERSION)
    model = load(manifest, weights_folder)
    by_name = by_split(data_set.images)
    images = data_set.images if split is None else by_name[split]
    cache = to / _CROPS_FOLDER
    scored = score_images(model, data_set, images, manifest.input_size_px, cache)
    if not scored.images:
        raise DataSetError(
            where=data_folder,
            expected=f"images with a breast in {split or 'the data set'}",
            found=f"{len(images)} images, none with a breast",
            to_do="Name another --split, or look at the data set with `inspect`.",
        )
    train = by_name[Split.TRAIN]
    if split in HELD_OUT and 0 < labels(train).sum() < len(train):
        crops = prepared_crops(data_set, train, manifest.input_size_px, cache)
        control = control_trained_on(crops, labels(train), scored.crops)
        control_fitted_on = "fitted on the training split"
    else:
        control = control_across_folds(scored.crops, scored.is_cancer, scored.patient_ids)
        control_fitted_on = "fitted across five folds of these patients"
    return assess(
        scored,
        control,
        classifier_of(model, manifest),
        manifest,
        data_set,
        data_folder,
        split=split,
        control_fitted_on=control_fitted_on,
        seed=seed,
        to=to,
    )


def _known(folder: Path) -> Manifest | None:
    """Find the figures that are on file of the weights as they are now."""
    try:
        manifest = read_manifest(folder)
    except WeightsError:
        return None
    return manifest if manifest.figures else None


def _choose(
    validation: ScoredImages,
    data_set: DataSet,
    settings: TrainingSettings,
) -> Manifest:
    """Choose calibration, roll-up and operating point on validation, and write them down."""
    is_cancer = validation.is_cancer
    _require_both_classes(Split.VALIDATION, is_cancer)
    outputs = validation.outputs[:, -1]
    calibration = fit_calibration(outputs, is_cancer, method=settings.calibration)
    scores = calibrated(calibration, outputs)
    rules = choose_roll_up(scores, is_cancer, validation.breasts, validation.patient_ids)
    breast_scores, breast_truth, _ = roll_up(
        scores, is_cancer, validation.breasts, rules.views_to_breast
    )
    classes = class_names(settings.classes)
    operating_point = choose_operating_point(breast_scores, breast_truth, _SPECIFICITY)
    return Manifest(
        name=settings.name,
        version=settings.version,
        weights_file=CHOSEN_WEIGHTS_FILE,
        sha256=sha256_of(settings.out_folder / CHOSEN_WEIGHTS_FILE),
        network=network_id(classes),
        input_size_px=settings.input_size_px,
        preprocess_version=PREPROCESS_VERSION,
        classes=classes,
        grad_cam_layer=GRAD_CAM_LAYER,
        calibration=calibration,
        operating_point=operating_point,
        roll_up=rules,
        region_rule=RegionRule(
            score_at_least=operating_point.threshold,
            heat_map_at_least=0.5,
            area_at_least=0.003,
            regions_at_most=2,
        ),
        figures=None,
        start_weights=origin_of_start(settings),
        training_data=trained_on(data_set, settings),
        licence="Research and education, non-commercial, under the terms of the training data",
        known_gaps=data_set.known_gaps,
        intended_use=NOT_FOR_DIAGNOSTIC_USE,
    )


def _split_figures(measured: Measured) -> SplitFigures:
    """Take what a manifest states."""
    image, breast, patient = (measured.level(name) for name in LevelName)
    found: dict[str, Interval | None] = {
        "image_auc": image.figures["auc"],
        "breast_auc": breast.figures["auc"],
        "patient_auc": patient.figures["auc"],
        "image_average_precision": image.figures["average_precision"],
        "image_sensitivity_at_90_specificity": image.figures["sensitivity_at_90_specificity"],
        "image_accuracy": image.figures["accuracy"],
        "image_precision": image.figures["precision"],
        "image_recall": image.figures["recall"],
        "image_f1": image.figures["f1"],
        "breast_sensitivity": breast.figures["recall"],
        "breast_specificity": breast.figures["specificity"],
        "image_brier": image.figures["brier"],
        "image_calibration_error": image.figures["calibration_error"],
        "shortcut_auc": measured.control_auc,
    }
    return SplitFigures.model_validate(
        {
            "patients": measured.patients,
            "images": image.rows,
            "cancer_images": image.cancers,
            **{name: value for name, value in found.items() if value is not None},
        }
    )


def _require_both_classes(split: Split, is_cancer: BoolArray) -> None:
    """Refuse a split on which nothing can be measured."""
    if not 0 < is_cancer.sum() < len(is_cancer):
        raise DataSetError(
            where=split,
            expected="images with and without cancer",
            found=f"{int(is_cancer.sum())} with cancer among {len(is_cancer)}",
            to_do="Use a data set of more patients; a split by hash needs some dozens.",
        )
