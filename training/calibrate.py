"""From the network's output to a score, a roll-up and an operating point: on validation alone."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from model.manifest import (
    AnyCalibration,
    Calibration,
    IsotonicCalibration,
    OperatingPoint,
    PlattScaling,
    RollUp,
    RollUpRule,
)
from training.errors import RunError
from training.settings import CalibrationMethod

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
_SMALLEST = 1e-7


def fit_calibration(
    malignancy: Float64Array, is_cancer: BoolArray, *, method: CalibrationMethod = "platt"
) -> AnyCalibration:
    """Fit a calibration, at the prevalence of the images given.

    Parameters
    ----------
    malignancy
        Shape (images,): the softmax unit for cancer, in [0, 1].
    is_cancer
        Shape (images,), with both classes in it.
    method
        ``platt``: slope and offset of the log odds; ``temperature``: the slope alone;
        ``isotonic``: any rising course, which wants some hundreds of images with cancer.

    Returns
    -------
    calibration
        Its prevalence is the share of cancers in `is_cancer`.

    Raises
    ------
    RunError
        If higher outputs do not go with cancer: there is nothing to calibrate.
    """
    if method == "isotonic":
        return _isotonic(malignancy, is_cancer)
    inside = np.clip(malignancy, _SMALLEST, 1 - _SMALLEST)
    log_odds = np.log(inside / (1 - inside))
    # As good as unpenalised: two parameters need no shrinking.
    regression = LogisticRegression(C=1e6, fit_intercept=method == "platt")
    regression.fit(log_odds[:, None], is_cancer)
    slope, offset = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    if slope <= 0:
        raise _nothing_to_calibrate(f"a slope of {slope:.3f}")
    return PlattScaling(slope=slope, offset=offset, prevalence=float(is_cancer.mean()))


def _isotonic(malignancy: Float64Array, is_cancer: BoolArray) -> IsotonicCalibration:
    """Pool what falls into level blocks, and put a point at the middle of each."""
    levels = IsotonicRegression().fit_transform(malignancy, is_cancer)
    _, block_of, sizes = np.unique(levels, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise _nothing_to_calibrate("no rise at all")
    middles = np.bincount(block_of, malignancy) / sizes
    shares = np.bincount(block_of, is_cancer) / sizes
    # Nobody is certain after so many images: an end is at least half an image away from 0 and 1.
    margin = 0.5 / len(malignancy)
    points = zip(middles.tolist(), np.clip(shares, margin, 1 - margin).tolist(), strict=True)
    return IsotonicCalibration(points=tuple(points), prevalence=float(is_cancer.mean()))


def _nothing_to_calibrate(found: str) -> RunError:
    return RunError(
        where="calibration",
        expected="outputs that rise with cancer on validation",
        found=found,
        to_do="Train longer, or look at the labels: these weights tell nothing apart.",
    )


def calibrated(calibration: Calibration, malignancy: Float64Array) -> Float64Array:
    """Apply a calibration to many outputs.

    Parameters
    ----------
    calibration
        At its own prevalence.
    malignancy
        Shape (images,), in [0, 1].

    Returns
    -------
    scores
        Shape (images,), in (0, 1).
    """
    return np.array([calibration.score(float(value)) for value in malignancy])


def roll_up(
    scores: Float64Array,
    is_cancer: BoolArray,
    groups: Sequence[str],
    rule: RollUpRule,
) -> tuple[Float64Array, BoolArray, list[str]]:
    """Combine the rows of each group.

    Parameters
    ----------
    scores
        Shape (rows,), in [0, 1].
    is_cancer
        Shape (rows,).
    groups
        The group of each row.
    rule
        How scores combine; a group is cancer if one of its rows is.

    Returns
    -------
    scores, is_cancer, groups
        One row a group, in the groups' sorted order.
    """
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    combined = np.array(
        [rule.of(scores[places == place].tolist()) for place in range(len(names))], np.float64
    )
    any_cancer = np.array([is_cancer[places == place].any() for place in range(len(names))])
    return combined, any_cancer, [str(name) for name in names]


def choose_roll_up(
    scores: Float64Array,
    is_cancer: BoolArray,
    breasts: Sequence[str],
    patients: Sequence[str],
) -> RollUp:
    """Choose mean or largest, for a breast and then for a study, by AUC.

    Parameters
    ----------
    scores
        Shape (images,), calibrated.
    is_cancer
        Shape (images,).
    breasts
        Which breast of which patient each image shows.
    patients
        Which patient each image shows; stands for the study.

    Returns
    -------
    roll_up
        The rules with the higher AUC; the mean, or for a study the largest, where they are equal.
    """
    patient_of = dict(zip(breasts, patients, strict=True))

    def breast_auc(rule: RollUpRule) -> float:
        combined, truth, _ = roll_up(scores, is_cancer, breasts, rule)
        return float(roc_auc_score(truth, combined))

    views_to_breast = max((RollUpRule.MEAN, RollUpRule.MAX), key=breast_auc)
    breast_scores, breast_truth, names = roll_up(scores, is_cancer, breasts, views_to_breast)

    def study_auc(rule: RollUpRule) -> float:
        owners = [patient_of[name] for name in names]
        combined, truth, _ = roll_up(breast_scores, breast_truth, owners, rule)
        return float(roc_auc_score(truth, combined))

    breasts_to_study = max((RollUpRule.MAX, RollUpRule.MEAN), key=study_auc)
    return RollUp(views_to_breast=views_to_breast, breasts_to_study=breasts_to_study)


def choose_operating_point(
    scores: Float64Array, is_cancer: BoolArray, specificity_at_least: float
) -> OperatingPoint:
    """Find the lowest threshold that keeps a specificity.

    Parameters
    ----------
    scores
        Shape (breasts,), calibrated and rolled up.
    is_cancer
        Shape (breasts,).
    specificity_at_least
        Share of breasts without cancer that must stay below the threshold, in (0, 1).

    Returns
    -------
    operating_point
        With the sensitivity and specificity that it has on these breasts.
    """
    negatives = np.sort(scores[~is_cancer])
    kept = int(np.ceil(specificity_at_least * len(negatives)))
    floor = negatives[kept - 1]
    above = scores[scores > floor]
    # Halfway to the next score, so that rounding in another library moves nobody across.
    threshold = float((floor + above.min()) / 2) if above.size else 1.0
    return OperatingPoint(
        threshold=threshold,
        chosen_for=f"specificity of at least {specificity_at_least:.2f} by breast on validation",
        sensitivity=float((scores[is_cancer] >= threshold).mean()),
        specificity=float((scores[~is_cancer] < threshold).mean()),
    )
