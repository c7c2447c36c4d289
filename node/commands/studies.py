"""``mammonode studies``: the study log, and what a person can ask to be done again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import completion, conflicts, studies_list
from node.commands.options import (
    ByOption,
    ConfigOption,
    ExitCode,
    JSONOption,
    ReasonOption,
    StudyArgument,
    end_with,
    print_json,
    print_view,
    user_of_this_machine,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.export import ExportedStudy
    from node.keeping.cancellation import Cancellation
    from node.keeping.deletion import Deletion
    from node.rerun.asked import Rerun

app = typer.Typer(
    help="Look at the study log; have studies analysed or delivered again, or deleted.",
    no_args_is_help=True,
)
app.add_typer(conflicts.app, name="conflicts")
app.command(
    "list",
    epilog="Examples:\n\nmammonode studies list --state failed --received 7d\n\n"
    "mammonode studies list --call suspicious --sort score --page 2\n\n"
    "mammonode studies list --study-date 2026-03 --ae-title 'MAMMO*' --limit 5000 --csv",
)(studies_list.list_)


@app.command(epilog="Example:\n\nmammonode studies show 1.2.840.113619.2.55.3.604688119")
def show(study: StudyArgument, as_json: JSONOption = False, config: ConfigOption = None) -> None:
    """Show one study: AE titles, times, scores by view and breast, reasons, results, deliveries."""
    from node.commands.open_log import open_log
    from node.settings_loading import load_settings
    from node.study_log import queries

    with open_log(load_settings(config)) as database, database.reading() as session:
        answer = queries.read_study(session, queries.find_study_instance_uid(session, study))
    if as_json:
        print_json(answer)
        return
    from node.commands.study_view import study_view

    print_view(lambda console: study_view(answer, console))


@app.command(epilog="Example:\n\nmammonode studies retry 1.2.840.113619.2.55.3.604688119")
def retry(study: StudyArgument, as_json: JSONOption = False, config: ConfigOption = None) -> None:
    """Try again what failed: the analysis of the newest revision, else its deliveries.

    The node that serves takes the work up by itself; it need not be running now.
    """
    from node.commands.open_log import find_study, open_log_and_queue
    from node.rerun.failed import retry as retry_failed
    from node.settings_loading import load_settings

    with open_log_and_queue(load_settings(config)) as (database, queue):
        answer = retry_failed(
            database,
            queue,
            study_instance_uid=find_study(database, study),
            at=datetime.now(UTC),
        )
    _print_rerun(answer, as_json=as_json)


@app.command(
    epilog="Example:\n\nmammonode studies reanalyse --weights /srv/weights/v2 "
    "1.2.840.113619.2.55.3.604688119"
)
def reanalyse(
    study: StudyArgument,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="DIR",
            help="Folder with the weights to use and their manifest; it must stay where it is. "
            "Without it those of the settings.",
        ),
    ] = None,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Analyse a study anew, as a new revision whose reports replace those of the one before."""
    from node.commands.open_log import find_study, open_log_and_queue
    from node.rerun.analysis import reanalyse as analyse_anew
    from node.settings_loading import load_settings

    folder = "" if weights is None else str(weights.expanduser().absolute())
    with open_log_and_queue(load_settings(config)) as (database, queue):
        answer = analyse_anew(
            database,
            queue,
            study_instance_uid=find_study(database, study),
            weights=folder,
            at=datetime.now(UTC),
        )
    _print_rerun(answer, as_json=as_json)


@app.command(
    epilog="Example:\n\nmammonode studies resend 1.2.840.113619.2.55.3.604688119 --to pacs"
)
def resend(
    study: StudyArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="NAME",
            help="A destination, by its name in the settings; it may be newer than the study.",
            show_default=False,
            autocompletion=completion.destinations,
        ),
    ],
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Send all results of the newest revision to a destination, whatever it has of them already.

    It gets the kinds that the settings name for it. The node that serves takes the work up by
    itself; it need not be running now. Only what failed: `retry`.
    """
    from node.commands.destinations import destination_named
    from node.commands.open_log import find_study, open_log
    from node.rerun.delivery import resend as send_again
    from node.settings_loading import load_settings

    settings = load_settings(config)
    destination = destination_named(settings, to, key="--to")
    with open_log(settings) as database:
        answer = send_again(
            database,
            study_instance_uid=find_study(database, study),
            destination=destination,
            at=datetime.now(UTC),
        )
    _print_rerun(answer, as_json=as_json)


@app.command(
    epilog="Examples:\n\nmammonode studies export 1.2.840.113619.2.55.3.604688119 --out results\n\n"
    "mammonode studies export 604688119 604688120 --out results --overwrite"
)
def export(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...",
            help="Study Instance UIDs, or endings that only one study has.",
            show_default=False,
            autocompletion=completion.studies,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for one folder a study, named by its UID.",
            show_default=False,
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what was exported there before.")
    ] = False,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Write the results of studies as DICOM files, heat maps and summary page as PNG too.

    Those of the newest revision, byte for byte as they are sent, with an index.json that has kinds,
    UIDs and scores. The pictures are as the Secondary Captures have them, with what is burned in.
    Ends with 1 if a study has no results, or not all of them are here still.
    """
    from node.commands.open_log import find_study, open_log
    from node.export import export_studies
    from node.settings_loading import load_settings
    from node.store import Store

    settings = load_settings(config)
    with open_log(settings) as database:
        exported = export_studies(
            database,
            Store(settings.data_dir),
            [find_study(database, study) for study in studies],
            out.expanduser(),
            overwrites=overwrite,
        )
    if as_json:
        print_json({"studies": exported})
    else:
        _print_exported(exported)
    if any(study.lacks for study in exported):
        raise end_with(ExitCode.FAILURE)


@app.command(
    epilog="Example:\n\nmammonode studies cancel 1.2.840.113619.2.55.3.604688119 "
    '--reason "sent by mistake"'
)
def cancel(
    study: StudyArgument,
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            metavar="TEXT",
            help="Why; stays in the log. Name no patient in it.",
            show_default=False,
        ),
    ] = "",
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """End what is queued or under way for a study: its analysis, its deliveries.

    Images and finished results stay, and so does what was sent; `reanalyse` and `resend` begin
    anew. Ends with 1 if nothing is open. The node may be running: a worker in the middle of it
    writes no result, and sends no more than the object that it is sending.
    """
    from node.commands.open_log import delete_given_up, find_study, open_log_and_queue
    from node.keeping.cancellation import cancel_study
    from node.settings_loading import load_settings
    from node.store import Store

    settings = load_settings(config)
    store = Store(settings.data_dir)
    with open_log_and_queue(settings) as (database, queue):
        cancellation = cancel_study(
            database,
            store,
            queue,
            study_instance_uid=find_study(database, study),
            reason=reason,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
        )
        delete_given_up(database, store)
    if as_json:
        print_json(cancellation)
    else:
        _print_cancellation(cancellation)


@app.command(
    epilog="Example:\n\nmammonode studies delete 1.2.840.113619.2.55.3.604688119 "
    '--reason "sent under the wrong patient"'
)
def delete(
    study: StudyArgument,
    reason: ReasonOption,
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Delete all files of a study, end its open work, and empty what the log says of the patient.

    The row stays, with the reason, who asked, scores and events. Results that were sent stay where
    they were sent to. What comes of the study later is received as new. The node may be running.
    """
    from node.commands.open_log import delete_given_up, find_study, open_log_and_queue
    from node.keeping.deletion import delete_study
    from node.settings_loading import load_settings
    from node.store import Store

    settings = load_settings(config)
    store = Store(settings.data_dir)
    with open_log_and_queue(settings) as (database, queue):
        deletion = delete_study(
            database,
            store,
            queue,
            study_instance_uid=find_study(database, study),
            reason=reason,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
        )
        delete_given_up(database, store)
    if as_json:
        print_json(deletion)
    else:
        _print_deletion(deletion)


def _print_exported(exported: "Sequence[ExportedStudy]") -> None:
    for study in exported:
        if study.folder is not None:
            typer.echo(f"Exported: {study.study_instance_uid}, {len(study.files)} files.")
        for reason in study.lacks:
            typer.echo(f"mammonode: {study.study_instance_uid}: {reason}", err=True)


def _print_cancellation(cancellation: "Cancellation") -> None:
    ended = [f"analysis of revision {number}" for number in cancellation.revisions]
    ended += [f"delivery to {name}" for name in cancellation.destinations]
    typer.echo(
        f"Canceled: {', '.join(ended)}. {cancellation.study_instance_uid} is {cancellation.state}."
    )


def _print_deletion(deletion: "Deletion") -> None:
    uid = deletion.study_instance_uid
    if deletion.was_deleted:
        typer.echo(f"Nothing left to delete: {uid} was deleted before.")
    else:
        open_work = f", {deletion.canceled} ended of what was open" if deletion.canceled else ""
        typer.echo(f"Deleted: {uid}, {deletion.files} files{open_work}.")
    if deletion.delivered_to:
        typer.echo(f"Results that were sent stay at {', '.join(deletion.delivered_to)}.")


def _print_rerun(rerun: "Rerun", *, as_json: bool) -> None:
    if as_json:
        print_json(rerun)
    elif rerun.attempt is not None:
        typer.echo(
            f"Queued: analysis of {rerun.study_instance_uid}, revision {rerun.revision}, "
            f"attempt {rerun.attempt}."
        )
    else:
        typer.echo(
            f"Due now: results of {rerun.study_instance_uid}, revision {rerun.revision}, "
            f"to {', '.join(rerun.destinations)}."
        )
