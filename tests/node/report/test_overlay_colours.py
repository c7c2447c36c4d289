import numpy as np

from node.report.overlay_colours import blend


def test_anatomy_shows_through_the_colour() -> None:
    dark, light = np.full((1, 256), 40, np.uint8), np.full((1, 256), 200, np.uint8)
    values = np.linspace(0, 1, 256, dtype=np.float32)[np.newaxis]

    difference = blend(light, values).astype(int) - blend(dark, values).astype(int)

    assert difference.min() >= 70


def test_a_low_value_leaves_the_anatomy_grey() -> None:
    grey = np.arange(256, dtype=np.uint8)[np.newaxis]

    blended = blend(grey, np.full(grey.shape, 0.15, np.float32))

    assert np.array_equal(blended, np.repeat(grey[..., np.newaxis], 3, axis=2))


def test_lightness_rises_evenly_with_the_value() -> None:
    values = np.linspace(0.5, 1, 128, dtype=np.float32)[np.newaxis]

    blended = blend(np.full(values.shape, 120, np.uint8), values).astype(float)[0]

    luminance = blended @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance[::8]) > 0).all()


def test_colour_is_laid_on_only_within_the_breast() -> None:
    values, within = np.ones((1, 2), np.float32), np.array([[0, 1]], np.float32)

    blended = blend(np.full((1, 2), 90, np.uint8), values, within=within)

    assert (blended[0, 0] == 90).all()
    assert np.ptp(blended[0, 1].astype(int)) > 0
