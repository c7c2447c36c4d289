"""Every figure of every resampling is what scikit-learn says of the rows drawn."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from model import statistics
from model.statistics import BINS, Sample

RNG = np.random.default_rng(8)
TRUTH = RNG.random(300) < 0.3
# Two decimals: there are ties, within and between the classes.
SCORES = np.clip(np.round(RNG.normal(0.4 + 0.1 * TRUTH, 0.2), 2), 0.0, 1.0)
DRAWS = np.concatenate([np.ones((1, 300)), RNG.multinomial(300, np.full(300, 1 / 300), size=5)])
SAMPLE = Sample(scores=SCORES, is_cancer=TRUTH, weights=DRAWS)
THRESHOLD = 0.45


def drawn(draw: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.repeat(np.arange(300), DRAWS[draw].astype(int))
    return TRUTH[rows], SCORES[rows]


@pytest.mark.parametrize("draw", range(len(DRAWS)))
def test_ranks_are_scored_as_scikit_learn_does(draw: int) -> None:
    truth, scores = drawn(draw)

    assert statistics.auc(SAMPLE)[draw] == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert statistics.average_precision(SAMPLE)[draw] == pytest.approx(
        metrics.average_precision_score(truth, scores)
    )
    assert statistics.brier(SAMPLE)[draw] == pytest.approx(metrics.brier_score_loss(truth, scores))


@pytest.mark.parametrize("draw", range(len(DRAWS)))
def test_sensitivity_and_specificity_are_read_off_the_roc_curve(draw: int) -> None:
    truth, scores = drawn(draw)
    false, true, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)

    sensitivity = statistics.sensitivity_at_specificity(0.9)(SAMPLE)[draw]
    specificity = statistics.specificity_at_sensitivity(0.9)(SAMPLE)[draw]

    assert sensitivity == pytest.approx(true[false <= 0.1 + 1e-12].max())
    assert specificity == pytest.approx((1 - false[true >= 0.9 - 1e-12]).max())


@pytest.mark.parametrize("draw", range(len(DRAWS)))
def test_what_is_called_is_counted_as_scikit_learn_does(draw: int) -> None:
    truth, scores = drawn(draw)
    is_called = scores >= THRESHOLD

    for make, judge in (
        (statistics.accuracy_at, metrics.accuracy_score),
        (statistics.precision_at, metrics.precision_score),
        (statistics.recall_at, metrics.recall_score),
        (statistics.f1_at, metrics.f1_score),
    ):
        assert make(THRESHOLD)(SAMPLE)[draw] == pytest.approx(judge(truth, is_called))
    assert statistics.specificity_of(THRESHOLD)(SAMPLE)[draw] == pytest.approx(
        metrics.recall_score(~truth, ~is_called)
    )
    counted = [values[draw] for values in statistics.called(SAMPLE, THRESHOLD)]
    ((spared, false), (missed, true)) = metrics.confusion_matrix(truth, is_called)
    assert counted == [true, false, missed, spared]


def test_the_calibration_error_is_over_the_bins_of_scikit_learn() -> None:
    share, score = calibration_curve(TRUTH, SCORES, n_bins=BINS, strategy="quantile")
    rows = np.bincount(SAMPLE.bin_of)

    error = statistics.calibration_error(SAMPLE)[0]

    assert error == pytest.approx((rows * np.abs(share - score)).sum() / rows.sum())


def test_sensitivity_is_read_where_nine_in_ten_negatives_are_below() -> None:
    negatives = np.linspace(0.05, 0.95, 10)
    positives = np.array([0.10, 0.86, 0.90, 0.99])
    sample = Sample(
        scores=np.concatenate([negatives, positives]),
        is_cancer=np.array([False] * 10 + [True] * 4),
        weights=np.ones((1, 14)),
    )

    (value,) = statistics.sensitivity_at_specificity(0.9)(sample)

    # One negative in ten (0.95) may lie above: the threshold is just over 0.85.
    assert value == pytest.approx(0.75)


def test_what_a_resampling_does_not_define_is_nan_there_and_nowhere_else() -> None:
    weights = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1]], np.float64)
    sample = Sample(
        scores=np.array([0.1, 0.2, 0.6, 0.9]),
        is_cancer=np.array([False, False, True, True]),
        weights=weights,
    )

    assert np.isfinite(statistics.auc(sample)).tolist() == [True, False, False]
    assert np.isfinite(statistics.precision_at(0.5)(sample)).tolist() == [True, False, True]
    assert np.isfinite(statistics.recall_at(0.5)(sample)).tolist() == [True, False, True]
    assert np.isfinite(statistics.brier(sample)).all()
