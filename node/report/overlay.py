"""Draws the overlay: the mammogram as it is stored, its heat map in colour, and a panel of facts.

Every overlay has the same size, whatever the source: a viewer then shows the views of a study in
one layout, and no view's picture depends on another view. Nothing is drawn on the breast but the
colours and the outline of a region; all words stand in the panel beside it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from model.explain import HeatMap
from node.report.overlay_colours import blend
from node.report.overlay_panel import PANEL_COLUMNS, ROWS, draw_panel
from node.report.source_image import pixel_spacing_mm
from node.results import InstanceResult, StudyResult, UInt8Array

Float32Array = npt.NDArray[np.float32]

PICTURE_COLUMNS = 1024
COLUMNS = PICTURE_COLUMNS + PANEL_COLUMNS

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
        Shape (``ROWS``, ``COLUMNS``, 3), RGB, values 0 to 255. Upright and not mirrored; the chest
        wall lies against the edge, so that a right and a left view hang back to back, and the
        panel is on the other side.

    Raises
    ------
    ValueError
        If the view has not been analysed.
    """
    if instance.heat_map is None or instance.score is None:
        raise ValueError(f"expected an analysed view, found {instance.sop_instance_uid}")
    picture = draw_view(instance, rows=ROWS, columns=PICTURE_COLUMNS)
    rows, columns = picture.shape[:2]

    canvas = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    is_panel_left = instance.heat_map.geometry.is_mirrored
    top = (ROWS - rows) // 2
    left = COLUMNS - columns if is_panel_left else 0
    canvas[top : top + rows, left : left + columns] = picture
    panel = np.asarray(draw_panel(result, instance, instance.score))
    if is_panel_left:
        canvas[:, :PANEL_COLUMNS] = panel
    else:
        canvas[:, PICTURE_COLUMNS:] = panel
    return canvas


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
        RGB, values 0 to 255, as large as fits in the aspect ratio of the breast itself, in the
        orientation of the source.

    Raises
    ------
    ValueError
        If the view has not been analysed.
    """
    if instance.preview is None or instance.heat_map is None:
        raise ValueError(f"expected an analysed view, found {instance.sop_instance_uid}")
    shape = _fit(instance, instance.preview.shape, (rows, columns))
    picture = _picture(instance.preview, instance.heat_map, shape)
    _outline_regions(picture, instance, instance.heat_map, is_small=rows < _SMALL_ROWS)
    return picture


def _fit(
    instance: InstanceResult, shape: tuple[int, ...], largest: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns that the picture gets, in the aspect ratio of the breast itself."""
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
    is_smaller = shape[0] < preview.shape[0]
    grey = cv2.resize(
        preview, shape[::-1], interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    )
    # The breast's edge is known on the network's grid alone, and its steps would show.
    mask = heat_map.breast_on_original(shape).astype(np.float32)
    edge_px = _EDGE_SHARE * shape[0]
    blurred = cv2.GaussianBlur(mask, (0, 0), edge_px, borderType=cv2.BORDER_REPLICATE)
    return blend(
        np.asarray(grey, np.uint8),
        heat_map.on_original(shape),
        within=np.asarray(np.clip(2.0 * blurred - 1.0, 0.0, 1.0), np.float32),
    )


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
