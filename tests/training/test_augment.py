import cv2
import numpy as np
import pytest

from training.augment import Augmentation, augment

CROP = np.zeros((128, 96), np.uint8)
cv2.ellipse(CROP, (0, 64), (60, 50), 0, 0, 360, 120, cv2.FILLED)
CROP[60:68, 20:28] = 250
SIZE_PX = (112, 84)
NO_CHANGE = Augmentation(
    zoom=0, aspect=0, rotation_degrees=0, shift=0, gamma=0, contrast=0, brightness=0, noise=0,
    blur_px=0.3,
)  # fmt: skip


def test_an_augmented_image_has_the_networks_size_and_range() -> None:
    for seed in range(20):
        image = augment(CROP, SIZE_PX, np.random.default_rng(seed))

        assert image.shape == SIZE_PX
        assert image.dtype == np.float32
        assert 0.0 <= image.min() <= image.max() <= 255.0


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    one, again, other = (augment(CROP, SIZE_PX, np.random.default_rng(seed)) for seed in (4, 4, 5))

    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 1.0


@pytest.mark.parametrize("seed", range(10))
def test_air_stays_black_and_the_chest_wall_stays_left(seed: int) -> None:
    image = augment(CROP, SIZE_PX, np.random.default_rng(seed))

    assert not image[:, -8:].any()
    assert (image[:, :28] > 0).mean() > (image[:, -28:] > 0).mean() + 0.2


def test_without_limits_only_the_size_and_top_and_bottom_change() -> None:
    expected = cv2.resize(CROP, SIZE_PX[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)

    for seed in range(8):
        image = augment(CROP, SIZE_PX, np.random.default_rng(seed), NO_CHANGE)

        difference = min(np.abs(image - expected).mean(), np.abs(image[::-1] - expected).mean())
        # Warping and resizing sample half a pixel apart.
        assert difference < 3.0


def test_the_crop_is_not_changed() -> None:
    before = CROP.copy()

    augment(CROP, SIZE_PX, np.random.default_rng(0))

    np.testing.assert_array_equal(CROP, before)
