from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

import study_results
from node.report import lettering
from node.report.score_words import score_words
from node.results import UInt8Array


def drawn(words: str, *, width: int = 200, size_px: int = 20) -> tuple[UInt8Array, int]:
    """Write words into a picture of 300 columns, and tell where the next line would begin."""
    picture = Image.new("RGB", (300, 400))
    y = lettering.write(
        ImageDraw.Draw(picture), (10, 10), words, size_px, lettering.BRIGHT, width=width
    )
    return np.asarray(picture), y


def lines_of(picture: UInt8Array) -> int:
    """Count runs of rows that hold something."""
    is_inked = picture.any(axis=(1, 2)).astype(int)
    return int((np.diff(is_inked, prepend=0) == 1).sum())


@pytest.mark.parametrize(
    ("words", "lines"),
    [("one", 1), ("one more word than one row holds", 2), ("long-names-of-models-1.0.0-x", 2)],
)
def test_words_go_on_in_the_next_line_where_they_do_not_fit(words: str, lines: int) -> None:
    picture, y = drawn(words)

    assert lines_of(picture) == lines
    assert y == 10 + lines * round(20 * 1.22)


@pytest.mark.parametrize("words", ["a" * 100, "word " * 30, "half-" * 30])
def test_nothing_is_written_beyond_the_width(words: str) -> None:
    picture, _ = drawn(words)

    assert not picture[:, 211:].any()


def test_a_gauge_is_filled_up_to_the_score() -> None:
    picture = Image.new("RGB", (300, 60))
    words = replace(
        score_words(study_results.normal(), 0.5), share=0.5, operating_share=0.8, scale_end="1"
    )
    lettering.gauge(ImageDraw.Draw(picture), (10, 10), words, lettering.AMBER, width=200)

    row = np.asarray(picture)[23]
    filled = np.flatnonzero((row == lettering.AMBER).all(axis=1))
    assert (filled.min(), filled.max()) == (10, 110)
    notch = np.flatnonzero((np.asarray(picture)[12] == lettering.BRIGHT).all(axis=1))
    assert notch.mean() == pytest.approx(170)


def test_the_colour_bar_rises_from_grey_to_the_brightest_colour() -> None:
    bar = np.asarray(lettering.colour_bar(256, 4)).astype(int)

    assert bar.shape == (4, 256, 3)
    assert np.ptp(bar[0, 0]) == 0
    assert np.ptp(bar[0, -1]) > 80
    assert (bar == bar[0]).all()


def test_words_that_take_too_many_lines_end_with_an_ellipsis() -> None:
    draw = ImageDraw.Draw(Image.new("RGB", (10, 10)))

    shown = lettering.shortened(draw, "word " * 40, 20, width=200, lines=2)

    assert shown.endswith("…")
    assert lettering.shortened(draw, shown, 20, width=200, lines=2) == shown
    assert lettering.shortened(draw, "few words", 20, width=200, lines=2) == "few words"
