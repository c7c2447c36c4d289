"""Grad-CAM: which parts of the breast took the score up, in the geometry of the original image.

Needs neither TensorFlow nor Keras: `model.classify` hands over features and gradients as arrays.
Points are (row, column) with the origin at the corner of the first pixel, whose centre is
(0.5, 0.5), as in `model.preprocess`.

References
----------
Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks, ICCV 2017.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from model.manifest import RegionRule
from model.preprocess import Geometry, NetworkInput

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_HALVINGS = 5
_CELL_PX = 1 << _HALVINGS
_BLUR_PX = _CELL_PX / 4
_SUMMIT_SHARE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of the heat map that passes the manifest's rule, on the original pixel grid.

    Attributes
    ----------
    top, left, bottom, right
        Half-open box in whole pixels, inside the image: row `top` is in it, row `bottom` is not.
    peak_row, peak_column
        Where the heat map is highest in the region, in pixels: the middle of its summit.
    peak_value
        The heat map there, in (0, 1].
    """

    top: int
    left: int
    bottom: int
    right: int
    peak_row: float
    peak_column: float
    peak_value: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeatMap:
    """Grad-CAM of the malignant class, with its place on the original image.

    Attributes
    ----------
    values
        Shape (height, width) of the network's input, values in [0, 1], 0 outside the breast. The
        largest value is 1 for a view at or above the operating point, and smaller below it; see
        `grad_cam`.
    breast_mask
        Shape (height, width), true on the breast.
    geometry
        The way back to the original image.
    """

    values: Float32Array
    breast_mask: BoolArray
    geometry: Geometry

    def on_original(self, shape: tuple[int, int] | None = None) -> Float32Array:
        """Lay the heat map over the original image, or over a smaller picture of it.

        Parameters
        ----------
        shape
            (rows, columns) of a picture of the whole original, in its aspect ratio; by default
            the original's own.

        Returns
        -------
        values
            Of that shape, in [0, 1], smooth between the pixels of the map, 0 outside the breast.
        """
        return _lay_over(self.values, self.geometry, shape)

    def peak_on_original(self) -> tuple[float, float] | None:
        """Say where on the original image the map is highest.

        Returns
        -------
        point
            (row, column) of the middle of its summit; None for a map that is 0 everywhere.
        """
        if self.values.max() <= 0.0:
            return None
        return self.geometry.to_original(*_peak(self.values))

    def breast_on_original(self, shape: tuple[int, int] | None = None) -> BoolArray:
        """Lay the mask of the breast over the original image, or over a smaller picture of it.

        Parameters
        ----------
        shape
            As in `on_original`.

        Returns
        -------
        mask
            Of that shape, true on the breast.
        """
        mask: BoolArray = (
            _lay_over(self.breast_mask.astype(np.float32), self.geometry, shape) >= 0.5
        )
        return mask


def grad_cam(
    features: Float32Array,
    gradients: Float32Array,
    network_input: NetworkInput,
    *,
    strength: float = 1.0,
) -> HeatMap:
    """Weigh each feature by its mean gradient, keep what raises the score, and fit it to the input.

    The map is scaled so that its largest value on the breast is `strength`. Within an image the
    values say where, not how much: without `strength`, the map of a score near 0 would glow like
    that of a score near 1.

    Parameters
    ----------
    features
        Shape (cell rows, cell columns, channels): output of the last convolution.
    gradients
        The same shape: gradient of the malignant class with respect to `features`, on any scale.
    network_input
        What the features were computed from.
    strength
        In [0, 1]: the largest value of the map. `model.classify` gives min(1, score / threshold),
        so that a map is at full strength from the operating point on.

    Returns
    -------
    heat_map
        All 0 where no feature on the breast raises the score.
    """
    weights = gradients.mean(axis=(0, 1), dtype=np.float64)
    cells = np.maximum(features.astype(np.float64) @ weights, 0.0)
    largest = float(cells.max())
    if largest > 0.0:
        cells /= largest
    height, width = network_input.breast_mask.shape
    # Blurred, for linear steps between cells 32 pixels wide show as diamonds; cubic steps would
    # overshoot. Before the first cell and after the last, the map goes on as it is there.
    linear = cv2.warpAffine(
        cells.astype(np.float32),
        np.array([[1 / _CELL_PX, 0, _cell_shift(width)], [0, 1 / _CELL_PX, _cell_shift(height)]]),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    values = cv2.GaussianBlur(linear, (0, 0), _BLUR_PX, borderType=cv2.BORDER_REPLICATE)
    values = values * network_input.breast_mask
    largest = float(values.max())
    if largest > 0.0:
        values = np.minimum(values * np.float32(strength / largest), np.float32(strength))
    return HeatMap(
        values=values.astype(np.float32, copy=False),
        breast_mask=network_input.breast_mask,
        geometry=network_input.geometry,
    )


def find_regions(heat_map: HeatMap, rule: RegionRule, *, score: float) -> tuple[Region, ...]:
    """Find the parts of the breast that a report points at.

    Parameters
    ----------
    heat_map
        Of one view.
    rule
        The manifest's: least score, least share of the map's largest value, least share of the
        breast's area, and how many regions at most.
    score
        Of that view, in [0, 1], at the prevalence of the manifest's calibration.

    Returns
    -------
    regions
        Highest peak first; none below the rule's score.
    """
    largest = float(heat_map.values.max())
    if score < rule.score_at_least or largest <= 0.0:
        return ()
    is_high = (heat_map.values >= rule.heat_map_at_least * largest) & (heat_map.values > 0.0)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        is_high.astype(np.uint8), connectivity=8
    )
    least_area = rule.area_at_least * int(heat_map.breast_mask.sum())
    regions = [
        _region(heat_map, labels == label)
        for label in range(1, count)
        if stats[label, cv2.CC_STAT_AREA] >= least_area
    ]
    regions.sort(key=lambda region: (-region.peak_value, region.top, region.left))
    return tuple(regions[: rule.regions_at_most])


def _region(heat_map: HeatMap, inside: BoolArray) -> Region:
    """Bring one connected part of the map to the original grid."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    geometry = heat_map.geometry
    one = geometry.to_original(float(rows[0]), float(columns[0]))
    other = geometry.to_original(float(rows[-1] + 1), float(columns[-1] + 1))
    top, bottom = _whole(one[0], other[0], geometry.original_rows)
    left, right = _whole(one[1], other[1], geometry.original_columns)
    values = np.where(inside, heat_map.values, 0.0)
    peak = _peak(values)
    peak_row, peak_column = geometry.to_original(*peak)
    return Region(
        top=top,
        left=left,
        bottom=bottom,
        right=right,
        peak_row=min(max(peak_row, top + 0.5), bottom - 0.5),
        peak_column=min(max(peak_column, left + 0.5), right - 0.5),
        peak_value=float(values.max()),
    )


def _peak(values: Float32Array) -> tuple[float, float]:
    """Return the middle of the summit that holds the largest value: it may be a plateau."""
    is_summit = (values >= _SUMMIT_SHARE * values.max()).astype(np.uint8)
    _, labels, _, middles = cv2.connectedComponentsWithStats(is_summit, connectivity=8)
    column, row = middles[labels.flat[int(values.argmax())]]
    return float(row) + 0.5, float(column) + 0.5


def _whole(one: float, other: float, size: int) -> tuple[int, int]:
    """Whole pixels from one end to the other, at least one, inside the image."""
    start = min(max(math.floor(min(one, other)), 0), size - 1)
    end = max(min(math.ceil(max(one, other)), size), start + 1)
    return start, end


def _cell_shift(size: int) -> float:
    """Offset from pixel index / 32 to cell index, for an input axis of `size` pixels.

    A strided convolution with "same" padding (Keras) pads an axis of even length at its end only,
    so that output `i` is centred on input `2i + 1`, one of odd length evenly, centred on `2i`.
    Through five of them the cells look half a cell further down and right than an even division
    of the image says: 8 mm on a breast of 24 cm and 14 cells.
    """
    centre = 0
    for level in range(_HALVINGS):
        centre += (1 - size % 2) << level
        size = (size + 1) // 2
    return -centre / _CELL_PX


def _lay_over(
    values: Float32Array, geometry: Geometry, shape: tuple[int, int] | None
) -> Float32Array:
    """Resample an array on the input grid to a picture of the whole original."""
    rows, columns = shape or (geometry.original_rows, geometry.original_columns)
    row_step, column_step = geometry.original_rows / rows, geometry.original_columns / columns
    # OpenCV counts from the centre of the first pixel, `Geometry` from its corner.
    origin = geometry.to_input(0.5 * row_step, 0.5 * column_step)
    across = geometry.scale_columns * column_step * (-1 if geometry.is_mirrored else 1)
    to_input = np.array(
        [
            [across, 0, origin[1] - 0.5],
            [0, geometry.scale_rows * row_step, origin[0] - 0.5],
        ]
    )
    laid = cv2.warpAffine(
        values,
        to_input,
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(laid, np.float32)
