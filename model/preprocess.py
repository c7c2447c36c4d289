"""From a display array to the network's input: find the breast, crop, turn, scale, resize.

The same function makes the images that the network is trained on and those that it sees in
the hospital. It looks at pixels alone: no header says here which side the breast is on.

Coordinates in this file are (row, column) with the origin at the top left **corner** of the top
left pixel, so that the centre of that pixel is (0.5, 0.5) and an image of 100 rows ends at row
100.0. That is the convention of spatial coordinates in reports (DICOM PS3.3 C.18.6.1.2).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from model.errors import PixelDataError

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

PREPROCESS_VERSION = "1"
"""Changes whenever the same display array would give other network input; weights name theirs."""

# The breast is looked for on a small copy: its outline needs no more, and it costs 10 ms.
_THUMBNAIL_LONG_SIDE_PX = 384
# Tissue begins this share of the way from the air's level to the tissue's median.
_TISSUE_SHARE = 0.12
# Shares of the thumbnail's short side. An opening takes off what is thinner: film borders,
# scratches, letters; the margin keeps the skin line, which fades into the air.
_OPENING_SHARE = 0.07
_FILM_BORDER_SHARE = 0.03
_MARGIN_SHARE = 0.012
_MIN_BREAST_SHARE = 0.01
_MIN_CONTRAST = 0.01
# The grey values are stretched between these percentiles of the breast, and then bent by a
# power that brings its median near the target: images that never saw a VOI LUT, films and
# display-ready images come close to each other, without a header being believed.
_LOW_PERCENTILE, _HIGH_PERCENTILE = 2.0, 99.8
_MEDIAN_TARGET = 0.40
_GAMMA_RANGE = (0.5, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A half-open rectangle on a pixel grid: `top` and `left` inside, `bottom` and `right` not."""

    top: float
    left: float
    bottom: float
    right: float

    @property
    def height(self) -> float:
        """Rows between top and bottom."""
        return self.bottom - self.top

    @property
    def width(self) -> float:
        """Columns between left and right."""
        return self.right - self.left


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where the network's input came from in the original image, and the way back.

    Points are (row, column), origin at the corner of the first pixel, whose centre is (0.5, 0.5).
    """

    original_rows: int
    original_columns: int
    crop: Box
    """Whole pixels of the original grid."""
    is_mirrored: bool
    """Whether columns were reversed to bring the chest wall to the left."""
    scale_rows: float
    """Input pixels for one original pixel, downwards."""
    scale_columns: float
    """Input pixels for one original pixel, across; differs from `scale_rows` by rounding only."""
    content: Box
    """Whole pixels of the input grid that the crop fills; the rest is padding."""
    input_rows: int
    input_columns: int

    def to_input(self, row: float, column: float) -> tuple[float, float]:
        """Map a point of the original image to the network's input.

        Parameters
        ----------
        row, column
            The point on the original grid; outside the crop it lands outside `content`.

        Returns
        -------
        point
            (row, column) on the input grid.
        """
        across = self.crop.right - column if self.is_mirrored else column - self.crop.left
        return (
            self.content.top + (row - self.crop.top) * self.scale_rows,
            self.content.left + across * self.scale_columns,
        )

    def to_original(self, row: float, column: float) -> tuple[float, float]:
        """Map a point of the network's input to the original image; undoes `to_input`.

        Parameters
        ----------
        row, column
            The point on the input grid; in the padding it lands outside `crop`.

        Returns
        -------
        point
            (row, column) on the original grid.
        """
        across = (column - self.content.left) / self.scale_columns
        return (
            self.crop.top + (row - self.content.top) / self.scale_rows,
            self.crop.right - across if self.is_mirrored else self.crop.left + across,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkInput:
    """What the network is given for one image, and where it came from."""

    pixels: Float32Array
    """Shape (height, width, 3), values in [0, 255]: the grey channel three times."""
    breast_mask: BoolArray
    """Shape (height, width): true on the breast; elsewhere `pixels` is 0."""
    geometry: Geometry


def to_network_input(display: Float32Array, size_px: tuple[int, int]) -> NetworkInput:
    """Crop to the breast, turn its chest wall to the left, scale its grey values and resize.

    What is not breast (air, burned-in markers, film borders) becomes 0. The aspect ratio is kept:
    the breast lies against the left edge, centred from top to bottom, in black padding.

    Parameters
    ----------
    display
        Shape (rows, columns), values in [0, 1]. VOI LUT already applied and MONOCHROME1 already
        inverted, so air is 0.
    size_px
        Target (height, width) in pixels.

    Returns
    -------
    network_input
        Pixels of shape (height, width, 3) in [0, 255]. EfficientNetV2 rescales inside the network
        (``include_preprocessing=True``).

    Raises
    ------
    PixelDataError
        If `display` is not two-dimensional, is not finite, or shows no breast.
    """
    if display.ndim != 2 or min(display.shape) < 16:
        raise PixelDataError(
            expected="one image of at least 16 × 16 pixels", found=f"shape {display.shape}"
        )
    rows, columns = display.shape
    mask = _find_breast(_thumbnail(display))
    height, width = size_px
    thumbnail_box = _bounds(mask)
    crop = _on_original_grid(thumbnail_box, mask.shape, (rows, columns))
    is_mirrored = _is_chest_wall_right(mask[_slices(thumbnail_box)])

    scale = min(height / crop.height, width / crop.width)
    content_rows = min(height, max(1, round(crop.height * scale)))
    content_columns = min(width, max(1, round(crop.width * scale)))
    content = cv2.resize(
        display[_slices(crop)],
        (content_columns, content_rows),
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
    )
    content_mask = cv2.resize(
        mask[_slices(thumbnail_box)].astype(np.float32),
        (content_columns, content_rows),
        interpolation=cv2.INTER_LINEAR,
    )
    if is_mirrored:
        content, content_mask = content[:, ::-1], content_mask[:, ::-1]
    inside = content_mask >= 0.5
    content = _scale_grey_values(np.asarray(content, np.float32), inside)

    top = (height - content_rows) // 2
    pixels = np.zeros((height, width, 3), np.float32)
    pixels[top : top + content_rows, :content_columns] = content[..., None]
    breast_mask = np.zeros((height, width), np.bool_)
    breast_mask[top : top + content_rows, :content_columns] = inside
    return NetworkInput(
        pixels=pixels,
        breast_mask=breast_mask,
        geometry=Geometry(
            original_rows=rows,
            original_columns=columns,
            crop=crop,
            is_mirrored=is_mirrored,
            scale_rows=content_rows / crop.height,
            scale_columns=content_columns / crop.width,
            content=Box(top=top, left=0, bottom=top + content_rows, right=content_columns),
            input_rows=height,
            input_columns=width,
        ),
    )


def _slices(box: Box) -> tuple[slice, slice]:
    """Index of a box of whole pixels."""
    return slice(round(box.top), round(box.bottom)), slice(round(box.left), round(box.right))


def _thumbnail(display: Float32Array) -> Float32Array:
    """Shrink to the size at which the breast is looked for; NaN and infinity survive it."""
    rows, columns = display.shape
    shrink = min(1.0, _THUMBNAIL_LONG_SIDE_PX / max(rows, columns))
    size = max(8, round(columns * shrink)), max(8, round(rows * shrink))
    small = cv2.resize(display.astype(np.float32, copy=False), size, interpolation=cv2.INTER_AREA)
    if not np.isfinite(small).all():
        raise PixelDataError(expected="finite pixel values", found="NaN or infinity")
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0), np.float32)


def _find_breast(thumbnail: Float32Array) -> BoolArray:
    """Mask of the largest piece of tissue, holes filled, skin line included."""
    tissue = (thumbnail > _tissue_level(thumbnail)).astype(np.uint8)
    tissue[_film_border(thumbnail)] = 0
    short_side = min(thumbnail.shape)
    opening = _disc(short_side * _OPENING_SHARE)
    # Padded with air, for a strip along the edge of a film would otherwise survive the opening.
    pad = opening.shape[0]
    padded = cv2.copyMakeBorder(tissue, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, opening)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count < 2 or areas.max() < _MIN_BREAST_SHARE * thumbnail.size:
        raise PixelDataError(
            expected="a breast", found="no connected tissue of at least 1 % of the image"
        )
    breast = (labels == 1 + int(areas.argmax())).astype(np.uint8)
    # The opening rounded the corners at the chest wall off; give back what touches the breast.
    regrown = cv2.bitwise_and(cv2.dilate(breast, _disc(short_side * _OPENING_SHARE / 2)), padded)
    contours, _ = cv2.findContours(regrown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=cv2.contourArea)
    filled = cv2.drawContours(np.zeros_like(regrown), [outline], -1, 1, cv2.FILLED)
    grown = cv2.dilate(filled, _disc(short_side * _MARGIN_SHARE))
    mask: BoolArray = grown[pad:-pad, pad:-pad].astype(np.bool_)
    return mask


def _film_border(thumbnail: Float32Array) -> BoolArray:
    """Mask of thin, blank strips along the edges: what a scanner sees beside the film."""
    thin = max(2, round(min(thumbnail.shape) * _FILM_BORDER_SHARE))
    blank = (thumbnail > 0.8 * float(thumbnail.max())).astype(np.uint8)
    rows, columns = thumbnail.shape
    border = np.zeros((rows, columns), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(blank, connectivity=4)
    for label in range(1, count):
        left, top, width, height = (int(value) for value in stats[label, :4])
        is_at_edge = left == 0 or top == 0 or left + width == columns or top + height == rows
        is_long = width > columns / 4 or height > rows / 4
        if is_at_edge and is_long and min(width, height) <= thin:
            border[labels == label] = 1
    grown: BoolArray = cv2.dilate(border, _disc(5)).astype(np.bool_)
    return grown


def _tissue_level(thumbnail: Float32Array) -> float:
    """Grey value above which a pixel is tissue or something brighter."""
    low, high = np.percentile(thumbnail, (0.5, 99.5))
    if high - low < _MIN_CONTRAST:
        raise PixelDataError(
            expected="a breast before air",
            found=f"an image of one grey value ({low:.3f} to {high:.3f})",
        )
    scaled = np.clip((thumbnail - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    is_bright = scaled > otsu
    tissue = float(np.median(thumbnail[is_bright]))
    dark = scaled[~is_bright]
    # The air is the commonest of the dark grey values: the median would be tissue where a large
    # fatty breast is darker than Otsu's threshold.
    air = low + float(np.bincount(dark, minlength=256).argmax()) / 255 * (high - low)
    return float(air + _TISSUE_SHARE * (tissue - air))


def _disc(diameter: float) -> npt.NDArray[np.uint8]:
    """Structuring element of about `diameter` pixels, at least 3."""
    odd = max(3, 2 * round(diameter / 2) + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd, odd)), np.uint8)


def _bounds(mask: BoolArray) -> Box:
    """Return the smallest box around what is true."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return Box(
        top=int(rows[0]), left=int(columns[0]), bottom=int(rows[-1]) + 1, right=int(columns[-1]) + 1
    )


def _on_original_grid(box: Box, small: tuple[int, ...], large: tuple[int, int]) -> Box:
    """Carry a box from the thumbnail to the original, to whole pixels."""
    down, across = large[0] / small[0], large[1] / small[1]
    return Box(
        top=round(box.top * down),
        left=round(box.left * across),
        bottom=round(box.bottom * down),
        right=round(box.right * across),
    )


def _is_chest_wall_right(mask: BoolArray) -> bool:
    """Whether the breast is taller in the right third of its box than in the left third."""
    third = max(1, mask.shape[1] // 3)
    return bool(mask[:, -third:].mean() > mask[:, :third].mean())


def _scale_grey_values(content: Float32Array, inside: BoolArray) -> Float32Array:
    """Stretch the breast's grey values to [0, 255], its median near a fixed grey; air to 0."""
    low, median, high = np.percentile(content[inside], (_LOW_PERCENTILE, 50.0, _HIGH_PERCENTILE))
    span = max(float(high - low), 1e-6)
    middle = min(max(float(median - low) / span, 1e-3), 1 - 1e-3)
    gamma = float(np.clip(np.log(_MEDIAN_TARGET) / np.log(middle), *_GAMMA_RANGE))
    stretched = np.clip((content - low) / span, 0.0, 1.0) ** gamma
    return np.where(inside, stretched * 255.0, 0.0).astype(np.float32)
