"""``mammonode outcomes``: what became of the breasts, and which studies it is about."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.listing import Cell, CSVOption, Form, form_of, print_list
from node.commands.options import (
    ByOption,
    ConfigOption,
    JSONOption,
    ReasonOption,
    print_json,
    user_of_this_machine,
)

if TYPE_CHECKING:
    from node.outcomes.importing import Imported

app = typer.Typer(
    help="Take in what biopsies and follow-up said of the breasts, and link it to the studies.",
    no_args_is_help=True,
)

_ROWS_SHOWN = 20


@app.command(
    "import",
    epilog="Examples:\n\nmammonode outcomes import pathology.csv --dry-run\n\n"
    "mammonode outcomes import reports.ndjson",
)
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV in UTF-8 with the columns patient_id, laterality, date, source, result and "
            "perhaps issuer_of_patient_id; or FHIR R4 DiagnosticReports as JSON or NDJSON.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; say what would come of it.")
    ] = False,
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Take a file of outcomes into the log, whole or not at all; what is there stays once.

    A row that is about no study by now is kept and listed: it is linked as soon as its study is
    there. The node may be running. docs/outcomes.md has the columns and the rules.
    """
    from node.commands.open_log import open_log
    from node.outcomes.importing import import_outcomes, read_file
    from node.settings_loading import load_settings

    settings = load_settings(config)
    given = read_file(file, today=datetime.now().astimezone().date())
    with open_log(settings) as database:
        imported = import_outcomes(
            database,
            given,
            settings.outcomes,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
            is_dry_run=is_dry_run,
        )
    if as_json:
        print_json(imported)
    else:
        _print_imported(imported)


@app.command(
    "list",
    epilog="Examples:\n\nmammonode outcomes list --unmatched\n\nmammonode outcomes list --json",
)
def list_(
    is_unmatched: Annotated[
        bool, typer.Option("--unmatched", help="Only what is about no study, with the reason.")
    ] = False,
    is_conflicts: Annotated[
        bool, typer.Option("--conflicts", help="Only what disagrees about one breast of a study.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most so many, newest first.")
    ] = 20,
    as_json: JSONOption = False,
    as_csv: CSVOption = False,
    config: ConfigOption = None,
) -> None:
    """List outcomes and the studies that they are about, as the log is now.

    Links are worked out each time: a study that came later, a correction of the patient and a
    deletion count. Patients are not shown; `outcomes import --dry-run` says which row is which.
    """
    from node.commands.open_log import open_log
    from node.commands.outcomes_tables import outcomes_table
    from node.outcomes.listing import ListedOutcome, OutcomeState, list_outcomes
    from node.settings_loading import load_settings

    form = form_of(as_json=as_json, as_csv=as_csv)
    settings = load_settings(config)
    states = [
        state
        for state, is_wanted in (
            (OutcomeState.UNMATCHED, is_unmatched),
            (OutcomeState.CONFLICT, is_conflicts),
        )
        if is_wanted
    ]
    with open_log(settings) as database:
        listed = list_outcomes(database, settings.outcomes, states=states)
    shown, total = listed.outcomes[:limit], len(listed.outcomes)
    if form is Form.JSON:
        print_json({"total": total, "counts": listed.counts, "outcomes": shown})
        return
    columns: dict[str, Callable[[ListedOutcome], Cell]] = {
        "number": lambda one: one.number,
        "date": lambda one: one.date,
        "laterality": lambda one: one.laterality,
        "source": lambda one: one.source,
        "result": lambda one: one.result,
        "state": lambda one: one.state.value,
        "reason": lambda one: one.reason,
        "studies": lambda one: " ".join(one.studies),
        "imported_at": lambda one: one.imported_at,
        "imported_by": lambda one: one.imported_by,
    }
    print_list(shown, form, plural="outcomes", total=total, columns=columns, table=outcomes_table)
    if form is Form.TABLE and listed.counts:
        counts = ", ".join(f"{count:,} {state}" for state, count in listed.counts.items())
        typer.echo(f"In all: {counts}.", err=True)


@app.command(
    epilog='Example:\n\nmammonode outcomes withdraw 17 --reason "of another lesion, says pathology"'
)
def withdraw(
    number: Annotated[
        int, typer.Argument(metavar="NUMBER", help="Of the outcome, as listed.", min=1)
    ],
    reason: ReasonOption,
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Let an outcome count no more, as where two disagree; importing it again changes nothing."""
    from node.commands.open_log import open_log
    from node.settings_loading import load_settings
    from node.study_log.outcomes import withdraw_outcome

    with open_log(load_settings(config)) as database, database.writing() as session:
        is_changed = withdraw_outcome(
            session, number, reason=reason, by=by or user_of_this_machine(), at=datetime.now(UTC)
        )
    if as_json:
        print_json({"number": number, "is_changed": is_changed})
    elif is_changed:
        typer.echo(f"Withdrawn: outcome {number}.")
    else:
        typer.echo(f"Nothing to do: outcome {number} was withdrawn before.")


@app.command(
    epilog="Example:\n\nmammonode outcomes export --out table/outcomes.csv\n\n"
    "python -m training inspect outcomes table"
)
def export(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The table; `python -m training` reads the folder with a file outcomes.csv.",
            dir_okay=False,
            show_default=False,
        ),
    ],
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Write the linked breasts as a table for training: one row an image, a pseudonym a patient.

    The images stay where they are; the table holds their paths.
    """
    from node.commands.open_log import open_log
    from node.outcomes.training_table import export_table
    from node.settings_loading import load_settings
    from node.study_log.study_filter import StudyFilter

    settings = load_settings(config)
    with open_log(settings) as database:
        exported = export_table(database, settings, StudyFilter(), out)
    if as_json:
        print_json(exported)
        return
    typer.echo(
        f"Written: {exported.images:,} images of {exported.breasts:,} breasts, "
        f"{exported.patients:,} patients; {exported.cancers:,} images are of a cancer."
    )
    if exported.conflicts:
        typer.echo(f"Left out: {exported.conflicts:,} breasts of which two outcomes disagree.")
    if exported.without_file:
        typer.echo(f"Left out: {exported.without_file:,} images whose file is gone.")


def _print_imported(imported: "Imported") -> None:
    did = "Would import" if imported.is_dry_run else "Imported"
    typer.echo(
        f"{did}: {imported.added:,} of {imported.outcomes:,} outcomes in {imported.rows:,} rows; "
        f"{imported.known:,} were there before. {imported.linked:,} are about a study."
    )
    if not imported.added and imported.outcomes:
        typer.echo("Nothing changed." if not imported.is_dry_run else "Nothing would change.")
    _print_rows(
        "About no study by now",
        [f"{one.row} {one.laterality}: {one.reason}" for one in imported.unmatched],
    )
    _print_rows(
        "Disagreeing with another outcome of the same breast, and not counted",
        [f"{one.row} {one.laterality}: {one.study_instance_uid}" for one in imported.conflicts],
    )
    _print_rows("Passed over", [f"{row}: {reason}" for row, reason in imported.passed_over])


def _print_rows(what: str, rows: list[str]) -> None:
    if not rows:
        return
    typer.echo(f"{what}: {len(rows):,}")
    for row in rows[:_ROWS_SHOWN]:
        typer.echo(f"  {row}")
    if len(rows) > _ROWS_SHOWN:
        typer.echo(f"  … and {len(rows) - _ROWS_SHOWN:,} more; --json has all.")
