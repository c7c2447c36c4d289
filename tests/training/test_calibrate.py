import numpy as np
import pytest

from model.manifest import RollUpRule
from training.calibrate import (
    calibrated,
    choose_operating_point,
    choose_roll_up,
    fit_calibration,
    roll_up,
)


def test_calibration_finds_the_slope_and_offset_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 2, 20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * log_odds - 1.0)))

    calibration = fit_calibration(1 / (1 + np.exp(-log_odds)), truth)

    # Standard errors at 20,000 labels: about 0.01 and 0.02.
    assert calibration.slope == pytest.approx(0.5, abs=0.04)
    assert calibration.offset == pytest.approx(-1.0, abs=0.06)
    assert calibration.prevalence == pytest.approx(truth.mean())


def test_calibrated_scores_average_to_the_prevalence() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(500) < 0.3
    outputs = np.clip(rng.normal(0.5 + 0.1 * truth, 0.1), 0.01, 0.99)

    scores = calibrated(fit_calibration(outputs, truth), outputs)

    assert scores.mean() == pytest.approx(truth.mean(), abs=1e-3)
    assert (np.argsort(scores) == np.argsort(outputs)).all()


def test_outputs_that_fall_with_cancer_are_not_calibrated() -> None:
    with pytest.raises(ValueError, match="slope"):
        fit_calibration(np.array([0.9, 0.8, 0.2, 0.1]), np.array([False, False, True, True]))


def test_groups_combine_by_the_rule_and_are_cancer_if_one_row_is() -> None:
    scores, truth, names = roll_up(
        np.array([0.2, 0.9, 0.6]), np.array([False, False, True]), ["b", "a", "b"], RollUpRule.MEAN
    )

    assert names == ["a", "b"]
    assert scores == pytest.approx([0.9, 0.4])
    assert truth.tolist() == [False, True]


def test_the_rule_with_the_higher_auc_is_chosen() -> None:
    # The cancer shows in one view of two: the mean hides it behind noise, the largest does not.
    scores = np.array([0.9, 0.0, 0.6, 0.6, 0.5, 0.5, 0.1, 0.2])
    truth = np.array([True, True, False, False, False, False, False, False])
    breasts = ["1/left", "1/left", "1/right", "1/right", "2/left", "2/left", "3/left", "3/left"]
    patients = ["1", "1", "1", "1", "2", "2", "3", "3"]

    rules = choose_roll_up(scores, truth, breasts, patients)

    assert rules.views_to_breast is RollUpRule.MAX


def test_the_operating_point_keeps_the_specificity_and_no_lower_threshold_does() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random(400) < 0.3
    scores = np.clip(rng.normal(0.4 + 0.15 * truth, 0.15), 0, 1)

    point = choose_operating_point(scores, truth, 0.9)

    assert point.specificity >= 0.9
    assert point.specificity == (scores[~truth] < point.threshold).mean()
    assert point.sensitivity == (scores[truth] >= point.threshold).mean()
    next_lower = scores[scores < point.threshold].max()
    assert (scores[~truth] < next_lower).mean() < 0.9
