"""Plots as SVG: round ticks, and nothing drawn outside the field."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from node.performance.svg import Axis, Plot, axis

UNIT = axis("across", 1.0)


def numbers(svg: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {name}="([\d.]+)"', svg)]


@pytest.mark.parametrize(
    ("high", "low", "words"),
    [
        (1.0, 0.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.01, 0.0, ["0.000", "0.002", "0.004", "0.006", "0.008", "0.010"]),
        (0.03, 0.0, ["0.000", "0.005", "0.010", "0.015", "0.020", "0.025", "0.030"]),
        (1.0, 0.9, ["0.90", "0.92", "0.94", "0.96", "0.98", "1.00"]),
    ],
)
def test_ticks_stand_on_round_values(high: float, low: float, words: list[str]) -> None:
    assert [written for _, written in axis("a", high, low).ticks] == words


def test_what_lies_outside_the_axes_is_held_at_their_end() -> None:
    plot = Plot(title="a plot", x=UNIT, y=UNIT)
    plot.point((2.0, -1.0), "#000", up=(-3.0, 5.0), across=(-1.0, 4.0))

    svg = plot.svg()

    assert max(numbers(svg, "x2")) <= plot.width
    assert max(numbers(svg, "y1")) <= plot.height
    assert min(numbers(svg, "y2")) >= 0


def test_steps_go_across_and_then_up() -> None:
    plot = Plot(title="a plot", x=UNIT, y=UNIT)
    plot.steps([(0, 0), (0.5, 0.5), (1, 1)], "#000")

    (points,) = re.findall(r'<polyline points="([^"]+)"', plot.svg())
    corners = [tuple(map(float, pair.split(","))) for pair in points.split()]

    assert len(corners) == 5
    for before, after in pairwise(corners):
        assert before[0] == after[0] or before[1] == after[1]


def test_words_of_a_plot_are_text_and_not_markup() -> None:
    plot = Plot(title='<b> & "c"', x=Axis(name="<i>", low=0, high=1, ticks=[]), y=UNIT)
    plot.point((0.5, 0.5), "#000", words="a < b")
    plot.key([("#000", "<u>")])

    root = ElementTree.fromstring(plot.svg())  # noqa: S314  # our own

    assert root.get("aria-label") == '<b> & "c"'
    assert "<i>" in "".join(root.itertext())
