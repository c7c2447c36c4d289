import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from model.manifest import IsotonicCalibration, PlattScaling, RollUpRule
from training.calibrate import (
    calibrated,
    choose_operating_point,
    choose_roll_up,
    fit_calibration,
    roll_up,
)
from training.errors import RunError
from training.settings import CalibrationMethod


def test_calibration_finds_the_slope_and_offset_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 2, 20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * log_odds - 1.0)))

    calibration = fit_calibration(1 / (1 + np.exp(-log_odds)), truth)

    assert isinstance(calibration, PlattScaling)
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
    methods: tuple[tuple[CalibrationMethod, str], ...] = (
        ("platt", "slope"), ("temperature", "slope"), ("isotonic", "no rise"),
    )  # fmt: skip
    for method, words in methods:
        with pytest.raises(RunError, match=words):
            fit_calibration(
                np.array([0.9, 0.8, 0.2, 0.1]), np.array([False, False, True, True]), method=method
            )


def test_temperature_scales_the_log_odds_and_shifts_nothing() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0, 3, 20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-log_odds / 2.5))

    calibration = fit_calibration(1 / (1 + np.exp(-log_odds)), truth, method="temperature")

    assert isinstance(calibration, PlattScaling)
    # A temperature of 2.5.
    assert calibration.slope == pytest.approx(0.4, abs=0.02)
    assert calibration.offset == 0.0
    assert calibration.score(0.5) == 0.5


def test_an_isotonic_calibration_finds_a_course_that_no_slope_has() -> None:
    rng = np.random.default_rng(7)
    outputs = rng.random(20_000)
    # Level up to a half, then steep.
    probability = np.where(outputs < 0.5, 0.1, 0.1 + 1.6 * (outputs - 0.5))
    truth = rng.random(20_000) < probability

    calibration = fit_calibration(outputs, truth, method="isotonic")

    assert isinstance(calibration, IsotonicCalibration)
    for output, expected in ((0.25, 0.1), (0.6, 0.26), (0.75, 0.5), (0.9, 0.74)):
        # Blocks hold some hundreds of images: two of their standard errors.
        assert calibration.score(output) == pytest.approx(expected, abs=0.06)
    assert 0.0 < calibration.score(0.0) <= calibration.score(1.0) < 1.0


def test_isotonic_points_are_the_middles_and_shares_of_what_scikit_learn_pools() -> None:
    rng = np.random.default_rng(3)
    outputs = rng.random(300)
    truth = rng.random(300) < outputs

    calibration = fit_calibration(outputs, truth, method="isotonic")

    assert isinstance(calibration, IsotonicCalibration)
    pooled = IsotonicRegression().fit_transform(outputs, truth)
    assert len(calibration.points) == len(np.unique(pooled))
    for output, score in calibration.points:
        block = np.isclose(pooled, np.clip(score, 0, 1), atol=0.5 / 300 + 1e-9)
        assert output == pytest.approx(outputs[block].mean())


@pytest.mark.parametrize("method", ["platt", "temperature", "isotonic"])
def test_a_calibration_changes_no_ranking(method: CalibrationMethod) -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(500) < 0.3
    outputs = np.clip(rng.normal(0.5 + 0.1 * truth, 0.1), 0.01, 0.99)

    scores = calibrated(fit_calibration(outputs, truth, method=method), outputs)

    assert (np.diff(scores[np.argsort(outputs)]) >= 0).all()


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
