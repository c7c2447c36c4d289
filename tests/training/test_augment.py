import cv2
import numpy as np
import pytest

from training.augment import NO_AUGMENTATION, Augmentation, augment

CROP = np.zeros((128, 96), np.uint8)
cv2.ellipse(CROP, (0, 64), (60, 50), 0, 0, 360, 120, cv2.FILLED)
CROP[60:68, 20:28] = 250
SIZE_PX = (112, 84)


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


def test_without_limits_only_the_size_changes() -> None:
    expected = cv2.resize(CROP, SIZE_PX[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)

    for seed in range(8):
        image = augment(CROP, SIZE_PX, np.random.default_rng(seed), NO_AUGMENTATION)

        # Warping and resizing sample half a pixel apart.
        assert np.abs(image - expected).mean() < 3.0


def test_flipping_swaps_top_and_bottom_of_some_images_and_never_left_and_right() -> None:
    marked = CROP.copy()
    marked[20:30, 2:12] = 255
    limits = NO_AUGMENTATION.model_copy(update={"flip": True})
    upright = augment(marked, SIZE_PX, np.random.default_rng(0), NO_AUGMENTATION)

    images = [augment(marked, SIZE_PX, np.random.default_rng(seed), limits) for seed in range(12)]

    is_flipped = [np.abs(image - upright).mean() > 1.0 for image in images]
    assert 2 < sum(is_flipped) < 10
    for image, flipped in zip(images, is_flipped, strict=True):
        assert np.abs(image - (upright[::-1] if flipped else upright)).mean() < 3.0


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("zoom", 0.3), ("rotation_degrees", 20), ("shift", 0.2), ("brightness", 60),
        ("contrast", 0.5), ("aspect", 0.4), ("gamma", 1.0), ("noise", 30), ("blur_px", 3.0),
    ],
)  # fmt: skip
def test_each_setting_bends_the_image_on_its_own(setting: str, value: float) -> None:
    limits = NO_AUGMENTATION.model_copy(update={setting: value})
    unbent = augment(CROP, SIZE_PX, np.random.default_rng(0), NO_AUGMENTATION)

    images = [augment(CROP, SIZE_PX, np.random.default_rng(seed), limits) for seed in range(10)]

    assert max(np.abs(image - unbent).mean() for image in images) > 0.3


def test_an_unknown_or_impossible_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="rotate"):
        Augmentation.model_validate({"rotate": 9})
    with pytest.raises(ValueError, match="contrast"):
        Augmentation(contrast=-0.1)


def test_the_crop_is_not_changed() -> None:
    before = CROP.copy()

    augment(CROP, SIZE_PX, np.random.default_rng(0))

    np.testing.assert_array_equal(CROP, before)
