"""The head of the summary page: the score of the study, or why there is none.

It stands over the middle of the page: viewers write into the corners.
"""

from PIL import ImageDraw

from node.report import lettering
from node.report.lettering import AMBER, BRIGHT, SOFT, Colour
from node.report.score_words import score_words
from node.report.source_image import is_image
from node.results import StudyResult

ROWS = 124

_VALUE_PX, _GAP_COLUMNS = 72, 28


def draw_head(draw: ImageDraw.ImageDraw, result: StudyResult, *, left: int, right: int) -> None:
    """Write the head of the page.

    Parameters
    ----------
    draw
        Of the page.
    result
        The analysis; none of its images need have been analysed.
    left, right
        Columns between which it stands, in the middle.
    """
    middle = (left + right) // 2
    if result.score is None:
        _write_why(draw, result, middle, width=right - left)
        return
    said = score_words(result, result.score)
    colour = AMBER if said.is_called else BRIGHT
    side = "suspicious, at or above" if said.is_called else "below"
    value_columns = round(draw.textlength(said.value, font=lettering.font(_VALUE_PX)))
    lines = [
        (10, 26, [(f"Study: {said.name}", BRIGHT)]),
        (48, 24, [(f"{side} operating point {said.operating_point}", colour)]),
        (86, 20, _counted(result)),
    ]
    columns = max(_length(draw, size_px, words) for _, size_px, words in lines)
    x = middle - (value_columns + _GAP_COLUMNS + columns) // 2
    draw.text((x, 18), said.value, font=lettering.font(_VALUE_PX), fill=colour)
    for y, size_px, words in lines:
        _line(draw, (x + value_columns + _GAP_COLUMNS, y), size_px, words)


def _write_why(draw: ImageDraw.ImageDraw, result: StudyResult, middle: int, *, width: int) -> None:
    """Say that there is no score; why the analysis failed as far as there is room."""
    said = "the analysis failed" if result.failure else "no image could be analysed"
    y = 8 if result.failure else 28
    draw.text((middle, y), f"AI summary: {said}", font=lettering.font(34), fill=AMBER, anchor="ma")
    if result.failure:
        reason = lettering.shortened(draw, result.failure, 20, width=width, lines=2)
        lettering.write(draw, (middle, 46), reason, 20, SOFT, width=width, anchor="ma")
    words = _counted(result)
    y = 98 if result.failure else 76
    _line(draw, (middle - _length(draw, 20, words) // 2, y), 20, words)


def _counted(result: StudyResult) -> list[tuple[str, Colour]]:
    """Count the images, and say what has no place on the page."""
    images = [instance for instance in result.instances if is_image(instance)]
    plural = "" if len(images) == 1 else "s"
    said = f"{len(result.analysed)} of {len(images)} image{plural} analysed"
    if result.score is not None:
        said = f"AI summary, {said}"
    unknown = [image for image in images if image.laterality is None]
    if not unknown:
        return [(said, SOFT)]
    said += f"; {len(unknown)} of unknown side, not shown"
    scores = [image.score for image in unknown if image.score is not None]
    if not scores:
        return [(said, SOFT)]
    most = score_words(result, max(scores))
    said += f", {'highest score' if len(scores) > 1 else 'score'} "
    return [(said, SOFT), (most.value, AMBER if most.is_called else BRIGHT)]


def _length(draw: ImageDraw.ImageDraw, size_px: int, words: list[tuple[str, Colour]]) -> int:
    text = "".join(part for part, _ in words)
    return round(draw.textlength(text, font=lettering.font(size_px)))


def _line(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], size_px: int, words: list[tuple[str, Colour]]
) -> None:
    """Write one line, in one or more colours."""
    x, y = place
    for part, colour in words:
        draw.text((x, y), part, font=lettering.font(size_px), fill=colour)
        x += round(draw.textlength(part, font=lettering.font(size_px)))
