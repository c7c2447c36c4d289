"""From a table of scores to every figure, with its interval, as one document."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from model import statistics
from model.curves import precision_recall_curve, reliability_bins, roc_curve
from model.manifest import OperatingPoint, RollUp
from model.statistics import Sample, Statistic
from training.datasets import Label
from training.evaluation import class_statistics
from training.evaluation.bootstrap import interval, patient_weights
from training.evaluation.class_statistics import ClassSample
from training.evaluation.figures import (
    TITLES,
    ClassFigures,
    Confusion,
    LevelFigures,
    Measured,
    Subgroup,
)
from training.evaluation.levels import Level, levels
from training.evaluation.scores import ScoreTable

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_LEAST_OF_EACH_CLASS = 5
_FREE_OF_THRESHOLD: dict[str, Statistic] = {
    "auc": statistics.auc,
    "average_precision": statistics.average_precision,
    "sensitivity_at_90_specificity": statistics.sensitivity_at_specificity(0.90),
    "specificity_at_90_sensitivity": statistics.specificity_at_sensitivity(0.90),
    "brier": statistics.brier,
    "calibration_error": statistics.calibration_error,
}
_AT_THRESHOLD: dict[str, Callable[[float], Statistic]] = {
    "accuracy": statistics.accuracy_at,
    "precision": statistics.precision_at,
    "recall": statistics.recall_at,
    "specificity": statistics.specificity_of,
    "f1": statistics.f1_at,
}
_OF_CLASSES: dict[str, Callable[[ClassSample], Float64Array]] = {
    "accuracy": class_statistics.class_accuracy,
    "macro_precision": class_statistics.macro_precision,
    "macro_recall": class_statistics.macro_recall,
    "macro_f1": class_statistics.macro_f1,
    "macro_auc": class_statistics.macro_auc,
}


def measure(table: ScoreTable, rules: RollUp, point: OperatingPoint, *, seed: int) -> Measured:
    """Compute every figure of a table of scores.

    Parameters
    ----------
    table
        Of one evaluation.
    rules
        How images become breasts and patients.
    point
        At or above which a row of any level is called.
    seed
        Of the resamplings.

    Returns
    -------
    measured
        Values with 95 % intervals from 1,000 resamplings of patients.

    Raises
    ------
    ValueError
        If there is no image.
    """
    if not table.images:
        raise ValueError("expected scored images; found none in this split of the data set")
    weights = patient_weights(table.patient_ids, seed=seed)
    sample = Sample(scores=table.scores, is_cancer=table.is_cancer, weights=weights)
    control = np.isfinite(table.control).all()
    control_values = (
        statistics.auc(Sample(scores=table.control, is_cancer=table.is_cancer, weights=weights))
        if control
        else np.full(len(weights), np.nan)
    )
    return Measured(
        patients=len(set(table.patient_ids)),
        levels=tuple(
            _level_figures(level, point.threshold, seed=seed) for level in levels(table, rules)
        ),
        control_auc=interval(control_values),
        above_control=interval(statistics.auc(sample) - control_values),
        subgroups=tuple(_subgroups(table, weights)),
    )


def level_statistics(level: Level, threshold: float, *, seed: int) -> dict[str, Float64Array]:
    """Compute the figures of a level for all resamplings, not yet taken together.

    Parameters
    ----------
    level
        Its rows.
    threshold
        At or above which a row is called.
    seed
        Of the resamplings.

    Returns
    -------
    values
        By key of `TITLES`, shape (1 + resamplings,): the figure itself first.
    """
    weights = patient_weights(level.patient_ids, seed=seed)
    sample = Sample(scores=level.scores, is_cancer=level.is_cancer, weights=weights)
    values = {name: statistic(sample) for name, statistic in _FREE_OF_THRESHOLD.items()}
    return values | {name: make(threshold)(sample) for name, make in _AT_THRESHOLD.items()}


def _level_figures(level: Level, threshold: float, *, seed: int) -> LevelFigures:
    """Figures, curves and counts of one level."""
    values = level_statistics(level, threshold, seed=seed)
    once = Sample(
        scores=level.scores, is_cancer=level.is_cancer, weights=np.ones((1, len(level.scores)))
    )
    counts = (int(value[0]) for value in statistics.called(once, threshold))
    true, false, missed, spared = counts
    return LevelFigures(
        level=level.name,
        rows=len(level.scores),
        cancers=int(level.is_cancer.sum()),
        figures={name: interval(values[name]) for name in TITLES if name in values},
        confusion=Confusion(
            true_positives=true,
            false_positives=false,
            false_negatives=missed,
            true_negatives=spared,
        ),
        roc=roc_curve(once),
        precision_recall=precision_recall_curve(once),
        reliability=tuple(reliability_bins(once)),
        of_classes=_class_figures(level, seed=seed),
    )


def _class_figures(level: Level, *, seed: int) -> ClassFigures | None:
    """Figures of three classes, where the labels are of three classes."""
    if level.truth is None:
        return None
    weights = patient_weights(level.patient_ids, seed=seed)
    sample = ClassSample(outputs=level.outputs, truth=level.truth, weights=weights)
    return ClassFigures(
        confusion=tuple(tuple(int(count) for count in row) for row in sample.confusion[0].tolist()),
        figures={name: interval(statistic(sample)) for name, statistic in _OF_CLASSES.items()},
    )


def _subgroups(table: ScoreTable, weights: Float64Array) -> Iterable[Subgroup]:
    """Image AUC by every fact of which the data set has more than one value."""
    others = sorted({label.value for label in table.labels} - {Label.MALIGNANT})
    if len(others) > 1:
        for name in others:
            inside = np.array([label in {name, Label.MALIGNANT} for label in table.labels])
            yield _subgroup("cancer against", name, table, weights, inside)
    for fact, values in (
        ("view", table.view_positions),
        ("density", table.densities),
        ("BI-RADS", table.bi_rads),
        ("source", table.sources),
    ):
        names = sorted(set(values))
        if len(names) < 2:
            continue
        for name in names:
            inside = np.array([value == name for value in values])
            yield _subgroup(fact, name or "not stated", table, weights, inside)


def _subgroup(
    fact: str, value: str, table: ScoreTable, weights: Float64Array, inside: BoolArray
) -> Subgroup:
    """Image AUC of some of the images."""
    is_cancer = table.is_cancer[inside]
    cancers = int(is_cancer.sum())
    is_enough = min(cancers, len(is_cancer) - cancers) >= _LEAST_OF_EACH_CLASS
    sample = Sample(scores=table.scores[inside], is_cancer=is_cancer, weights=weights[:, inside])
    return Subgroup(
        fact=fact,
        value=value,
        images=len(is_cancer),
        cancers=cancers,
        auc=interval(statistics.auc(sample)) if is_enough else None,
    )
