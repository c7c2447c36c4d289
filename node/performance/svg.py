"""Small plots as SVG text: axes with names, lines, points with bars. No library, no script."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

INK, SOFT, RULE = "#1f2933", "#52606d", "#d9dee4"
_FONT = '"Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif'
_LEFT, _RIGHT, _TOP, _BOTTOM = 72.0, 24.0, 14.0, 46.0
"""Room around the field, in the units of the picture."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis: its name and range, and where it has a tick, with what is written there."""

    name: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]


def axis(name: str, high: float, low: float = 0.0) -> Axis:
    """Make an axis of numbers with four to six ticks on round values."""
    steps = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    step = next((step for step in steps if (high - low) / step <= 6), 0.5)
    decimals = max(1, len(f"{step:g}") - 2)
    first = round(low / step)
    last = round(high / step)
    ticks = [(place * step, f"{place * step:.{decimals}f}") for place in range(first, last + 1)]
    return Axis(
        name=name, low=low, high=high, ticks=[tick for tick in ticks if low <= tick[0] <= high]
    )


@dataclass(slots=True)
class Plot:
    """A plot that is drawn bit by bit.

    Parameters
    ----------
    title
        What it shows, for those who have it read to them.
    x, y
        Axes.
    width, height
        In the units of the picture, about a pixel each.
    """

    title: str
    x: Axis
    y: Axis
    width: float = 440.0
    height: float = 420.0
    _parts: list[str] = field(default_factory=list)

    def line(
        self, points: Sequence[Point], colour: str, *, width: float = 1.8, is_dashed: bool = False
    ) -> None:
        """Draw a line from point to point, in the values of the axes."""
        places = " ".join(f"{self._across(x):.1f},{self._up(y):.1f}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if is_dashed else ""
        self._parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
            f'stroke-linejoin="round"{dash}/>'
        )

    def steps(self, points: Sequence[Point], colour: str) -> None:
        """Draw a line that first goes across and then up, as an empirical ROC curve does."""
        corners = [points[0]]
        for before, after in pairwise(points):
            corners += [(after[0], before[1]), after]
        self.line(corners, colour)

    def point(
        self,
        at: Point,
        colour: str,
        *,
        up: tuple[float, float] | None = None,
        across: tuple[float, float] | None = None,
        is_hollow: bool = False,
        words: str = "",
    ) -> None:
        """Draw a point, its intervals as bars; `words` are shown to a pointer that rests on it."""
        x, y = self._across(at[0]), self._up(at[1])
        bars = []
        if up is not None:
            bars.append((x, self._up(up[0]), x, self._up(up[1])))
        if across is not None:
            bars.append((self._across(across[0]), y, self._across(across[1]), y))
        for x1, y1, x2, y2 in bars:
            self._parts.append(
                f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                f'stroke="{colour}" stroke-width="1.4"/>'
            )
        fill = "#fff" if is_hollow else colour
        label = f"<title>{escape(words)}</title>" if words else ""
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}" '
            f'stroke-width="1.8">{label}</circle>'
        )

    def key(self, entries: Sequence[tuple[str, str]], *, is_at_top: bool = False) -> None:
        """Say what the colours mean, in a corner on the right."""
        begin = _TOP + 18 if is_at_top else self.height - _BOTTOM - 12 - 20 * (len(entries) - 1)
        for row, (colour, words) in enumerate(entries):
            y = begin + 20 * row
            right = self.width - _RIGHT - 8
            self._parts.append(
                f'<text x="{right:.1f}" y="{y:.1f}" text-anchor="end" fill="{colour}" '
                f'font-weight="600">{escape(words)}</text>'
            )

    def svg(self) -> str:
        """Give the picture."""
        title = escape(self.title)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'role="img" aria-label="{title}" font-family=\'{_FONT}\' font-size="13">'
            f"<title>{title}</title>{''.join(self._frame())}{''.join(self._parts)}</svg>"
        )

    def _frame(self) -> Iterator[str]:
        left, right = _LEFT, self.width - _RIGHT
        top, bottom = _TOP, self.height - _BOTTOM
        for value, words in self.x.ticks:
            x = self._across(value)
            yield _rule(x, top, x, bottom)
            yield _words(x, bottom + 18, words, "middle", SOFT)
        for value, words in self.y.ticks:
            y = self._up(value)
            yield _rule(left, y, right, y)
            yield _words(left - 8, y + 4.5, words, "end", SOFT)
        yield (
            f'<path d="M{left:g} {top:g}V{bottom:g}H{right:g}" fill="none" stroke="{SOFT}" '
            'stroke-width="1"/>'
        )
        yield _words((left + right) / 2, self.height - 8, self.x.name, "middle", INK)
        middle = (top + bottom) / 2
        yield (
            f'<text transform="translate(15 {middle:g}) rotate(-90)" text-anchor="middle" '
            f'fill="{INK}">{escape(self.y.name)}</text>'
        )

    def _across(self, value: float) -> float:
        share = (value - self.x.low) / (self.x.high - self.x.low)
        return _LEFT + _within(share) * (self.width - _LEFT - _RIGHT)

    def _up(self, value: float) -> float:
        share = (value - self.y.low) / (self.y.high - self.y.low)
        bottom = self.height - _BOTTOM
        return bottom - _within(share) * (bottom - _TOP)


def _within(share: float) -> float:
    """Hold what lies outside the axes at their end."""
    return min(1.0, max(0.0, share))


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{RULE}" stroke-width="1"/>'


def _words(x: float, y: float, words: str, anchor: str, colour: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )
