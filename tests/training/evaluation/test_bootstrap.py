import numpy as np
import pytest

from model.statistics import Sample, auc
from training.evaluation.bootstrap import RESAMPLINGS, interval, patient_weights


def patients_of(count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.random(count) < 0.4
    return [str(patient) for patient in range(count)], truth, rng.normal(0.4 + 0.2 * truth, 0.2)


def auc_interval(patients: list[str], truth: np.ndarray, scores: np.ndarray) -> list[float]:
    weights = patient_weights(patients, seed=1)
    found = interval(auc(Sample(scores=scores, is_cancer=truth, weights=weights)))
    assert found is not None
    return [found.low, found.value, found.high]


def test_the_interval_holds_the_value_and_narrows_with_more_patients() -> None:
    low, value, high = auc_interval(*patients_of(80))
    lower, middle, higher = auc_interval(*patients_of(400))

    assert low < value < high
    assert lower < middle < higher
    assert higher - lower < 0.7 * (high - low)


def test_copies_of_a_patients_rows_do_not_narrow_the_interval() -> None:
    names, truth, scores = patients_of(60)

    once = auc_interval(names, truth, scores)
    four_times = auc_interval(names * 4, np.tile(truth, 4), np.tile(scores, 4))

    assert four_times == pytest.approx(once)


def test_all_rows_of_a_patient_are_drawn_together_and_as_many_patients_as_there_are() -> None:
    weights = patient_weights(["b", "a", "b", "c"], seed=2)

    assert weights.shape == (1 + RESAMPLINGS, 4)
    assert weights[0].tolist() == [1, 1, 1, 1]
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_same_patients_are_drawn_alike_whatever_rows_they_have() -> None:
    images = patient_weights(["a", "a", "b", "c"], seed=5)
    breasts = patient_weights(["c", "b", "a"], seed=5)

    assert (images[:, 0] == breasts[:, 2]).all()
    assert (images[:, 3] == breasts[:, 0]).all()


def test_resamplings_without_the_figure_are_left_out_and_no_figure_has_no_interval() -> None:
    found = interval(np.array([0.5, np.nan, 0.4, 0.6, np.nan]))

    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.405, 0.595))
    assert interval(np.array([np.nan, 0.5])) is None
    assert interval(np.array([0.5, np.nan])) is None
