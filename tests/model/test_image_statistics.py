from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest

from model.image_statistics import STATISTICS, image_statistics
from model.preprocess import NetworkInput, to_network_input
from phantoms import breast_pixels

SIZE_PX = (448, 336)


@pytest.fixture
def given() -> NetworkInput:
    return to_network_input(breast_pixels("L", rows=640, columns=480, seed=4), SIZE_PX)


def changed(given: NetworkInput, pixels: np.ndarray) -> NetworkInput:
    return replace(given, pixels=np.repeat(pixels[..., None], 3, axis=-1).astype(np.float32))


def test_they_are_those_of_the_breast_alone(given: NetworkInput) -> None:
    found = image_statistics(given)

    breast = given.pixels[..., 0][given.breast_mask].astype(np.float64)
    assert found.breast_share == given.breast_mask.sum() / given.breast_mask.size
    assert found.mean_grey == pytest.approx(breast.mean())
    assert found.grey_deviation == pytest.approx(breast.std())


def test_detail_is_the_mean_laplacian_where_all_neighbours_are_breast(given: NetworkInput) -> None:
    grey, mask = given.pixels[..., 0].astype(np.float64), given.breast_mask
    magnitudes = []
    for row in range(1, SIZE_PX[0] - 1):
        for column in range(1, SIZE_PX[1] - 1):
            if mask[row - 1 : row + 2, column - 1 : column + 2].all():
                beside = grey[row - 1, column] + grey[row + 1, column]
                beside += grey[row, column - 1] + grey[row, column + 1]
                magnitudes.append(abs(beside - 4 * grey[row, column]))

    assert image_statistics(given).detail == pytest.approx(np.mean(magnitudes), rel=1e-5)


def test_a_blurred_image_has_less_detail_and_a_noisy_one_more(given: NetworkInput) -> None:
    grey = given.pixels[..., 0]
    noise = np.random.default_rng(1).normal(0.0, 5.0, grey.shape) * given.breast_mask

    blurred = image_statistics(changed(given, cv2.GaussianBlur(grey, (0, 0), 2.0)))
    noisy = image_statistics(changed(given, grey + noise))

    assert blurred.detail < image_statistics(given).detail < noisy.detail


def test_what_the_preprocessing_evens_out_does_not_show() -> None:
    display = breast_pixels("L", rows=640, columns=480, seed=4)

    one = image_statistics(to_network_input(display, SIZE_PX))
    darker = image_statistics(to_network_input(np.float32(0.5) * display, SIZE_PX))

    assert asdict(darker) == pytest.approx(asdict(one), rel=1e-3)


def test_their_names_are_those_of_the_class(given: NetworkInput) -> None:
    assert tuple(asdict(image_statistics(given))) == STATISTICS


def test_a_breast_of_a_single_row_has_no_detail(given: NetworkInput) -> None:
    mask = np.zeros_like(given.breast_mask)
    mask[200, :40] = True

    found = image_statistics(replace(given, breast_mask=mask))

    assert found.detail == 0.0
    assert np.isfinite(list(asdict(found).values())).all()
