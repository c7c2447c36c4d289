"""Draws the overlay: the mammogram as it is stored, its heat map in colour, and a panel of facts.

Every overlay has the same size, whatever the source: a viewer then shows the views of a study in
one layout, and no view's picture depends on another view. Nothing is drawn on the breast but the
colours and the outline of a region; all words stand in the panel beside it.
"""

import re
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from model.explain import HeatMap
from node import __version__
from node.report import provenance
from node.report.source_image import label_of, pixel_spacing_mm
from node.report.structured_report import is_called
from node.results import InstanceResult, StudyResult, UInt8Array

Float32Array = npt.NDArray[np.float32]
Colour = tuple[int, int, int]

ROWS = 1280
PICTURE_COLUMNS = 1024
PANEL_COLUMNS = 320
COLUMNS = PICTURE_COLUMNS + PANEL_COLUMNS

# Perceptually even and without black: on grey anatomy the dark end of other maps reads as tissue.
_COLOUR_MAP = cv2.COLORMAP_PLASMA
# Below the first value no colour, from the second on this much of it: anatomy stays visible.
_FADE_FROM, _FADE_TO = 0.15, 0.5
_OPACITY = 0.55
_TISSUE = 120

_PANEL: Colour = (16, 18, 22)
_LINE: Colour = (58, 62, 70)
_BRIGHT: Colour = (240, 240, 240)
_SOFT: Colour = (168, 173, 181)
_AMBER: Colour = (255, 184, 77)
_MARGIN = 28
_LONGEST_VIEW = len("R XCCL")
_BAR_COLUMNS = 30
# A word, or a part of one up to a hyphen, with the space that follows: where a line may end.
_PIECE = re.compile(r"[^\s-]*(?:-+|\s+|$)")


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
    preview, heat_map, score = instance.preview, instance.heat_map, instance.score
    if preview is None or heat_map is None or score is None:
        raise ValueError(f"expected an analysed view, found {instance.sop_instance_uid}")
    rows, columns = _fit(instance, preview.shape)
    picture = _picture(preview, heat_map, (rows, columns))
    _outline_regions(picture, instance, heat_map)

    canvas = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    is_panel_left = heat_map.geometry.is_mirrored
    top = (ROWS - rows) // 2
    left = COLUMNS - columns if is_panel_left else 0
    canvas[top : top + rows, left : left + columns] = picture
    panel = np.asarray(_panel(result, instance, score))
    if is_panel_left:
        canvas[:, :PANEL_COLUMNS] = panel
    else:
        canvas[:, PICTURE_COLUMNS:] = panel
    return canvas


def blend(grey: UInt8Array, values: Float32Array) -> UInt8Array:
    """Lay the colours of heat map values over anatomy.

    Parameters
    ----------
    grey
        Shape (rows, columns), values 0 to 255.
    values
        Shape (rows, columns), in [0, 1].

    Returns
    -------
    blended
        Shape (rows, columns, 3), RGB, values 0 to 255: the grey itself where the value is low.
    """
    levels = np.round(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, _COLOUR_MAP), cv2.COLOR_BGR2RGB)
    ramp = np.clip((values - _FADE_FROM) / (_FADE_TO - _FADE_FROM), 0.0, 1.0)
    opacity = (_OPACITY * ramp * ramp * (3.0 - 2.0 * ramp))[..., np.newaxis]
    blended = grey[..., np.newaxis] * (1.0 - opacity) + colours * opacity
    return np.asarray(np.round(blended), np.uint8)


def _fit(instance: InstanceResult, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns that the picture gets, in the aspect ratio of the breast itself."""
    row_mm, column_mm = _pixel_aspect(instance)
    height, width = shape[0] * row_mm, shape[1] * column_mm
    scale = min(ROWS / height, PICTURE_COLUMNS / width)
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
    return blend(np.asarray(grey, np.uint8), heat_map.on_original(shape))


def _outline_regions(picture: UInt8Array, instance: InstanceResult, heat_map: HeatMap) -> None:
    """Draw the regions' boxes: white within a dark edge, seen on any background."""
    down = picture.shape[0] / heat_map.geometry.original_rows
    across = picture.shape[1] / heat_map.geometry.original_columns
    for region in instance.regions:
        first = (round(region.left * across), round(region.top * down))
        last = (round(region.right * across) - 1, round(region.bottom * down) - 1)
        cv2.rectangle(picture, first, last, (0, 0, 0), 5, cv2.LINE_AA)
        cv2.rectangle(picture, first, last, (255, 255, 255), 2, cv2.LINE_AA)


@lru_cache(maxsize=16)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font: no system's fonts are asked."""
    return ImageFont.load_default(size=size_px)


def _panel(result: StudyResult, instance: InstanceResult, score: float) -> Image.Image:
    """All that is said in words, with the scale of the colours."""
    panel = Image.new("RGB", (PANEL_COLUMNS, ROWS), _PANEL)
    draw = ImageDraw.Draw(panel)
    y, label = 34, label_of(instance)
    for part in label.split(", "):
        y = _write(draw, y, part, 52 if len(label) <= _LONGEST_VIEW else 28, _BRIGHT)
    y = _rule(draw, y + 20)
    y = _score(draw, result, score, y + 24)
    y = _rule(draw, y + 26)
    _scale(panel, draw, y + 24)
    y = _rule(draw, ROWS - 268)
    y = _write(draw, y + 22, "Model", 18, _SOFT)
    y = _write(draw, y + 4, provenance.model_label(result), 22, _BRIGHT)
    y = _write(draw, y + 4, f"mammonode {__version__}", 18, _SOFT)
    _disclaimer(draw, ROWS - 118)
    return panel


def _score(draw: ImageDraw.ImageDraw, result: StudyResult, score: float, y: int) -> int:
    """Name, number, call and place on the scale; returns the next free row."""
    threshold = result.manifest.operating_point.threshold
    called = is_called(result, score)
    if result.prevalence is None:
        name, number, point = "AI malignancy score", f"{score:.2f}", f"{threshold:.2f}"
    else:
        carry = result.manifest.calibration.at_prevalence
        name = "Probability of cancer (AI)"
        number = f"{100 * carry(score, result.prevalence):.1f} %"
        point = f"{100 * carry(threshold, result.prevalence):.1f} %"
    y = _write(draw, y, name, 22, _SOFT)
    y = _write(draw, y + 2, number, 84, _AMBER if called else _BRIGHT)
    y = _gauge(draw, y + 18, score, threshold, _AMBER if called else _BRIGHT)
    if called:
        y = _write(draw, y + 18, "suspicious", 28, _AMBER)
        y = _write(draw, y + 4, "at or above", 20, _SOFT)
        return _write(draw, y, f"operating point {point}", 20, _SOFT)
    y = _write(draw, y + 18, "below", 28, _BRIGHT)
    return _write(draw, y + 4, f"operating point {point}", 20, _SOFT)


def _gauge(
    draw: ImageDraw.ImageDraw, y: int, score: float, threshold: float, colour: Colour
) -> int:
    """Draw a scale from 0 to 1 with the score and, as a notch, the operating point."""
    left, right = _MARGIN, PANEL_COLUMNS - _MARGIN
    span = right - left
    draw.rounded_rectangle((left, y + 8, right, y + 18), radius=5, fill=_LINE)
    end = left + round(span * min(max(score, 0.0), 1.0))
    if end - left >= 10:
        draw.rounded_rectangle((left, y + 8, end, y + 18), radius=5, fill=colour)
    notch = left + round(span * threshold)
    draw.rectangle((notch - 1, y, notch + 1, y + 26), fill=_BRIGHT)
    return y + 27


def _scale(panel: Image.Image, draw: ImageDraw.ImageDraw, y: int) -> None:
    """Draw the colour bar from 0 to 1, blended over grey as in the picture, with ticks."""
    y = _write(draw, y, "Grad-CAM", 22, _SOFT)
    y = _write(draw, y + 2, "what raised the score", 18, _SOFT) + 22
    height = ROWS - 268 - 40 - y
    values = np.linspace(1.0, 0.0, height, dtype=np.float32)
    bar = np.repeat(values[:, np.newaxis], _BAR_COLUMNS, axis=1)
    tissue = np.full(bar.shape, _TISSUE, np.uint8)
    panel.paste(Image.fromarray(blend(tissue, bar)), (_MARGIN, y))
    right = _MARGIN + _BAR_COLUMNS
    for tick in (1.0, 0.75, 0.5, 0.25, 0.0):
        row = y + round((1.0 - tick) * (height - 1))
        draw.line((right, row, right + 10, row), fill=_SOFT, width=2)
        draw.text((right + 20, row), f"{tick:g}", font=_font(20), fill=_BRIGHT, anchor="lm")


def _disclaimer(draw: ImageDraw.ImageDraw, y: int) -> None:
    """Write the sentence that must not be missed."""
    box = (_MARGIN, y, PANEL_COLUMNS - _MARGIN, y + 84)
    draw.rounded_rectangle(box, radius=8, outline=_AMBER, width=2)
    middle = PANEL_COLUMNS // 2
    for row, line in ((y + 27, "Research software"), (y + 56, "Not for diagnostic use")):
        draw.text((middle, row), line, font=_font(22), fill=_AMBER, anchor="mm")


def _rule(draw: ImageDraw.ImageDraw, y: int) -> int:
    draw.line((_MARGIN, y, PANEL_COLUMNS - _MARGIN, y), fill=_LINE, width=2)
    return y + 2


def _write(draw: ImageDraw.ImageDraw, y: int, words: str, size_px: int, colour: Colour) -> int:
    """Write words from row `y` on, broken into lines that fit; returns the row below them."""
    font = _font(size_px)
    width = PANEL_COLUMNS - 2 * _MARGIN
    line, lines = "", []
    for piece in _PIECE.findall(words):
        longer = line + piece
        if line and draw.textlength(longer.rstrip(), font=font) > width:
            lines.append(line)
            longer = piece.lstrip()
        while draw.textlength(longer.rstrip(), font=font) > width:
            cut = _cut(draw, longer, font, width)
            lines.append(longer[:cut])
            longer = longer[cut:]
        line = longer
    for each in (*lines, line):
        draw.text((_MARGIN, y), each, font=font, fill=colour)
        y += round(size_px * 1.22)
    return y


def _cut(
    draw: ImageDraw.ImageDraw,
    word: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
) -> int:
    """How many letters of a word too long for a line fit on it."""
    return max(
        (n for n in range(1, len(word)) if draw.textlength(word[:n], font=font) <= width),
        default=1,
    )
