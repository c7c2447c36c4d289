"""Augmentations that a mammogram allows.

Chest wall left is kept, for `model.preprocess` brings every breast there; top and bottom may be
swapped. The aspect ratio is jittered because the training images lost theirs, the grey values
because they never saw a VOI LUT.
"""

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Uint8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]


class Augmentation(BaseModel):
    """How far an image may be bent; each value is drawn evenly from the range around no change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = True
    """Whether one image in two is turned upside down; left and right stay."""
    zoom: float = Field(0.14, ge=0, lt=1)
    """Natural logarithm of the scale."""
    rotation_degrees: float = Field(9.0, ge=0, le=180)
    """Degrees."""
    shift: float = Field(0.05, ge=0, le=0.5)
    """Share of the input's height or width."""
    brightness: float = Field(12.0, ge=0, le=255)
    """Grey values of 255."""
    contrast: float = Field(0.15, ge=0, lt=1)
    """About the breast's mean."""
    aspect: float = Field(0.18, ge=0, lt=1)
    """Natural logarithm of height over width."""
    gamma: float = Field(0.35, ge=0, lt=2)
    """Natural logarithm of the power."""
    noise: float = Field(5.0, ge=0, le=255)
    """Standard deviation at most, grey values of 255."""
    blur_px: float = Field(0.8, ge=0)
    """Standard deviation at most, in pixels, of three images in ten; 0: none."""


NO_AUGMENTATION = Augmentation(
    flip=False, zoom=0, rotation_degrees=0, shift=0, brightness=0, contrast=0, aspect=0, gamma=0,
    noise=0, blur_px=0,
)  # fmt: skip
"""Only the size changes, from the crop's to the network's."""

_BLURRED_SHARE = 0.3
_LEAST_BLUR_PX = 0.3


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
    bent = cv2.warpAffine(
        crop,
        _warp(crop.shape, size_px, rng, limits),
        (size_px[1], size_px[0]),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    warped = np.asarray(bent, np.uint8)
    image = np.asarray(cv2.LUT(warped, _grey_values(warped, rng, limits)), np.float32)
    if rng.random() < _BLURRED_SHARE and limits.blur_px > 0:
        sigma = rng.uniform(min(_LEAST_BLUR_PX, limits.blur_px), limits.blur_px)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    if limits.noise > 0:
        strength = np.float32(rng.uniform(0.0, limits.noise))
        image += rng.standard_normal(image.shape, np.float32) * strength
    return np.where(warped > 0, np.clip(image, 0.0, 255.0), np.float32(0.0))


def _grey_values(
    warped: Uint8Array, rng: np.random.Generator, limits: Augmentation
) -> Float32Array:
    """Draw what each of the 256 grey values becomes: power, contrast about the mean, shift."""
    table = (np.arange(256) / 255.0) ** np.exp(rng.uniform(-limits.gamma, limits.gamma))
    counts = np.bincount(warped.ravel(), minlength=256)
    counts[0] = 0  # air
    middle = float(table @ counts) / max(1, int(counts.sum()))
    contrast = 1.0 + rng.uniform(-limits.contrast, limits.contrast)
    shift = rng.uniform(-limits.brightness, limits.brightness)
    made = ((table - middle) * contrast + middle) * 255.0 + shift
    return np.asarray(made, np.float32)


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
    flip = -1.0 if rng.random() < 0.5 and limits.flip else 1.0
    scale = np.diag([width / columns * zoom / stretch, height / rows * zoom * stretch * flip])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ scale
    shift = rng.uniform(-limits.shift, limits.shift, 2) * (width, height)
    # The breast lies against the left edge: zoomed about the centre it would leave that edge.
    anchor_in, anchor_out = np.array([0.0, rows / 2]), np.array([0.0, height / 2])
    offset = anchor_out + shift * (0.4, 1.0) - linear @ anchor_in
    return np.column_stack([linear, offset])
