"""The words beside an overlay: view, score, call, scale of the colours, model, disclaimer."""

from PIL import Image, ImageDraw

from node import __version__
from node.report import lettering, provenance
from node.report.lettering import AMBER, BRIGHT, LINE, PANEL, SOFT, Colour
from node.report.score_words import score_words
from node.report.source_image import label_of
from node.results import InstanceResult, StudyResult

ROWS = 1024
PANEL_COLUMNS = 320

_MARGIN = 28
_WIDTH = PANEL_COLUMNS - 2 * _MARGIN
_LONGEST_VIEW = len("R XCCL")
_BAR_COLUMNS = 30
_TOP = 76
"""Viewers write into the corners, the upper left above all."""
_FOOT_ROWS = 240


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
    panel = Image.new("RGB", (PANEL_COLUMNS, ROWS), PANEL)
    draw = ImageDraw.Draw(panel)
    y, label = _TOP, label_of(instance)
    for part in label.split(", "):
        y = _write(draw, y, part, 52 if len(label) <= _LONGEST_VIEW else 28, BRIGHT)
    y = _rule(draw, y + 20)
    y = _score(draw, result, score, y + 24)
    y = _rule(draw, y + 26)
    _scale(panel, draw, y + 24)
    y = _rule(draw, ROWS - _FOOT_ROWS)
    y = _write(draw, y + 20, provenance.model_label(result), 22, BRIGHT)
    y = _write(draw, y + 4, f"mammonode {__version__}", 18, SOFT)
    lettering.disclaimer(draw, (_MARGIN, ROWS - 118, PANEL_COLUMNS - _MARGIN, ROWS - 34))
    return panel


def _score(draw: ImageDraw.ImageDraw, result: StudyResult, score: float, y: int) -> int:
    """Name, number, call and place on the scale; returns the next free row."""
    words = score_words(result, score)
    colour = AMBER if words.is_called else BRIGHT
    y = _write(draw, y, words.name, 22, SOFT)
    y = _write(draw, y + 2, words.value, 84, colour)
    y = lettering.gauge(draw, (_MARGIN, y + 14), words, colour, width=_WIDTH)
    if words.is_called:
        y = _write(draw, y + 18, "suspicious", 28, AMBER)
        y = _write(draw, y + 4, "at or above", 20, SOFT)
        return _write(draw, y, f"operating point {words.operating_point}", 20, SOFT)
    y = _write(draw, y + 18, "below", 28, BRIGHT)
    return _write(draw, y + 4, f"operating point {words.operating_point}", 20, SOFT)


def _scale(panel: Image.Image, draw: ImageDraw.ImageDraw, y: int) -> None:
    """Draw the colour bar from 0 to 1, upright, with ticks."""
    y = _write(draw, y, "Grad-CAM", 22, SOFT)
    y = _write(draw, y + 2, "what raised the score", 18, SOFT) + 22
    height = ROWS - _FOOT_ROWS - 32 - y
    bar = lettering.colour_bar(height, _BAR_COLUMNS).transpose(Image.Transpose.ROTATE_90)
    panel.paste(bar, (_MARGIN, y))
    right = _MARGIN + _BAR_COLUMNS
    for tick in (1.0, 0.75, 0.5, 0.25, 0.0):
        row = y + round((1.0 - tick) * (height - 1))
        draw.line((right, row, right + 10, row), fill=SOFT, width=2)
        draw.text((right + 20, row), f"{tick:g}", font=lettering.font(20), fill=BRIGHT, anchor="lm")


def _rule(draw: ImageDraw.ImageDraw, y: int) -> int:
    draw.line((_MARGIN, y, PANEL_COLUMNS - _MARGIN, y), fill=LINE, width=2)
    return y + 2


def _write(draw: ImageDraw.ImageDraw, y: int, words: str, size_px: int, colour: Colour) -> int:
    """Write words from row `y` on; returns the row below them."""
    return lettering.write(draw, (_MARGIN, y), words, size_px, colour, width=_WIDTH)
