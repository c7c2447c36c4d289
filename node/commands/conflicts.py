"""``mammonode studies conflicts``: data sets under a SOP Instance UID that is taken."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import completion
from node.commands.listing import Cell, CSVOption, form_of, print_list
from node.commands.options import (
    ByOption,
    ConfigOption,
    JSONOption,
    StudyArgument,
    print_json,
    user_of_this_machine,
)

if TYPE_CHECKING:
    from node.keeping.conflicts import Decision
    from node.study_log.answers import ConflictAnswer

app = typer.Typer(invoke_without_command=True)

DataSetOption = Annotated[
    str,
    typer.Option(
        "--data-set",
        metavar="SHA256",
        help="The one that is meant, by the beginning of its SHA-256 as it is listed. Without it "
        "all open ones of the study.",
        show_default=False,
    ),
]


@app.callback(epilog="Example:\n\nmammonode studies conflicts --study 604688119")
def conflicts(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            metavar="STUDY",
            help="Only those of one study, by its UID or an ending of it.",
            autocompletion=completion.studies,
        ),
    ] = None,
    is_whole: Annotated[
        bool, typer.Option("--all", help="Those too that were accepted or discarded.")
    ] = False,
    as_json: JSONOption = False,
    as_csv: CSVOption = False,
    config: ConfigOption = None,
) -> None:
    """List the conflicts that are open; decide them with accept or discard.

    A conflict is another data set that came under a SOP Instance UID that is taken: a corrected
    name, a transcoded copy. It was acknowledged and is kept aside; the first one stands until a
    person decides.
    """
    if context.invoked_subcommand is not None:
        return
    form = form_of(as_json=as_json, as_csv=as_csv)

    from node.commands.display import conflicts_view
    from node.commands.open_log import find_study, open_log
    from node.settings_loading import load_settings
    from node.study_log.queries import list_conflicts
    from node.study_log.tables import ConflictState

    states = tuple(ConflictState) if is_whole else (ConflictState.OPEN,)
    with open_log(load_settings(config)) as database:
        uid = None if study is None else find_study(database, study)
        with database.reading() as session:
            found = list_conflicts(session, states=states, study_instance_uid=uid)
    print_list(
        found, form, plural="conflicts", total=len(found), columns=COLUMNS, table=conflicts_view
    )


COLUMNS: "Mapping[str, Callable[[ConflictAnswer], Cell]]" = {
    "study_instance_uid": lambda row: row.study_instance_uid,
    "sop_instance_uid": lambda row: row.sop_instance_uid,
    "state": lambda row: row.state.value,
    "differing_keywords": lambda row: " ".join(row.differing_keywords),
    "dataset_sha256": lambda row: row.dataset_sha256,
    "size_bytes": lambda row: row.size_bytes,
    "calling_ae_title": lambda row: row.calling_ae_title,
    "received_at": lambda row: row.received_at,
    "decided_at": lambda row: row.decided_at,
    "decided_by": lambda row: row.decided_by,
}
"""Of the CSV; the names are those of the JSON document."""


@app.command(epilog="Example:\n\nmammonode studies conflicts accept 604688119")
def accept(
    study: StudyArgument,
    data_set: DataSetOption = "",
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Put data sets that were kept aside in the place of those that came first.

    The study is analysed anew, and its new reports replace those before. The data sets that came
    first are deleted. Asked again, it changes nothing. The node may be running.
    """
    from node.commands.open_log import delete_given_up, find_study, open_log_and_queue
    from node.keeping.conflicts import accept as accept_
    from node.settings_loading import load_settings
    from node.store import Store

    settings = load_settings(config)
    store = Store(settings.data_dir)
    with open_log_and_queue(settings) as (database, queue):
        decision = accept_(
            database,
            store,
            queue,
            study_instance_uid=find_study(database, study),
            data_set=data_set,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
        )
        delete_given_up(database, store)
    _print_decision(decision, as_json=as_json)


@app.command(epilog="Example:\n\nmammonode studies conflicts discard 604688119 --data-set 3f2a91c0")
def discard(
    study: StudyArgument,
    data_set: DataSetOption = "",
    by: ByOption = "",
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Delete data sets that were kept aside; the instances stay what they are.

    Asked again, it changes nothing. Should the same data set be sent again it is kept aside again.
    """
    from node.commands.open_log import delete_given_up, find_study, open_log
    from node.keeping.conflicts import discard as discard_
    from node.settings_loading import load_settings
    from node.store import Store

    settings = load_settings(config)
    with open_log(settings) as database:
        decision = discard_(
            database,
            study_instance_uid=find_study(database, study),
            data_set=data_set,
            by=by or user_of_this_machine(),
            at=datetime.now(UTC),
        )
        delete_given_up(database, Store(settings.data_dir))
    _print_decision(decision, as_json=as_json)


def _print_decision(decision: "Decision", *, as_json: bool) -> None:
    if as_json:
        print_json(decision)
        return
    word = decision.state.value.capitalize()
    uid = decision.study_instance_uid
    if not decision.sop_instance_uids:
        count = decision.decided_before
        typer.echo(f"Nothing is open for {uid}; {count} {word.lower()} before.")
        return
    typer.echo(f"{word} for {uid}:")
    for sop_instance_uid in decision.sop_instance_uids:
        typer.echo(f"  {sop_instance_uid}")
    if decision.revision is not None:
        typer.echo(f"Queued: analysis of {uid}, revision {decision.revision}, attempt 1.")
