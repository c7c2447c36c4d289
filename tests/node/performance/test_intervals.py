"""Intervals: against known values, and against what they promise over many draws."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model.manifest import Interval
from node.performance.intervals import auc_of, share_of, wilson


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    """Newcombe, Statistics in Medicine 17, 1998, table I, method 3."""
    for hits, rows, low, high in (
        (81, 263, 0.2553, 0.3662),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(hits / rows, rows)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_rows_of_different_patients_get_wilsons_interval() -> None:
    hits = np.array([True, False, False, True, True])

    assert share_of(hits, np.arange(5)) == wilson(0.6, 5)


def test_rows_that_always_agree_count_as_their_patients() -> None:
    hits = np.repeat(np.random.default_rng(5).random(400) < 0.3, 2)
    patients = np.repeat(np.arange(400), 2)

    found = share_of(hits, patients)

    half = wilson(found.value, 400)
    assert (found.low, found.high) == pytest.approx((half.low, half.high), abs=1e-3)


@pytest.mark.parametrize("value", [True, False])
def test_when_all_rows_agree_the_interval_still_has_a_width(value: bool) -> None:
    found = share_of(np.full(40, value), np.repeat(np.arange(20), 2))

    assert found == wilson(float(value), 20)
    assert found.high - found.low > 0.1


def draw(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw two breasts a woman, alike, with a cancer in every eighth woman or so."""
    woman = rng.normal(0, 1, (patients, 1))
    is_cancer = np.zeros((patients, 2), np.bool_)
    is_cancer[rng.random(patients) < 0.15, 0] = True
    scores = woman + rng.normal(0, 0.6, (patients, 2)) + 1.1 * is_cancer
    return scores.ravel(), is_cancer.ravel(), np.repeat(np.arange(patients), 2)


@pytest.mark.parametrize("seed", range(3))
def test_the_auc_is_that_of_scikit_learn_with_ties(seed: int) -> None:
    scores, is_cancer, patients = draw(np.random.default_rng(seed), 300)
    scores = np.round(scores, 1)

    found = auc_of(scores, is_cancer, patients)

    assert found.value == pytest.approx(roc_auc_score(is_cancer, scores), abs=1e-12)
    assert 0 < found.low < found.value < found.high < 1


def test_the_interval_of_independent_rows_is_delongs() -> None:
    """DeLong's variance by its definition: of the structural components of each sort of row."""
    rng = np.random.default_rng(11)
    is_cancer = rng.random(200) < 0.3
    scores = rng.normal(0, 1, 200) + is_cancer
    above = scores[is_cancer][:, None] > scores[~is_cancer][None, :]
    variance = (
        above.mean(axis=1).var(ddof=1) / is_cancer.sum()
        + above.mean(axis=0).var(ddof=1) / (~is_cancer).sum()
    )

    found = auc_of(scores, is_cancer, np.arange(200))

    area = above.mean()
    reach = 1.959963984540054 * np.sqrt(variance) / (area * (1 - area))
    assert np.log(found.high / (1 - found.high)) - np.log(area / (1 - area)) == pytest.approx(reach)


def test_an_auc_of_one_has_an_interval_too() -> None:
    found = auc_of(np.arange(10.0), np.arange(10) > 4, np.arange(10))

    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.4 < found.low < 0.8


def test_scores_that_are_all_equal_have_an_interval_too() -> None:
    found = auc_of(np.full(20, 0.3), np.arange(20) > 9, np.arange(20))

    assert found.value == 0.5
    assert found.low < 0.3 < 0.7 < found.high


def covered(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([one.low <= truth <= one.high for one in intervals]))


def test_of_many_draws_ninety_five_in_a_hundred_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(2026)
    scores, is_cancer, _ = draw(rng, 200_000)
    auc = float(roc_auc_score(is_cancer, scores))
    specificity = float((scores[~is_cancer] < 1.0).mean())
    areas, shares = [], []
    for _ in range(600):
        scores, is_cancer, patients = draw(rng, 150)
        areas.append(auc_of(scores, is_cancer, patients))
        shares.append(share_of(scores[~is_cancer] < 1.0, patients[~is_cancer]))

    assert 0.92 < covered(areas, auc) < 0.98
    assert 0.92 < covered(shares, specificity) < 0.98
