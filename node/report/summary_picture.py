"""Draws the summary page: four views in hanging order, with the scores of breasts and study.

Right views hang on the left with the chest wall to the middle, left views beside them: CC above,
MLO below (PS3.17 Y.4). A place for which there is no picture stays empty and says why.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from model.views import STANDARD_VIEWS, Laterality
from node import __version__
from node.report import lettering, provenance
from node.report.lettering import AMBER, BRIGHT, LINE, PANEL, SOFT, Colour
from node.report.overlay import draw_view
from node.report.score_words import score_words
from node.report.source_image import breast_label, is_image, label_of
from node.report.summary_head import ROWS as HEAD_ROWS
from node.report.summary_head import draw_head
from node.results import BreastResult, InstanceResult, StudyResult, UInt8Array

ROWS = 1440
COLUMNS = 1840

_SIDE_COLUMNS = 360
_CELL_COLUMNS = (COLUMNS - 2 * _SIDE_COLUMNS) // 2
_FOOT_ROWS = 132
_CELL_ROWS = (ROWS - HEAD_ROWS - _FOOT_ROWS) // 2
_STRIP_ROWS = 46
_GAP_COLUMNS = 2
"""Between the middle of the page and a chest wall."""
_MARGIN = 32
_SIDE_WIDTH = _SIDE_COLUMNS - 2 * _MARGIN
_MOST_IMAGES = 12
_BLACK: Colour = (0, 0, 0)
_DASH_PX = 10

_STANDS_IN = {
    "CC": ("XCCL", "XCCM", "FB"),
    "MLO": ("ML", "LM", "LMO", "SIO", "ISO"),
}
"""Views that may fill the place of a standard one that is not there, by the same breast."""


def draw_summary(result: StudyResult) -> UInt8Array:
    """Draw the summary page of a study.

    Parameters
    ----------
    result
        The analysis; none of its images need have been analysed.

    Returns
    -------
    page
        Shape (``ROWS``, ``COLUMNS``, 3), RGB, values 0 to 255. No patient attribute is on it.
    """
    page = Image.new("RGB", (COLUMNS, ROWS), PANEL)
    draw = ImageDraw.Draw(page)
    draw_head(draw, result, left=_SIDE_COLUMNS, right=COLUMNS - _SIDE_COLUMNS)
    shown = hung(result)
    for number, view in enumerate(STANDARD_VIEWS):
        laterality, view_position = view
        left = _SIDE_COLUMNS + (number % 2) * _CELL_COLUMNS
        top = HEAD_ROWS + (number // 2) * _CELL_ROWS
        instance = shown[number]
        _strip(draw, result, instance, (left, top), laterality, view_position)
        place = (left, top + _STRIP_ROWS)
        if instance is not None and instance.score is not None:
            _hang(page, instance, place, laterality)
        else:
            label = f"{laterality.value} {view_position}"
            _empty(draw, label, _why_empty(result, instance), place)
    for laterality in Laterality:
        _breast(
            draw, result, laterality, [i for i in shown if i is not None and i.score is not None]
        )
    _foot(page, draw, result)
    return np.asarray(page)


def hung(result: StudyResult) -> tuple[InstanceResult | None, ...]:
    """Choose the image for each place.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    images
        One for each of the standard views: the analysed image of that view with the highest score;
        else an analysed one of a view that stands in for it; else one that was not analysed; else
        None.
    """
    return tuple(
        _best(result, laterality, (view_position,), is_analysed=True)
        or _best(result, laterality, _STANDS_IN[view_position], is_analysed=True)
        or _best(result, laterality, (view_position,), is_analysed=False)
        for laterality, view_position in STANDARD_VIEWS
    )


def _best(
    result: StudyResult, laterality: Laterality, views: Sequence[str], *, is_analysed: bool
) -> InstanceResult | None:
    return max(
        (
            i
            for i in result.instances
            if i.laterality is laterality
            and i.view_position in views
            and (i.score is not None) == is_analysed
        ),
        key=lambda i: i.score or 0.0,
        default=None,
    )


def _strip(
    draw: ImageDraw.ImageDraw,
    result: StudyResult,
    instance: InstanceResult | None,
    place: tuple[int, int],
    laterality: Laterality,
    view_position: str,
) -> None:
    """Write view and score above a picture, on the side away from the middle of the page."""
    left, top = place
    middle = top + _STRIP_ROWS // 2
    label = f"{laterality.value} {view_position}" if instance is None else label_of(instance)
    words = [(label, BRIGHT)]
    if instance is not None and instance.score is not None:
        said = score_words(result, instance.score)
        words.append((said.value, AMBER if said.is_called else SOFT))
    is_right = laterality is Laterality.RIGHT
    x = left if is_right else left + _CELL_COLUMNS
    for text, colour in words:
        draw.text(
            (x, middle),
            text,
            font=lettering.font(28),
            fill=colour,
            anchor="lm" if is_right else "rm",
        )
        step = round(draw.textlength(text, font=lettering.font(28))) + 20
        x += step if is_right else -step


def _hang(
    page: Image.Image, instance: InstanceResult, place: tuple[int, int], laterality: Laterality
) -> None:
    """Put a picture against the middle of the page."""
    left, top = place
    rows = _CELL_ROWS - _STRIP_ROWS
    page.paste(_BLACK, (left, top, left + _CELL_COLUMNS, top + rows))
    picture = draw_view(instance, rows=rows, columns=_CELL_COLUMNS - _GAP_COLUMNS)
    is_right = laterality is Laterality.RIGHT
    shift = _CELL_COLUMNS - _GAP_COLUMNS - picture.shape[1] if is_right else _GAP_COLUMNS
    page.paste(Image.fromarray(picture), (left + shift, top + (rows - picture.shape[0]) // 2))


def _why_empty(result: StudyResult, instance: InstanceResult | None) -> Sequence[str]:
    """Give the reason in lines that fit."""
    if instance is not None:
        return "not analysed:", str(instance.triage_reason)
    images = [i for i in result.instances if is_image(i)]
    if any(i.laterality is None or i.view_position is None for i in images):
        return ("no image is marked as this view",)
    return ("not in this study",)


def _empty(
    draw: ImageDraw.ImageDraw, label: str, reasons: Sequence[str], place: tuple[int, int]
) -> None:
    """Leave a place empty, and say why."""
    left, top = place
    right, bottom = left + _CELL_COLUMNS, top + _CELL_ROWS - _STRIP_ROWS
    draw.rectangle((left, top, right - 1, bottom - 1), fill=_BLACK)
    inset = 24
    _dashed(draw, (left + inset, top + inset, right - inset, bottom - inset))
    middle, centre = (left + right) // 2, (top + bottom) // 2
    draw.text((middle, centre - 56), label, font=lettering.font(44), fill=SOFT, anchor="mm")
    for number, line in enumerate(reasons):
        y = centre + 4 + 36 * number
        draw.text((middle, y), line, font=lettering.font(26), fill=SOFT, anchor="mm")


def _dashed(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    for x in range(left, right, 2 * _DASH_PX):
        for y in (top, bottom):
            draw.line((x, y, min(x + _DASH_PX, right), y), fill=LINE, width=2)
    for y in range(top, bottom, 2 * _DASH_PX):
        for x in (left, right):
            draw.line((x, y, x, min(y + _DASH_PX, bottom)), fill=LINE, width=2)


def _breast(
    draw: ImageDraw.ImageDraw,
    result: StudyResult,
    laterality: Laterality,
    shown: Sequence[InstanceResult],
) -> None:
    """Write the panel of one breast: score, call, and every image of it."""
    x = _MARGIN + (0 if laterality is Laterality.RIGHT else COLUMNS - _SIDE_COLUMNS)
    own = [i for i in result.instances if i.laterality is laterality and is_image(i)]
    breast = next((one for one in result.breasts if one.laterality is laterality), None)
    y = _write(draw, (x, HEAD_ROWS + 6), breast_label(laterality), 36, BRIGHT)
    y = _rule(draw, x, y + 14)
    y = _breast_score(draw, result, breast, (x, y + 22))
    y = _rule(draw, x, y + 24)
    if not own:
        return
    y = _write(draw, (x, y + 20), "Images; white: shown here", 20, SOFT) + 8
    for image in own[:_MOST_IMAGES]:
        colour = BRIGHT if any(image is one for one in shown) else SOFT
        view = image.view_position or "view unknown"
        if image.score is None:
            y = _write(draw, (x, y), f"{view}: {image.triage_reason}", 22, colour) + 6
            continue
        said = score_words(result, image.score)
        draw.text((x, y), view, font=lettering.font(24), fill=colour)
        number = AMBER if said.is_called else colour
        draw.text(
            (x + _SIDE_WIDTH, y), said.value, font=lettering.font(24), fill=number, anchor="ra"
        )
        y += 36
    if len(own) > _MOST_IMAGES:
        _write(draw, (x, y), f"and {len(own) - _MOST_IMAGES} more", 22, SOFT)


def _breast_score(
    draw: ImageDraw.ImageDraw,
    result: StudyResult,
    breast: BreastResult | None,
    place: tuple[int, int],
) -> int:
    """Name, number, place on the scale and call; returns the next free row."""
    x, y = place
    if breast is None or breast.score is None:
        words = (
            "no image is marked as this breast" if breast is None else "no image could be analysed"
        )
        return _write(draw, place, words, 26, SOFT)
    said = score_words(result, breast.score)
    colour = AMBER if said.is_called else BRIGHT
    y = _write(draw, (x, y), said.name, 22, SOFT)
    y = _write(draw, (x, y + 2), said.value, 84, colour)
    y = lettering.gauge(draw, (x, y + 16), said, colour, width=_SIDE_WIDTH)
    if said.is_called:
        y = _write(draw, (x, y + 16), "suspicious", 28, AMBER)
        return _write(
            draw, (x, y + 4), f"at or above operating point {said.operating_point}", 20, SOFT
        )
    y = _write(draw, (x, y + 16), "below", 28, BRIGHT)
    return _write(draw, (x, y + 4), f"operating point {said.operating_point}", 20, SOFT)


def _foot(page: Image.Image, draw: ImageDraw.ImageDraw, result: StudyResult) -> None:
    """Legend of the colours, model, disclaimer; viewers write into the left corner."""
    top = ROWS - _FOOT_ROWS
    bar, x, y = (
        lettering.colour_bar(_CELL_COLUMNS, 20),
        _SIDE_COLUMNS + _CELL_COLUMNS // 2,
        top + 16,
    )
    page.paste(bar, (x, y))
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        column = x + round(tick * (_CELL_COLUMNS - 1))
        draw.line((column, y + 20, column, y + 28), fill=SOFT, width=2)
        draw.text((column, y + 32), f"{tick:g}", font=lettering.font(20), fill=BRIGHT, anchor="ma")
    middle = _SIDE_COLUMNS + _CELL_COLUMNS
    for row, words, colour in (
        (70, "Grad-CAM: what raised the score of a view; a low score does not mean benign", SOFT),
        (94, f"{provenance.model_label(result)}, mammonode {__version__}", BRIGHT),
    ):
        draw.text((middle, y + row), words, font=lettering.font(20), fill=colour, anchor="mm")
    right = COLUMNS - _MARGIN
    lettering.disclaimer(draw, (right - _SIDE_WIDTH, top + 24, right, ROWS - 24))


def _rule(draw: ImageDraw.ImageDraw, x: int, y: int) -> int:
    draw.line((x, y, x + _SIDE_WIDTH, y), fill=LINE, width=2)
    return y + 2


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], words: str, size_px: int, colour: Colour
) -> int:
    """Write words in the width of a side panel; returns the row below them."""
    return lettering.write(draw, place, words, size_px, colour, width=_SIDE_WIDTH)
