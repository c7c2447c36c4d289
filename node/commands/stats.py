"""``mammonode stats``: how many studies, how fast, what failed, how the model behaved."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands import completion
from node.commands.listing import Cell, as_csv, read_words
from node.commands.options import ConfigOption, JSONOption, print_json, print_view
from node.commands.ranges import PERIOD_HELP, read_period
from node.commands.studies_list import AETitleOption, ModelVersionOption

if TYPE_CHECKING:
    from model.manifest import Manifest
    from node.settings import Settings
    from node.study_log.statistics_answers import StatisticsAnswer, Volume

LAST_DAYS = "30d"


class TableName(StrEnum):
    """The tables that can be printed as CSV."""

    DAYS = "days"
    AE_TITLES = "ae-titles"
    MODELS = "models"
    LATENCIES = "latencies"
    FAILURES = "failures"
    DELIVERY_FAILURES = "delivery-failures"
    TRIAGE = "triage"
    SCORES = "scores"
    DRIFT = "drift"


def stats(
    received: Annotated[
        str,
        typer.Option(
            "--received",
            metavar="WHEN",
            help=f"Only studies whose last instance came then: {PERIOD_HELP}.",
        ),
    ] = LAST_DAYS,
    ae_title: AETitleOption = "",
    model_version: ModelVersionOption = "",
    csv_table: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="TABLE",
            help="Print one table as CSV (RFC 4180) with a line of headings: "
            f"{', '.join(TableName)}.",
            autocompletion=completion.words(TableName),
        ),
    ] = None,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Count studies and images, time the steps, list what failed, show scores and drift.

    Scores, calls and reasons are those of each study's newest revision. Drift compares the images
    with the validation split of the weights by the population stability index (PSI). Days are
    those of this machine's clock.
    """
    if as_json and csv_table is not None:
        raise typer.BadParameter("--json and --csv cannot be given together")
    (table,) = read_words([csv_table] if csv_table else [], TableName, option="--csv") or (None,)
    when = read_period(received, option="--received", now=datetime.now().astimezone())

    from node.commands.open_log import open_log
    from node.settings_loading import load_settings
    from node.study_log import statistics
    from node.study_log.study_filter import StudyFilter

    settings = load_settings(config)
    manifest, no_manifest = _manifest_of(settings)
    which = StudyFilter(
        received_from=when.first,
        received_to=when.last,
        calling_ae_title=ae_title,
        model_version=model_version,
    )
    with open_log(settings) as database, database.reading() as session:
        answer = statistics.statistics_of(
            session,
            which,
            manifest,
            prevalence=settings.model.prevalence,
            no_manifest=no_manifest,
        )
        known = () if answer.total.studies else statistics.calling_ae_titles(session)
    if as_json:
        print_json(answer)
    elif table is not None:
        rows, columns = _table(answer, table)
        typer.echo(as_csv(rows, columns), nl=False)
    elif not answer.total.studies:
        typer.echo(_nothing(answer, known), err=True)
    else:
        from node.commands.stats_view import statistics_view

        print_view(lambda console: statistics_view(answer, console))


def _manifest_of(settings: "Settings") -> "tuple[Manifest | None, str]":
    """Read what the settings' weights say of themselves; else say why not: the rest is answered."""
    from pathlib import Path

    from model.errors import WeightsError
    from model.manifest import SHIPPED_WEIGHTS, describe_weights

    folder = settings.model.weights
    try:
        return describe_weights(Path(folder) if folder else SHIPPED_WEIGHTS), ""
    except WeightsError as error:
        return None, f"The weights of the settings cannot be read. {error}"


def _nothing(answer: "StatisticsAnswer", known: tuple[str, ...]) -> str:
    """Say that no study fits, and what there is if the AE title may be misspelt."""
    from node.commands.stats_view import asked_in_words

    said = f"No studies {asked_in_words(answer)}."
    if not known:
        return f"{said} None was ever received."
    if answer.calling_ae_title:
        return f"{said} Studies ever came from: {', '.join(known)}."
    return said


def _table(
    answer: "StatisticsAnswer", name: TableName
) -> "tuple[list[Any], Mapping[str, Callable[[Any], Cell]]]":
    """Give the rows of a table, and its headings, each with what gives its cell."""
    if name is TableName.DAYS:
        return list(answer.days), {"day": lambda row: row.day, **_VOLUME}
    if name is TableName.AE_TITLES:
        titled: dict[str, Callable[[Any], Cell]] = {
            "calling_ae_title": lambda row: row.calling_ae_title
        }
        return list(answer.ae_titles), {**titled, **_VOLUME}
    if name is TableName.MODELS:
        return list(answer.models), _fields(
            "model_name", "model_version", "weights_sha256", "studies"
        )
    if name is TableName.LATENCIES:
        return list(answer.latencies), _fields("interval", "studies", "p50_s", "p95_s", "p99_s")
    if name is TableName.FAILURES:
        return list(answer.failures), _fields("reason", "count")
    if name is TableName.DELIVERY_FAILURES:
        return list(answer.delivery_failures), _fields("destination", "reason", "count")
    if name is TableName.TRIAGE:
        return list(answer.triage), _fields("reason", "count")
    if name is TableName.SCORES:
        bins = list(enumerate(answer.scores.histogram))
        count = len(bins)
        return bins, {
            "score_from": lambda row: row[0] / count,
            "score_to": lambda row: (row[0] + 1) / count,
            "studies": lambda row: row[1],
        }
    return list(answer.drift.statistics), _fields("statistic", "images", "psi", "verdict")


def _fields(*names: str) -> "dict[str, Callable[[Any], Cell]]":
    return {name: _field(name) for name in names}


def _field(name: str) -> "Callable[[Any], Cell]":
    return lambda row: getattr(row, name)


def _of_volume(name: str) -> "Callable[[Any], Cell]":
    def count(row: "Any") -> Cell:
        volume: Volume = row.volume
        return int(getattr(volume, name))

    return count


_VOLUME: "Mapping[str, Callable[[Any], Cell]]" = {
    name: _of_volume(name)
    for name in ("studies", "images", "failed", "skipped", "scored", "suspicious")
}
