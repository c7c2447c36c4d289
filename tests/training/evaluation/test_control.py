import numpy as np
import pytest

from model.statistics import Sample, auc
from training.evaluation.control import (
    control_across_folds,
    control_trained_on,
    intensity_statistics,
)

RNG = np.random.default_rng(5)
IS_CANCER = np.arange(60) % 3 == 0
PATIENTS = [str(row // 2) for row in range(60)]


def crops_brighter_by(shift: int) -> np.ndarray:
    crops = RNG.integers(40, 160, (60, 24, 16))
    crops[IS_CANCER] += shift
    crops[:, :, 12:] = 0
    return crops.astype(np.uint8)


def auc_of(scores: np.ndarray) -> float:
    return float(auc(Sample(scores=scores, is_cancer=IS_CANCER, weights=np.ones((1, 60))))[0])


def test_the_control_sees_nine_numbers_that_know_no_place() -> None:
    crops = RNG.integers(0, 256, (2, 32, 24), np.uint8)

    statistics = intensity_statistics(crops)

    assert statistics.shape == (2, 9)
    np.testing.assert_allclose(statistics, intensity_statistics(crops[:, ::-1, ::-1]))


def test_an_image_of_air_has_statistics_of_nothing() -> None:
    assert intensity_statistics(np.zeros((1, 8, 8), np.uint8)).tolist() == [[0.0] * 9]


def test_a_shortcut_by_brightness_is_found() -> None:
    train, evaluated = crops_brighter_by(60), crops_brighter_by(60)

    assert auc_of(control_trained_on(train, IS_CANCER, evaluated)) > 0.95
    assert auc_of(control_across_folds(evaluated, IS_CANCER, PATIENTS)) > 0.95


def test_across_folds_nobody_is_judged_by_her_own_images() -> None:
    # Every patient has a brightness of her own, and her cancer hangs on nothing: whoever has seen
    # one of her images knows the label of the other.
    brightness = np.repeat(RNG.permutation(30) * 5, 2)
    is_cancer = np.repeat(RNG.permutation(30) % 2 == 0, 2)
    crops = np.full((60, 24, 16), 50) + brightness[:, None, None]

    scores = control_across_folds(crops.astype(np.uint8), is_cancer, PATIENTS)

    sample = Sample(scores=scores, is_cancer=is_cancer, weights=np.ones((1, 60)))
    assert np.isfinite(scores).all()
    assert float(auc(sample)[0]) < 0.7


@pytest.mark.parametrize("cancers", [0, 4])
def test_too_few_patients_of_a_sort_have_no_control(cancers: int) -> None:
    is_cancer = np.arange(60) < 2 * cancers

    assert np.isnan(control_across_folds(crops_brighter_by(0), is_cancer, PATIENTS)).all()
