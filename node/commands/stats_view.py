"""The statistics of the study log as a person reads them: in a terminal with bars, else plain."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.commands.display import plain_or_ruled_table, section
from node.study_log.statistics import NOTHING
from node.study_log.statistics_answers import (
    DriftAnswer,
    ScoreDistribution,
    StatisticsAnswer,
    Verdict,
    Volume,
)

DAYS_SHOWN = 31
"""More days are shown as months."""
_REASONS_SHOWN = 8
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_VERDICT_STYLES = {
    Verdict.STABLE: "green",
    Verdict.SHIFTED: "yellow",
    Verdict.FAR: "bold red",
    Verdict.TOO_FEW: "dim",
}


def statistics_view(answer: StatisticsAnswer, console: Console) -> RenderableType:
    """Give all of it, part by part; there is a study."""
    parts: list[RenderableType] = [
        Text(f"Studies {asked_in_words(answer)}", style="bold"),
        _indented(_facts(answer, console)),
        section(*_days(answer, console)),
        section("By calling AE title", _ae_titles(answer, console)),
        section("How long it took", _latencies(answer, console)),
        *_failures(answer, console),
    ]
    if answer.scores.studies:
        parts.append(section("AI malignancy scores of studies", _scores(answer, console)))
    parts.append(
        section("Drift from the validation split of the weights", _drift(answer.drift, console))
    )
    parts.append(Text(NOT_FOR_DIAGNOSTIC_USE, style="dim"))
    return Group(*parts)


def asked_in_words(answer: StatisticsAnswer) -> str:
    """Say which studies are meant."""
    words = ["received"]
    if answer.received_from is not None:
        words.append(f"from {_minute(answer.received_from)}")
    if answer.received_to is not None:
        words.append(f"to {_minute(answer.received_to)}")
    if answer.received_from is None and answer.received_to is None:
        words.append("at any time")
    if answer.calling_ae_title:
        words.append(f"from {answer.calling_ae_title}")
    if answer.model_version:
        words.append(f"and scored by weights {answer.model_version}")
    return " ".join(words)


def _facts(answer: StatisticsAnswer, console: Console) -> RenderableType:
    scores = answer.scores
    facts = [
        ("Studies", f"{answer.total.studies:,}"),
        ("Images", f"{answer.total.images:,}"),
        ("States", ", ".join(f"{state.count:,} {state.reason}" for state in answer.states)),
    ]
    for model in answer.models:
        weights = f"{model.model_name} {model.model_version} ({model.weights_sha256[:12]})"
        facts.append(("Scored by", f"{weights}: {model.studies:,}"))
    if scores.per_1000 is not None:
        interval = f"95 % interval {scores.per_1000_low:.1f} to {scores.per_1000_high:.1f}"
        counted = f"{scores.suspicious:,} of {scores.studies:,}"
        facts.append(("Positives per 1,000", f"{scores.per_1000:.1f} ({interval}): {counted}"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim" if console.is_terminal else "", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, value)
    return grid


def _days(answer: StatisticsAnswer, console: Console) -> tuple[str, RenderableType]:
    """Give the volumes by day, or of a long range by month."""
    volumes = {row.day: row.volume for row in answer.days}
    title, heading = "By day", "Day"
    if len(volumes) > DAYS_SHOWN:
        title, heading = "By month (`--csv days` has each day)", "Month"
        months: dict[str, Volume] = {}
        for day, volume in volumes.items():
            months[day[:7]] = months.get(day[:7], NOTHING) + volume
        volumes = months
    return title, _volumes(heading, volumes.items(), console)


def _ae_titles(answer: StatisticsAnswer, console: Console) -> RenderableType:
    rows = ((row.calling_ae_title, row.volume) for row in answer.ae_titles)
    return _volumes("AE title", rows, console)


def _volumes(heading: str, rows: Iterable[tuple[str, Volume]], console: Console) -> Table:
    volumes = list(rows)
    table = plain_or_ruled_table(
        console, heading, "Studies", "Images", "Failed", "Skipped", "Scored", "Positive"
    )
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    most = max(volume.studies for _, volume in volumes)
    bars = _Bars(console, widest=24, beside=80)
    bars.add_column(table)
    for name, volume in volumes:
        table.add_row(
            name,
            f"{volume.studies:,}",
            f"{volume.images:,}",
            Text(f"{volume.failed:,}", style="bold red" if volume.failed else "dim"),
            Text(f"{volume.skipped:,}", style="yellow" if volume.skipped else "dim"),
            f"{volume.scored:,}",
            f"{volume.suspicious:,}",
            *bars.cell(volume.studies / most),
        )
    return table


def _latencies(answer: StatisticsAnswer, console: Console) -> Table:
    table = plain_or_ruled_table(console, "Step", "Studies", "p50", "p95", "p99")
    for column in table.columns[1:]:
        column.justify = "right"
    for latency in answer.latencies:
        percentiles = (latency.p50_s, latency.p95_s, latency.p99_s)
        table.add_row(latency.interval.value, f"{latency.studies:,}", *map(_duration, percentiles))
    return table


def _failures(answer: StatisticsAnswer, console: Console) -> list[RenderableType]:
    """Give what went wrong, part by part; a part that holds nothing is one line."""
    failed = [(row.count, row.reason) for row in answer.failures]
    undelivered = [
        (row.count, f"{row.destination}: {row.reason}") for row in answer.delivery_failures
    ]
    left_out = [(row.count, row.reason) for row in answer.triage]
    return [
        section("Failed analyses", _counted(failed, "Studies", "No analysis failed.", console)),
        section(
            "Failed deliveries", _counted(undelivered, "Deliveries", "No delivery failed.", console)
        ),
        section("Images left out", _counted(left_out, "Images", "No image was left out.", console)),
    ]


def _counted(
    rows: Sequence[tuple[int, str]], heading: str, nothing: str, console: Console
) -> RenderableType:
    if not rows:
        return Text(nothing, style="green")
    shown = rows[:_REASONS_SHOWN] if console.is_terminal else rows
    table = plain_or_ruled_table(console, heading, "Reason")
    table.columns[0].justify = "right"
    for count, reason in shown:
        table.add_row(f"{count:,}", reason)
    hidden = sum(count for count, _ in rows[len(shown) :])
    if hidden:
        table.add_row(f"{hidden:,}", f"of {len(rows) - len(shown)} other reasons")
    return table


def _scores(answer: StatisticsAnswer, console: Console) -> RenderableType:
    """Give the histogram, with the bin of the operating point named, and percentiles."""
    scores, point = answer.scores, answer.operating_point
    bins = len(scores.histogram)
    most, words = max(scores.histogram), _percentiles(scores)
    table = plain_or_ruled_table(console, "Score", "Studies")
    for column in table.columns:
        column.justify = "right"
    bars = _Bars(console, widest=40, beside=52)
    bars.add_column(table)
    for number, count in enumerate(scores.histogram):
        low, high = number / bins, (number + 1) / bins
        has_point = point is not None and low <= point < high
        is_above = point is not None and high > point
        label = f"operating point {point:.3f}" if has_point else ""
        table.add_row(
            f"{low:.2f} to {high:.2f}",
            f"{count:,}",
            *bars.cell(count / most, style="magenta" if is_above else "cyan", label=label),
        )
    if point is not None:
        words += f"; operating point {point:.3f}"
    return Group(table, Text(words))


def _percentiles(scores: ScoreDistribution) -> str:
    named = (
        ("p5", scores.p5),
        ("p25", scores.p25),
        ("median", scores.p50),
        ("p75", scores.p75),
        ("p95", scores.p95),
    )
    return ", ".join(f"{name} {value:.3f}" for name, value in named if value is not None)


def _drift(drift: DriftAnswer, console: Console) -> RenderableType:
    if drift.reason:
        return Text(f"{drift.reason.rstrip('.')}: drift cannot be told.", style="yellow")
    table = plain_or_ruled_table(
        console, "Of images", "Images", "PSI", "Verdict", "Training, %", "Here, %"
    )
    for column in table.columns[1:3]:
        column.justify = "right"
    for statistic in drift.statistics:
        is_told = statistic.psi is not None
        table.add_row(
            _STATISTIC_NAMES.get(statistic.statistic, statistic.statistic),
            f"{statistic.images:,}",
            "" if statistic.psi is None else f"{statistic.psi:.3f}",
            Text(statistic.verdict.value, style=_VERDICT_STYLES[statistic.verdict]),
            _percent(statistic.expected) if is_told else "",
            _percent(statistic.found) if is_told else "",
        )
    return Group(table, *(Text(line, style="dim") for line in _drift_in_words(drift)))


_STATISTIC_NAMES = {
    "score": "score",
    "breast_share": "breast share",
    "mean_grey": "mean grey",
    "grey_deviation": "grey deviation",
    "detail": "detail",
}


def _percent(shares: Sequence[float]) -> str:
    """Give the share of each bin, the lowest values first."""
    return " ".join(f"{100 * share:2.0f}" for share in shares)


def _drift_in_words(drift: DriftAnswer) -> list[str]:
    """Say what was compared with what, and what the words of the verdict mean."""
    mix = "at its own share of cancers"
    if drift.prevalence is not None:
        mix = f"at a prevalence of {drift.prevalence:g}"
    compared = f"{drift.reference_images:,} images of {drift.reference_patients:,} women"
    below = f"below {drift.shifted_from:g}: {Verdict.STABLE}; below {drift.far_from:g}"
    lines = [
        f"Against {compared}, {mix}, scored by {drift.model_name} {drift.model_version}.",
        f"PSI {below}: {Verdict.SHIFTED}, look why; else {Verdict.FAR}.",
        f"Fewer than {drift.least_images} images: {Verdict.TOO_FEW}.",
    ]
    if drift.images_of_other_weights:
        lines.append(
            f"{drift.images_of_other_weights:,} images that other weights scored are left out."
        )
    if drift.prevalence is None:
        lines.append("The scores also follow the share of cancers: set [model] prevalence.")
    return lines


class _Bars:
    """A column of bars in a terminal that has room for it; elsewhere there is none.

    Parameters
    ----------
    console
        Where the table goes.
    widest
        Columns of the longest bar, at most.
    beside
        Columns that the rest of the table takes.
    """

    def __init__(self, console: Console, *, widest: int, beside: int) -> None:
        self._width = min(widest, console.width - beside) if console.is_terminal else 0
        self._is_ascii = console.options.ascii_only

    def add_column(self, table: Table) -> None:
        if self._width > 0:
            table.add_column("", no_wrap=True)

    def cell(self, share: float, *, style: str = "cyan", label: str = "") -> list[Text]:
        """Give a bar of a share of the longest, with words at its end; more than 0 is seen."""
        if self._width <= 0:
            return []
        eighths = max(round(share * self._width * 8), int(share > 0))
        whole, part = divmod(eighths, 8)
        drawn = "█" * whole + _EIGHTHS[part]
        if self._is_ascii:
            drawn = "#" * -(-eighths // 8)
        return [Text(drawn, style=style).append(f"  {label}" if label else "", style="dim")]


def _indented(body: RenderableType) -> RenderableType:
    # Not expanded: a pipe is 10,000 columns wide.
    return Padding(body, (0, 0, 1, 2), expand=False)


def _duration(seconds: float | None) -> str:
    """Write how long something took, in the unit that a person would use."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
