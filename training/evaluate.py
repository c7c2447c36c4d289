"""What the chosen weights reach, by image, breast and patient, with intervals and a control.

Validation chooses calibration, roll-up and operating point; then, once, the test split is scored.
"""

import json
import logging
from collections.abc import Callable, Sequence
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.manifest import (
    AnyCalibration,
    Figures,
    Interval,
    OperatingPoint,
    RegionRule,
    RollUp,
    SplitFigures,
    sha256_of,
)
from model.network import build
from model.preprocess import to_network_input
from training.calibrate import (
    calibrated,
    choose_operating_point,
    choose_roll_up,
    fit_calibration,
    roll_up,
)
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.classes import labels
from training.datasets import DataSet, LabelledImage, Split
from training.input_pipeline import prepared_crops
from training.predict import malignancy
from training.settings import TrainingSettings
from training.splits import by_split

logger = logging.getLogger(__name__)

Float64Array = npt.NDArray[np.float64]
Uint8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
Statistic = Callable[[Float64Array, BoolArray], float]

EVALUATION_FILE = "evaluation.json"
_SPECIFICITY = 0.90
_RESAMPLES = 1000


class Evaluation(BaseModel):
    """What export needs beside the weights; kept in ``evaluation.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_sha256: str
    calibration: AnyCalibration
    roll_up: RollUp
    operating_point: OperatingPoint
    region_rule: RegionRule
    figures: Figures
    images_without_breast: int
    """Images of validation and test in which no breast was found; in no figure."""
    mixed_breasts: int
    """Breasts of validation and test whose images have different labels: a check on `breasts`."""


def evaluate(data_set: DataSet, settings: TrainingSettings) -> Evaluation:
    """Evaluate the chosen weights of a run.

    Parameters
    ----------
    data_set
        The one that the run was trained on.
    settings
        Those of the run.

    Returns
    -------
    evaluation
        Also written to ``evaluation.json``. Weights that have been evaluated are not scored on the
        test split again: what is on file is returned.
    """
    weights = settings.out_folder / CHOSEN_WEIGHTS_FILE
    file = settings.out_folder / EVALUATION_FILE
    digest = sha256_of(weights)
    if file.exists():
        known = Evaluation.model_validate_json(file.read_text(encoding="utf-8"))
        if known.weights_sha256 == digest:
            return known
    model = build(settings.input_size_px, dropout=settings.dropout)
    model.load_weights(weights)
    cache = settings.out_folder / "crops"
    images = by_split(data_set.images)
    crops = {
        split: prepared_crops(
            data_set,
            images[split],
            settings.crop_size_px if split is Split.TRAIN else settings.input_size_px,
            cache,
        )
        for split in Split
    }
    without_breast = 0
    for split in _HELD_OUT:
        # As in a node: an image in which no breast is found is not scored.
        has_breast = np.any(crops[split], axis=(1, 2))
        without_breast += int((~has_breast).sum())
        crops[split] = crops[split][has_breast]
        images[split] = tuple(compress(images[split], has_breast.tolist()))
    breasts = {split: breasts_of(data_set, images[split]) for split in _HELD_OUT}

    validation = images[Split.VALIDATION]
    outputs = malignancy(model, crops[Split.VALIDATION])
    calibration = fit_calibration(outputs, labels(validation))
    scores = {Split.VALIDATION: calibrated(calibration, outputs)}
    rules = choose_roll_up(
        scores[Split.VALIDATION],
        labels(validation),
        breasts[Split.VALIDATION],
        [image.patient_id for image in validation],
    )
    breast_scores, breast_truth, _ = roll_up(
        scores[Split.VALIDATION],
        labels(validation),
        breasts[Split.VALIDATION],
        rules.views_to_breast,
    )
    point = choose_operating_point(breast_scores, breast_truth, _SPECIFICITY)

    # Everything is chosen: now, and only now, the test split.
    scores[Split.TEST] = calibrated(calibration, malignancy(model, crops[Split.TEST]))
    control = _fit_control(crops[Split.TRAIN], labels(images[Split.TRAIN]))
    figures = {
        split: split_figures(
            images[split],
            breasts[split],
            scores[split],
            _apply_control(control, crops[split]),
            rules,
            point,
            seed=settings.seed,
        )
        for split in _HELD_OUT
    }
    evaluation = Evaluation(
        weights_sha256=digest,
        calibration=calibration,
        roll_up=rules,
        operating_point=point,
        region_rule=RegionRule(
            score_at_least=point.threshold,
            heat_map_at_least=0.5,
            area_at_least=0.003,
            regions_at_most=2,
        ),
        figures=Figures(validation=figures[Split.VALIDATION], test=figures[Split.TEST]),
        images_without_breast=without_breast,
        mixed_breasts=sum(_count_mixed(images[split], breasts[split]) for split in _HELD_OUT),
    )
    file.write_text(evaluation.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return evaluation


_HELD_OUT = (Split.VALIDATION, Split.TEST)


def breasts_of(data_set: DataSet, images: Sequence[LabelledImage]) -> list[str]:
    """Say which breast of which patient each image shows.

    Parameters
    ----------
    data_set
        Without laterality: the side on which the chest wall lies in the image stands for it.
    images
        Some of its rows.

    Returns
    -------
    breasts
        One name an image, the same for images of the same breast.
    """
    return [
        f"{image.patient_id}/{'right' if _is_mirrored(data_set, image) else 'left'}"
        for image in images
    ]


def split_figures(
    images: Sequence[LabelledImage],
    breasts: Sequence[str],
    scores: Float64Array,
    control_scores: Float64Array,
    rules: RollUp,
    point: OperatingPoint,
    *,
    seed: int,
) -> SplitFigures:
    """Measure one split.

    Parameters
    ----------
    images
        Rows of the split.
    breasts
        From `breasts_of`.
    scores
        Shape (images,), calibrated.
    control_scores
        Shape (images,): the control's, in [0, 1].
    rules
        How images become breasts and patients.
    point
        Where a breast is called.
    seed
        Of the bootstrap.

    Returns
    -------
    figures
        Values with 95 % intervals from 1,000 resamplings of patients.
    """
    truth = labels(images)
    patients = [image.patient_id for image in images]
    patient_of = dict(zip(breasts, patients, strict=True))
    breast_scores, breast_truth, names = roll_up(scores, truth, breasts, rules.views_to_breast)
    breast_patients = [patient_of[name] for name in names]
    patient_scores, patient_truth, patient_names = roll_up(
        breast_scores, breast_truth, breast_patients, rules.breasts_to_study
    )

    def by_image(statistic: Statistic, values: Float64Array = scores) -> Interval:
        return bootstrap(values, truth, patients, statistic, seed=seed)

    def by_breast(statistic: Statistic) -> Interval:
        return bootstrap(breast_scores, breast_truth, breast_patients, statistic, seed=seed)

    return SplitFigures(
        patients=len(patient_names),
        images=len(images),
        cancer_images=int(truth.sum()),
        image_auc=by_image(auc),
        breast_auc=by_breast(auc),
        patient_auc=bootstrap(patient_scores, patient_truth, patient_names, auc, seed=seed),
        image_sensitivity_at_90_specificity=by_image(sensitivity_at_90_specificity),
        breast_sensitivity=by_breast(
            lambda values, is_cancer: float((values[is_cancer] >= point.threshold).mean())
        ),
        breast_specificity=by_breast(
            lambda values, is_cancer: float((values[~is_cancer] < point.threshold).mean())
        ),
        image_brier=by_image(lambda values, is_cancer: float(((values - is_cancer) ** 2).mean())),
        shortcut_auc=by_image(auc, control_scores),
    )


def auc(scores: Float64Array, is_cancer: BoolArray) -> float:
    """Area under the ROC curve.

    Parameters
    ----------
    scores
        Shape (rows,).
    is_cancer
        Shape (rows,), with both classes in it.

    Returns
    -------
    auc
        In [0, 1]; 0.5 is chance.
    """
    # Mann and Whitney's U from ranks: ten times faster than roc_auc_score, and the bootstrap
    # needs thousands.
    ranks = rankdata(scores)
    positives = int(is_cancer.sum())
    u_statistic = ranks[is_cancer].sum() - positives * (positives + 1) / 2
    return float(u_statistic / (positives * (len(scores) - positives)))


def sensitivity_at_90_specificity(scores: Float64Array, is_cancer: BoolArray) -> float:
    """Largest sensitivity of any threshold with a specificity of at least 0.90.

    Parameters
    ----------
    scores
        Shape (rows,).
    is_cancer
        Shape (rows,), with both classes in it.

    Returns
    -------
    sensitivity
        In [0, 1].
    """
    negatives = np.sort(scores[~is_cancer])
    above_at_most = int(0.10 * len(negatives) + 1e-9)
    return float((scores[is_cancer] > negatives[len(negatives) - above_at_most - 1]).mean())


def bootstrap(
    scores: Float64Array,
    is_cancer: BoolArray,
    patients: Sequence[str],
    statistic: Statistic,
    *,
    seed: int,
) -> Interval:
    """Draw patients with replacement, all their rows with them, and take the middle 95 %.

    Parameters
    ----------
    scores, is_cancer
        Shape (rows,).
    patients
        Whose row each is: rows of one patient are no independent evidence.
    statistic
        Of scores and labels.
    seed
        Of the draws.

    Returns
    -------
    interval
        `value` on the rows as they are; draws with one class only are drawn again.

    Raises
    ------
    ValueError
        If the rows themselves are of one class only: nothing can be measured on them.
    """
    if not 0 < is_cancer.sum() < len(is_cancer):
        raise ValueError(f"expected both classes; found {is_cancer.sum()} of {len(is_cancer)}")
    rng = np.random.default_rng(seed)
    names, places = np.unique(np.asarray(patients), return_inverse=True)
    rows_of = [np.flatnonzero(places == place) for place in range(len(names))]
    values: list[float] = []
    while len(values) < _RESAMPLES:
        drawn = rng.integers(len(names), size=len(names))
        rows = np.concatenate([rows_of[place] for place in drawn])
        if 0 < is_cancer[rows].sum() < len(rows):
            values.append(statistic(scores[rows], is_cancer[rows]))
    low, high = np.percentile(values, (2.5, 97.5))
    return Interval(value=statistic(scores, is_cancer), low=float(low), high=float(high))


def intensity_statistics(crops: Uint8Array) -> Float64Array:
    """Nine numbers an image that know nothing of where anything is.

    Parameters
    ----------
    crops
        Shape (images, height, width), values 0 to 255, air 0: what the network sees.

    Returns
    -------
    statistics
        Shape (images, 9): share of the breast in the input; mean, standard deviation and the
        percentiles 5, 25, 50, 75, 95 and 99 of its grey values.
    """
    rows = []
    for crop in crops:
        breast = crop[crop > 0]
        if breast.size == 0:
            rows.append(np.zeros(9))
            continue
        percentiles = np.percentile(breast, (5, 25, 50, 75, 95, 99))
        rows.append(
            np.concatenate([[breast.size / crop.size, breast.mean(), breast.std()], percentiles])
        )
    return np.array(rows)


def _fit_control(crops: Uint8Array, is_cancer: BoolArray) -> Pipeline:
    """Fit logistic regression on the nine statistics: what a shortcut would reach."""
    control = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    control.fit(intensity_statistics(crops), is_cancer)
    return control


def _apply_control(control: Pipeline, crops: Uint8Array) -> Float64Array:
    """Probability of cancer, from the nine statistics alone."""
    probabilities = control.predict_proba(intensity_statistics(crops))
    return np.asarray(probabilities[:, 1], np.float64)


def _is_mirrored(data_set: DataSet, image: LabelledImage) -> bool:
    """Whether the chest wall is on the right of the stored image."""
    return to_network_input(data_set.read_display(image), (112, 84)).geometry.is_mirrored


def _count_mixed(images: Sequence[LabelledImage], breasts: Sequence[str]) -> int:
    """Breasts that have images of both labels."""
    seen: dict[str, set[bool]] = {}
    for image, breast in zip(images, breasts, strict=True):
        seen.setdefault(breast, set()).add(image.is_cancer)
    return sum(len(found) == 2 for found in seen.values())


def read_evaluation(folder: Path) -> Evaluation:
    """Read what `evaluate` wrote.

    Parameters
    ----------
    folder
        Of the run.

    Returns
    -------
    evaluation
        Of the weights whose digest it names.

    Raises
    ------
    FileNotFoundError
        If the run has not been evaluated.
    """
    return Evaluation.model_validate(json.loads((folder / EVALUATION_FILE).read_text("utf-8")))
