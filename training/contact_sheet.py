"""Many small pictures on one sheet, each with a caption: to look at a data set before training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Uint8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_BACKGROUND = (17, 19, 22)
_PAPER = (0, 0, 0)
_TEXT = (226, 229, 233)
_QUIET = (150, 156, 164)
_OUTLINE = (255, 176, 32)
_TITLE_PX, _HEADING_PX, _CAPTION_PX = 26, 18, 13
_GAP_PX = 12
_MARGIN_PX = 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """One picture of a sheet."""

    pictures: tuple[Uint8Array, ...]
    """Shape (rows, columns), values 0 to 255: laid one below the other."""
    captions: tuple[str, ...]
    """Lines below them."""
    lesions: BoolArray | None = None
    """On the grid of the first picture; outlined."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """Tiles that belong together."""

    heading: str
    tiles: tuple[Tile, ...]


def write_contact_sheet(
    file: Path, rows: Sequence[Row], *, title: str, subtitle: str = "", tile_px: int = 176
) -> None:
    """Write a sheet.

    Parameters
    ----------
    file
        PNG; its folder is made.
    rows
        From top to bottom; one without a tile keeps its heading.
    title, subtitle
        Above them.
    tile_px
        Width and height that a picture is fitted into.
    """
    columns = max((len(row.tiles) for row in rows), default=1) or 1
    width = max(columns * (tile_px + _GAP_PX) - _GAP_PX, 640) + 2 * _MARGIN_PX
    heights = [_height(row, tile_px) for row in rows]
    top = _MARGIN_PX + _TITLE_PX + 14 + (_CAPTION_PX + 10 if subtitle else 0)
    sheet = Image.new("RGB", (width, top + sum(heights) + _MARGIN_PX), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN_PX, _MARGIN_PX), title, fill=_TEXT, font=_font(_TITLE_PX))
    if subtitle:
        below = _MARGIN_PX + _TITLE_PX + 12
        draw.text((_MARGIN_PX, below), subtitle, fill=_QUIET, font=_font(_CAPTION_PX + 1))
    for row, height in zip(rows, heights, strict=True):
        _draw_row(sheet, row, top, tile_px)
        top += height
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(file)


def _height(row: Row, tile_px: int) -> int:
    """Pixels that a row takes."""
    pictures = max((len(tile.pictures) for tile in row.tiles), default=0)
    lines = max((len(tile.captions) for tile in row.tiles), default=0)
    return _HEADING_PX + 20 + pictures * (tile_px + 4) + lines * (_CAPTION_PX + 4) + 2 * _GAP_PX


def _draw_row(sheet: Image.Image, row: Row, top: int, tile_px: int) -> None:
    """Draw heading, pictures and captions."""
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN_PX, top + 6), row.heading, fill=_TEXT, font=_font(_HEADING_PX))
    font = _font(_CAPTION_PX)
    for column, tile in enumerate(row.tiles):
        left = _MARGIN_PX + column * (tile_px + _GAP_PX)
        below = top + _HEADING_PX + 20
        for number, picture in enumerate(tile.pictures):
            lesions = tile.lesions if number == 0 else None
            sheet.paste(_fitted(picture, lesions, tile_px), (left, below))
            below += tile_px + 4
        for number, caption in enumerate(tile.captions):
            draw.text(
                (left, below + 2),
                _shortened(caption, font, tile_px),
                fill=_TEXT if number == 0 else _QUIET,
                font=font,
            )
            below += _CAPTION_PX + 4


def _fitted(picture: Uint8Array, lesions: BoolArray | None, tile_px: int) -> Image.Image:
    """Fit a picture into its square, and outline what is marked."""
    rows, columns = picture.shape
    scale = tile_px / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.cvtColor(cv2.resize(picture, size, interpolation=method), cv2.COLOR_GRAY2RGB)
    if lesions is not None and lesions.any():
        marks = cv2.resize(lesions.astype(np.float32), size, interpolation=method) > 0
        outlines, _ = cv2.findContours(
            marks.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        small = cv2.drawContours(small, outlines, -1, _OUTLINE, 1, cv2.LINE_AA)
    tile = Image.new("RGB", (tile_px, tile_px), _PAPER)
    tile.paste(Image.fromarray(small), ((tile_px - size[0]) // 2, (tile_px - size[1]) // 2))
    return tile


def _shortened(text: str, font: Font, width_px: int) -> str:
    """Cut a caption to the width of its tile."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(f"{text}…") > width_px:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _font(size_px: int) -> Font:
    """Pillow's own: on every machine the same."""
    return ImageFont.load_default(size=size_px)
