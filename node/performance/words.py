"""Live figures in words: the same in a terminal and on the page."""

from collections.abc import Callable
from dataclasses import dataclass

from model.manifest import Interval
from node.performance.figures import LevelFigures, Performance


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure with an interval, by its name for people."""

    title: str
    of: Callable[[LevelFigures], Interval | None]

    def words(self, figures: LevelFigures) -> str:
        """Write it with its interval."""
        return interval_words(self.of(figures))


FIGURES = (
    Figure(title="AUC", of=lambda level: level.auc),
    Figure(title="sensitivity", of=lambda level: level.sensitivity),
    Figure(title="specificity", of=lambda level: level.specificity),
    Figure(title="PPV", of=lambda level: level.positive_predictive_value),
    Figure(title="NPV", of=lambda level: level.negative_predictive_value),
)
"""Of a level, in the order in which they are read."""


def interval_words(found: Interval | None, *, decimals: int = 3) -> str:
    """Write a value with its interval; a dash where there were too few rows."""
    if found is None:
        return "–"
    value, low, high = (f"{one:.{decimals}f}" for one in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def verification_words(performance: Performance) -> str:
    """Say what was measured, and of how many studies the outcome is known."""
    found = performance.verification
    what = f" ({performance.narrowed_to})" if performance.narrowed_to else ""
    return (
        f"{found.studies:,} analysed studies{what}; the outcome of {found.known:,} is known: "
        f"histopathology within {performance.diagnosis_within_days} days, or no cancer at "
        f"follow-up after {performance.negative_after_days} days or more."
    )
