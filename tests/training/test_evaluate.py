import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.evaluate import auc, bootstrap, intensity_statistics, sensitivity_at_90_specificity


def test_the_auc_is_that_of_scikit_learn_with_ties_too() -> None:
    rng = np.random.default_rng(8)
    truth = rng.random(200) < 0.3
    scores = np.round(rng.normal(0.4 + 0.1 * truth, 0.2), 1)

    assert auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_sensitivity_is_read_where_nine_in_ten_negatives_are_below() -> None:
    negatives = np.linspace(0.05, 0.95, 10)
    positives = np.array([0.10, 0.86, 0.90, 0.99])

    value = sensitivity_at_90_specificity(
        np.concatenate([negatives, positives]), np.array([False] * 10 + [True] * 4)
    )

    # One negative in ten (0.95) may lie above: the threshold is just over 0.85.
    assert value == pytest.approx(0.75)


def test_the_interval_holds_the_value_and_narrows_with_more_patients() -> None:
    def width(patients: int) -> float:
        rng = np.random.default_rng(3)
        truth = rng.random(patients) < 0.4
        scores = rng.normal(0.4 + 0.2 * truth, 0.2)
        names = [str(patient) for patient in range(patients)]
        interval = bootstrap(scores, truth, names, auc, seed=1)
        assert interval.low < interval.value < interval.high
        return interval.high - interval.low

    assert width(400) < 0.7 * width(80)


def test_copies_of_a_patients_rows_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(60) < 0.4
    scores = rng.normal(0.4 + 0.2 * truth, 0.2)
    names = [str(patient) for patient in range(60)]

    once = bootstrap(scores, truth, names, auc, seed=1)
    four_times = bootstrap(np.tile(scores, 4), np.tile(truth, 4), names * 4, auc, seed=1)

    assert four_times.low == pytest.approx(once.low)
    assert four_times.high == pytest.approx(once.high)


def test_the_bootstrap_is_the_same_every_time() -> None:
    scores, truth = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])

    one, other = (bootstrap(scores, truth, ["1", "2", "3", "4"], auc, seed=9) for _ in range(2))

    assert one == other


def test_the_control_sees_nine_numbers_that_know_no_place() -> None:
    crops = np.random.default_rng(5).integers(0, 256, (2, 32, 24), np.uint8)

    statistics = intensity_statistics(crops)

    assert statistics.shape == (2, 9)
    np.testing.assert_allclose(statistics, intensity_statistics(crops[:, ::-1, ::-1]))


def test_one_class_alone_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="both classes; found 0 of 2"):
        bootstrap(np.array([0.1, 0.2]), np.array([False, False]), ["1", "2"], auc, seed=0)
