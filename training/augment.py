"""Augmentations that a mammogram allows.

Chest wall left is kept, for `model.preprocess` brings every breast there; top and bottom may be
swapped. The aspect ratio is jittered because the training images lost theirs, the grey values
because they never saw a VOI LUT.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Uint8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far an image may be bent; each value is drawn evenly from the range around no change."""

    zoom: float = 0.14
    aspect: float = 0.18
    rotation_degrees: float = 9.0
    shift: float = 0.05
    gamma: float = 0.35
    contrast: float = 0.15
    brightness: float = 12.0
    noise: float = 5.0
    blur_px: float = 0.8


def augment(
    crop: Uint8Array,
    size_px: tuple[int, int],
    rng: np.random.Generator,
    limits: Augmentation | None = None,
) -> Float32Array:
    """Bend one cached crop at random and bring it to the network's size.

    Parameters
    ----------
    crop
        Shape (rows, columns), values 0 to 255, chest wall left, air 0; of the same aspect ratio as
        `size_px` and rather larger.
    size_px
        (height, width) of the result.
    rng
        Where the randomness comes from.
    limits
        How far; the defaults where it is None.

    Returns
    -------
    image
        Shape (height, width), values in [0, 255].
    """
    limits = limits or Augmentation()
    warped = cv2.warpAffine(
        crop,
        _warp(crop.shape, size_px, rng, limits),
        (size_px[1], size_px[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    image = np.asarray(warped, np.float32) / 255.0
    is_breast = image > 0.0
    image = image ** np.exp(rng.uniform(-limits.gamma, limits.gamma))
    middle = float(image[is_breast].mean()) if is_breast.any() else 0.0
    contrast = 1.0 + rng.uniform(-limits.contrast, limits.contrast)
    image = (image - middle) * contrast + middle
    image = image * 255.0 + rng.uniform(-limits.brightness, limits.brightness)
    if rng.random() < 0.3:
        sigma = rng.uniform(0.3, limits.blur_px)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    image = image + rng.normal(0.0, rng.uniform(0.0, limits.noise), image.shape)
    return np.where(is_breast, np.clip(image, 0.0, 255.0), 0.0).astype(np.float32)


def _warp(
    shape: tuple[int, ...],
    size_px: tuple[int, int],
    rng: np.random.Generator,
    limits: Augmentation,
) -> npt.NDArray[np.float64]:
    """2 × 3 matrix in OpenCV's (x, y) order, from the crop to the result, about their centres."""
    rows, columns = shape[:2]
    height, width = size_px
    zoom = np.exp(rng.uniform(-limits.zoom, limits.zoom))
    stretch = np.exp(rng.uniform(-limits.aspect, limits.aspect) / 2)
    angle = np.deg2rad(rng.uniform(-limits.rotation_degrees, limits.rotation_degrees))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    scale = np.diag([width / columns * zoom / stretch, height / rows * zoom * stretch * flip])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ scale
    shift = rng.uniform(-limits.shift, limits.shift, 2) * (width, height)
    # The breast lies against the left edge: zoomed about the centre it would leave that edge.
    anchor_in, anchor_out = np.array([0.0, rows / 2]), np.array([0.0, height / 2])
    offset = anchor_out + shift * (0.4, 1.0) - linear @ anchor_in
    return np.column_stack([linear, offset])
