"""The words beside an overlay: view, score, call, scale of the colours, model, disclaimer."""

import re
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from node import __version__
from node.report import provenance
from node.report.overlay_colours import blend
from node.report.score_words import score_words
from node.report.source_image import label_of
from node.results import InstanceResult, StudyResult

Colour = tuple[int, int, int]

ROWS = 1280
PANEL_COLUMNS = 320

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
_TISSUE = 120


@lru_cache(maxsize=16)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font: no system's fonts are asked."""
    return ImageFont.load_default(size=size_px)


def draw_panel(result: StudyResult, instance: InstanceResult, score: float) -> Image.Image:
    """Draw the panel of one analysed view.

    Parameters
    ----------
    result
        The analysis that the view belongs to.
    instance
        The view.
    score
        Its AI malignancy score, in [0, 1].

    Returns
    -------
    panel
        RGB, ``PANEL_COLUMNS`` wide and ``ROWS`` high.
    """
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
    words = score_words(result, score)
    colour = _AMBER if words.is_called else _BRIGHT
    y = _write(draw, y, words.name, 22, _SOFT)
    y = _write(draw, y + 2, words.value, 84, colour)
    y = _gauge(draw, y + 18, score, result.manifest.operating_point.threshold, colour)
    if words.is_called:
        y = _write(draw, y + 18, "suspicious", 28, _AMBER)
        y = _write(draw, y + 4, "at or above", 20, _SOFT)
        return _write(draw, y, f"operating point {words.operating_point}", 20, _SOFT)
    y = _write(draw, y + 18, "below", 28, _BRIGHT)
    return _write(draw, y + 4, f"operating point {words.operating_point}", 20, _SOFT)


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
