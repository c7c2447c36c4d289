"""Live figures as tables."""

from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from model.manifest import NOT_FOR_DIAGNOSTIC_USE, Interval
from node.commands.display import plain_or_ruled_table
from node.performance.figures import LevelFigures, LevelName, Performance, Slice
from node.performance.measure import LEAST
from node.performance.words import FIGURES, interval_words, verification_words


def performance_view(performance: Performance, console: Console) -> RenderableType:
    """Give all figures, with what keeps them from being read as more than they are."""
    parts: list[RenderableType] = [Text(verification_words(performance)), Text()]
    if performance.verification.known:
        parts += [_levels(performance, console), Text()]
        for title, slices in (
            ("Month", performance.by_month),
            ("AE title", performance.by_ae_title),
            ("Model version", performance.by_model_version),
        ):
            parts += [_slices(title, slices, console), Text()]
        parts.append(
            Text(
                f"In brackets or below the 95 % interval; –: fewer than {LEAST} of a sort. *: too "
                "recent for follow-up.",
                style="dim",
            )
        )
    parts += [Text(caution, style="yellow") for caution in performance.cautions]
    parts.append(Text(NOT_FOR_DIAGNOSTIC_USE, style="dim"))
    return Group(*parts)


def _levels(performance: Performance, console: Console) -> Table:
    table = plain_or_ruled_table(console, "Figure", "By breast", "By study")
    breast, study = (performance.level(name) for name in (LevelName.BREAST, LevelName.STUDY))
    table.add_row("known outcome", f"{breast.rows:,}", f"{study.rows:,}")
    table.add_row("cancers", f"{breast.cancers:,}", f"{study.cancers:,}")
    for figure in FIGURES:
        table.add_row(figure.title, figure.words(breast), figure.words(study))
    table.add_row("calibration: mean score", _expected(breast), _expected(study))
    table.add_row("calibration: share of cancers", _observed(breast), _observed(study))
    table.add_row("calibration error", _error(breast), _error(study))
    return table


def _slices(title: str, slices: Sequence[Slice], console: Console) -> Table:
    """Give figures by what the studies differ in, as wide as there is room for."""
    table = _slices_table(title, slices, console, words=interval_words)
    if _fits(table, console):
        return table
    table = _slices_table(title, slices, console, words=_interval_below)
    if _fits(table, console):
        return table
    return _slices_table(title, slices, console, words=_interval_below, has_studies=False)


def _slices_table(
    title: str,
    slices: Sequence[Slice],
    console: Console,
    *,
    words: Callable[[Interval | None], str],
    has_studies: bool = True,
) -> Table:
    counts = ("Studies", "Known", "Cancers") if has_studies else ("Known", "Cancers")
    table = plain_or_ruled_table(
        console, title, *counts, "AUC", "Sensitivity", "Specificity", "PPV"
    )
    for column in table.columns[1:]:
        column.no_wrap = True
    for one in slices:
        figures = one.level(LevelName.STUDY)
        table.add_row(
            f"{one.value or 'unknown'}{'*' if one.is_too_recent else ''}",
            *([f"{one.studies:,}"] if has_studies else []),
            f"{figures.rows:,}",
            f"{figures.cancers:,}",
            words(figures.auc),
            words(figures.sensitivity),
            words(figures.specificity),
            words(figures.positive_predictive_value),
        )
    return table


def _fits(table: Table, console: Console) -> bool:
    wanted = console.measure(table, options=console.options.update(max_width=10_000))
    return wanted.maximum <= console.width


def _interval_below(found: Interval | None) -> str:
    """Write a value with its interval on a line of its own."""
    return "–" if found is None else f"{found.value:.3f}\n{found.low:.3f}–{found.high:.3f}"


def _expected(figures: LevelFigures) -> str:
    return "–" if figures.calibration is None else f"{figures.calibration.expected:.4f}"


def _observed(figures: LevelFigures) -> str:
    found: Interval | None = figures.calibration.observed if figures.calibration else None
    return interval_words(found, decimals=4)


def _error(figures: LevelFigures) -> str:
    return "–" if figures.calibration is None else f"{figures.calibration.error:.4f}"
