"""Draws the overlay: the mammogram as it hangs, its heat map in colour, and a panel of facts.

Every overlay of a layout has the same size, whatever the source: a viewer then shows the views of a
study alike, and no view's picture depends on another view. Nothing is drawn on the breast but the
colours and the outline of a region; all words stand in the panel beside it.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from model.explain import HeatMap
from node.report.hanging import hanging_of
from node.report.overlay_colours import blend
from node.report.overlay_panel import PANEL_COLUMNS, ROWS, draw_panel
from node.report.source_image import pixel_spacing_mm
from node.result_kinds import HeatMapLayout
from node.results import InstanceResult, StudyResult, UInt8Array

Float32Array = npt.NDArray[np.float32]

PICTURE_COLUMNS = 800
COLUMNS: Mapping[HeatMapLayout, int] = {
    HeatMapLayout.SOURCE_AND_OVERLAY: 2 * PICTURE_COLUMNS + PANEL_COLUMNS,
    HeatMapLayout.OVERLAY: PICTURE_COLUMNS + PANEL_COLUMNS,
}
"""Of the whole: with the source beside it as wide as the smallest screens of a workplace."""

_EDGE_SHARE = 5 / 1280
"""Of the rows of a picture: how far the colours take to end at the skin."""
_SMALL_ROWS = 800
"""A picture of fewer rows gets thinner outlines."""


def draw_overlay(result: StudyResult, instance: InstanceResult) -> UInt8Array:
    """Draw the overlay of one analysed view.

    Parameters
    ----------
    result
        The analysis that the view belongs to.
    instance
        The view, with preview, heat map and score.

    Returns
    -------
    overlay
        Shape (``ROWS``, ``COLUMNS`` of the layout, 3), RGB, values 0 to 255. The chest wall
        lies against the edge, so that a right and a left view hang back to back. From there on:
        the overlay, the source if the layout has it, the panel.

    Raises
    ------
    ValueError
        If the view has not been analysed.
    """
    if instance.heat_map is None or instance.score is None:
        raise ValueError(f"expected an analysed view, found {instance.sop_instance_uid}")
    pictures = [draw_view(instance, rows=ROWS, columns=PICTURE_COLUMNS)]
    if result.form.heat_map is HeatMapLayout.SOURCE_AND_OVERLAY:
        pictures.append(draw_source(instance, rows=ROWS, columns=PICTURE_COLUMNS))
    is_panel_left = hanging_of(instance).is_chest_wall_right
    parts = [_against_edge(picture, is_right=is_panel_left) for picture in pictures]
    parts.append(np.asarray(draw_panel(result, instance, instance.score)))
    return np.concatenate(parts[::-1] if is_panel_left else parts, axis=1)


def _against_edge(picture: UInt8Array, *, is_right: bool) -> UInt8Array:
    """Put a picture against the left or the right edge of a black part of full size."""
    part = np.zeros((ROWS, PICTURE_COLUMNS, 3), np.uint8)
    rows, columns = picture.shape[:2]
    top, left = (ROWS - rows) // 2, PICTURE_COLUMNS - columns if is_right else 0
    part[top : top + rows, left : left + columns] = picture
    return part


def draw_source(instance: InstanceResult, *, rows: int, columns: int) -> UInt8Array:
    """Draw the anatomy of one view alone, as large as `draw_view` does.

    Parameters
    ----------
    instance
        An analysed view.
    rows, columns
        The largest size that the picture may have, in pixels.

    Returns
    -------
    picture
        RGB, values 0 to 255, without a colour.

    Raises
    ------
    ValueError
        If the view has not been analysed.
    """
    if instance.preview is None:
        raise ValueError(f"expected an analysed view, found {instance.sop_instance_uid}")
    transformation = hanging_of(instance).transformation
    shape = _fit(instance, instance.preview.shape, transformation.apply_to_size(rows, columns))
    grey = transformation.apply(_resized(instance.preview, shape))
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def draw_view(instance: InstanceResult, *, rows: int, columns: int) -> UInt8Array:
    """Draw anatomy, heat map and regions of one view, without words.

    Parameters
    ----------
    instance
        An analysed view.
    rows, columns
        The largest size that the picture may have, in pixels.

    Returns
    -------
    picture
        RGB, values 0 to 255, as large as fits in the aspect ratio of the breast itself, turned as
        the view hangs (`node.report.hanging`).

    Raises
    ------
    ValueError
        If the view has not been analysed.
    """
    if instance.preview is None or instance.heat_map is None:
        raise ValueError(f"expected an analysed view, found {instance.sop_instance_uid}")
    transformation = hanging_of(instance).transformation
    shape = _fit(instance, instance.preview.shape, transformation.apply_to_size(rows, columns))
    picture = _picture(instance.preview, instance.heat_map, shape)
    _outline_regions(picture, instance, instance.heat_map, is_small=rows < _SMALL_ROWS)
    # Last, so that all of the picture turns as one, and its regions cannot miss their place.
    return transformation.apply(picture)


def _fit(
    instance: InstanceResult, shape: tuple[int, ...], largest: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns before it is turned, in the aspect ratio of the breast itself."""
    row_mm, column_mm = _pixel_aspect(instance)
    height, width = shape[0] * row_mm, shape[1] * column_mm
    scale = min(largest[0] / height, largest[1] / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _pixel_aspect(instance: InstanceResult) -> tuple[float, float]:
    """Height and width of one source pixel, in any one unit."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        aspect = pixel_spacing_mm(instance.source, keyword)
        if aspect is not None:
            return aspect
    return 1.0, 1.0


def _picture(preview: UInt8Array, heat_map: HeatMap, shape: tuple[int, int]) -> UInt8Array:
    """Blend anatomy and heat map at a size of (rows, columns)."""
    # The breast's edge is known on the network's grid alone, and its steps would show.
    mask = heat_map.breast_on_original(shape).astype(np.float32)
    edge_px = _EDGE_SHARE * shape[0]
    blurred = cv2.GaussianBlur(mask, (0, 0), edge_px, borderType=cv2.BORDER_REPLICATE)
    return blend(
        _resized(preview, shape),
        heat_map.on_original(shape),
        within=np.asarray(np.clip(2.0 * blurred - 1.0, 0.0, 1.0), np.float32),
    )


def _resized(preview: UInt8Array, shape: tuple[int, int]) -> UInt8Array:
    is_smaller = shape[0] < preview.shape[0]
    interpolation = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(preview, shape[::-1], interpolation=interpolation), np.uint8)


def _outline_regions(
    picture: UInt8Array, instance: InstanceResult, heat_map: HeatMap, *, is_small: bool
) -> None:
    """Draw the regions' boxes: white within a dark edge, seen on any background."""
    down = picture.shape[0] / heat_map.geometry.original_rows
    across = picture.shape[1] / heat_map.geometry.original_columns
    edge, line = (3, 1) if is_small else (5, 2)
    for region in instance.regions:
        first = (round(region.left * across), round(region.top * down))
        last = (round(region.right * across) - 1, round(region.bottom * down) - 1)
        cv2.rectangle(picture, first, last, (0, 0, 0), edge, cv2.LINE_AA)
        cv2.rectangle(picture, first, last, (255, 255, 255), line, cv2.LINE_AA)
