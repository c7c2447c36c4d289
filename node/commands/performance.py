"""``mammonode performance``: the node's own live figures."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from node.commands.options import ConfigOption, JSONOption, print_json, print_view
from node.commands.ranges import PERIOD_HELP, read_days
from node.commands.studies_list import AETitleOption, ModelVersionOption


def performance(
    study_date: Annotated[
        str | None,
        typer.Option(
            "--study-date",
            metavar="WHEN",
            help=f"Only studies with such a Study Date: {PERIOD_HELP}.",
        ),
    ] = None,
    ae_title: AETitleOption = "",
    model_version: ModelVersionOption = "",
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write one page with plots; it needs no other file.",
            dir_okay=False,
        ),
    ] = None,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Measure the scores against the outcomes that were imported: AUC, calls, calibration.

    By breast and by study, with 95 % intervals, over months, by AE title and by version of the
    weights. Only studies with a known outcome are measured: the cautions say what that means.
    Research software, not for diagnostic use.
    """
    from node.commands.open_log import open_log
    from node.commands.performance_tables import performance_view
    from node.performance.measure import measure
    from node.settings_loading import load_settings
    from node.study_log.statistics import calling_ae_titles
    from node.study_log.study_filter import StudyFilter

    now = datetime.now(UTC)
    first, last = read_days(study_date, option="--study-date", now=now) if study_date else ("", "")
    which = StudyFilter(
        study_date_from=first,
        study_date_to=last,
        calling_ae_title=ae_title,
        model_version=model_version,
    )
    said = (
        ("Study Date", study_date or ""),
        ("AE title", ae_title),
        ("model version", model_version),
    )
    narrowed_to = ", ".join(f"{name} {value}" for name, value in said if value)
    settings = load_settings(config)
    with open_log(settings) as database:
        measured = measure(database, settings, which, narrowed_to=narrowed_to, at=now)
        is_of_none = bool(ae_title) and not measured.verification.studies
        with database.reading() as session:
            known = calling_ae_titles(session) if is_of_none else ()
    if html is not None:
        from node.performance.page import write_page

        write_page(measured, html)
    if as_json:
        print_json(measured)
        return
    print_view(lambda console: performance_view(measured, console))
    if known:
        typer.echo(f"Studies ever came from: {', '.join(known)}.", err=True)
    if html is not None:
        typer.echo(f"Page: {html}", err=True)
