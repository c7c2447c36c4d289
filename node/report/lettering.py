"""Words and scales in the pictures: one font, one set of colours, lines that end where they fit."""

import re
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from node.report.overlay_colours import blend
from node.report.score_words import ScoreWords

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PANEL: Colour = (16, 18, 22)
LINE: Colour = (58, 62, 70)
BRIGHT: Colour = (240, 240, 240)
SOFT: Colour = (168, 173, 181)
AMBER: Colour = (255, 184, 77)

# A word, or a part of one up to a hyphen, with the space that follows: where a line may end.
_PIECE = re.compile(r"[^\s-]*(?:-+|\s+|$)")
_TISSUE = 120


@lru_cache(maxsize=32)
def font(size_px: int) -> Font:
    """Give Pillow's own scalable font: no system's fonts are asked."""
    return ImageFont.load_default(size=size_px)


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    words: str,
    size_px: int,
    colour: Colour,
    *,
    width: int,
    anchor: str = "la",
) -> int:
    """Write words, broken into lines.

    Parameters
    ----------
    draw
        Of the picture.
    place
        (x, y) of the upper edge, in pixels.
    words, size_px, colour
        What is written and how large.
    width
        In pixels; what is longer goes on in the next line.
    anchor
        Where `place` lies in each line, in Pillow's letters: ``la`` on its left, ``ma`` in its
        middle.

    Returns
    -------
    y
        The row below the last line.
    """
    x, y = place
    for line in _lines(draw, words, size_px, width):
        draw.text((x, y), line.rstrip(), font=font(size_px), fill=colour, anchor=anchor)
        y += round(size_px * 1.22)
    return y


def shortened(
    draw: ImageDraw.ImageDraw, words: str, size_px: int, *, width: int, lines: int
) -> str:
    """Cut words that take more than so many lines, and end them with an ellipsis.

    Parameters
    ----------
    draw
        Of the picture.
    words, size_px, width
        As in `write`.
    lines
        How many there is room for.

    Returns
    -------
    shown
        What `write` breaks into at most so many lines.
    """
    shown = words
    while len(_lines(draw, shown, size_px, width)) > lines:
        words = words[: -max(1, len(words) // 20)]
        shown = f"{words.rstrip()} …"
    return shown


def _lines(draw: ImageDraw.ImageDraw, words: str, size_px: int, width: int) -> list[str]:
    """Break words into lines of at most `width` pixels."""
    line, lines = "", []
    for piece in _PIECE.findall(words):
        longer = line + piece
        if line and draw.textlength(longer.rstrip(), font=font(size_px)) > width:
            lines.append(line)
            longer = piece.lstrip()
        while draw.textlength(longer.rstrip(), font=font(size_px)) > width:
            cut = _cut(draw, longer, font(size_px), width)
            lines.append(longer[:cut])
            longer = longer[cut:]
        line = longer
    return [*lines, line]


def gauge(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    words: ScoreWords,
    colour: Colour,
    *,
    width: int,
) -> int:
    """Draw a scale from 0 to its end with the score and, as a notch, the operating point.

    Parameters
    ----------
    draw
        Of the picture.
    place
        (x, y) of the top left corner, in pixels.
    words
        The score; its `scale_end` stands at the end of the scale.
    colour, width
        Of the bar; the width in pixels.

    Returns
    -------
    y
        The row below the scale.
    """
    left, y = place
    draw.rounded_rectangle((left, y + 8, left + width, y + 18), radius=5, fill=LINE)
    end = left + round(width * min(max(words.share, 0.0), 1.0))
    if end - left >= 10:
        draw.rounded_rectangle((left, y + 8, end, y + 18), radius=5, fill=colour)
    notch = left + round(width * words.operating_share)
    draw.rectangle((notch - 1, y, notch + 1, y + 26), fill=BRIGHT)
    draw.text((left, y + 28), "0", font=font(18), fill=SOFT, anchor="la")
    draw.text((left + width, y + 28), words.scale_end, font=font(18), fill=SOFT, anchor="ra")
    return y + 46


def colour_bar(length: int, breadth: int) -> Image.Image:
    """Draw the colours of a heat map over tissue, as they lie in the pictures.

    Parameters
    ----------
    length, breadth
        In pixels.

    Returns
    -------
    bar
        RGB, `length` wide and `breadth` high; the value rises from 0 on the left to 1.
    """
    values = np.linspace(0.0, 1.0, length, dtype=np.float32)
    bar = np.repeat(values[np.newaxis], breadth, axis=0)
    return Image.fromarray(blend(np.full(bar.shape, _TISSUE, np.uint8), bar))


def disclaimer(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    """Write the sentence that must not be missed into a box of (left, top, right, bottom)."""
    draw.rounded_rectangle(box, radius=8, outline=AMBER, width=2)
    middle, centre = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
    for row, line in ((centre - 15, "Research software"), (centre + 14, "Not for diagnostic use")):
        draw.text((middle, row), line, font=font(22), fill=AMBER, anchor="mm")


def _cut(draw: ImageDraw.ImageDraw, word: str, of: Font, width: int) -> int:
    """How many letters of a word too long for a line fit on it."""
    return max(
        (n for n in range(1, len(word)) if draw.textlength(word[:n], font=of) <= width), default=1
    )
