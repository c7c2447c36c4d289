"""Curves and bins of scored rows, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve as reference_precision_recall
from sklearn.metrics import roc_curve as reference_roc

from model.curves import precision_recall_curve, reliability_bins, roc_curve
from model.statistics import Sample


def once(scores: list[float] | np.ndarray, is_cancer: list[bool] | np.ndarray) -> Sample:
    return Sample(
        scores=np.asarray(scores, np.float64),
        is_cancer=np.asarray(is_cancer, np.bool_),
        weights=np.ones((1, len(scores))),
    )


@pytest.fixture
def drawn() -> Sample:
    rng = np.random.default_rng(3)
    is_cancer = rng.random(300) < 0.2
    # Rounded: so there are ties.
    return once(np.round(rng.random(300) * 0.7 + 0.3 * is_cancer, 2), is_cancer)


def test_the_roc_curve_is_that_of_scikit_learn(drawn: Sample) -> None:
    false, true, _ = reference_roc(drawn.is_cancer, drawn.scores, drop_intermediate=False)

    curve = roc_curve(drawn)

    assert curve.x == pytest.approx(false)
    assert curve.y == pytest.approx(true)


def test_the_precision_recall_curve_is_that_of_scikit_learn(drawn: Sample) -> None:
    precision, recall, _ = reference_precision_recall(drawn.is_cancer, drawn.scores)

    curve = precision_recall_curve(drawn)

    # Scikit-learn's ends with a point at no recall, which no threshold has.
    assert curve.x == pytest.approx(recall[:-1][::-1])
    assert curve.y == pytest.approx(precision[:-1][::-1])


def test_the_bins_are_those_of_scikit_learn(drawn: Sample) -> None:
    shares, means = calibration_curve(drawn.is_cancer, drawn.scores, n_bins=10, strategy="quantile")

    bins = list(reliability_bins(drawn))

    assert [one.cancer_share for one in bins] == pytest.approx(shares)
    assert [one.mean_score for one in bins] == pytest.approx(means)
    assert sum(one.rows for one in bins) == 300


@pytest.mark.parametrize("is_cancer", [True, False])
def test_one_class_alone_has_no_roc_curve(is_cancer: bool) -> None:
    sample = once([0.1, 0.9], [is_cancer, is_cancer])

    assert roc_curve(sample).x == ()
    assert bool(precision_recall_curve(sample).x) is is_cancer


def test_equal_scores_are_one_bin() -> None:
    (one,) = reliability_bins(once([0.4] * 5, [True, False, False, False, False]))

    assert (one.rows, one.cancer_share) == (5, 0.2)
    assert one.mean_score == pytest.approx(0.4)
