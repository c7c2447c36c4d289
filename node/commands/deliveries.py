"""``mammonode deliveries``: what is on its way to the destinations, and what did not get there.

Nothing heavy is imported before a command runs: ``--help`` answers at once.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import completion
from node.commands.listing import Cell, CSVOption, form_of, print_list, read_words
from node.commands.options import ConfigOption, JSONOption, print_json

if TYPE_CHECKING:
    from node.study_log.answers import DeliverySummary

app = typer.Typer(
    help="Look at the deliveries of results, and send again what failed.", no_args_is_help=True
)


class State(StrEnum):
    """The states that a list can be narrowed to, as one types them."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    UNCONFIRMED = "unconfirmed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


@app.command(
    "list",
    epilog="Examples:\n\nmammonode deliveries list --state failed\n\n"
    "mammonode deliveries list --state pending --destination pacs --json",
)
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help=f"Only deliveries in this state: {', '.join(State)}. May be given several times.",
            autocompletion=completion.words(State),
        ),
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option("--destination", metavar="NAME", help="Only those to this destination."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most so many, newest first.")
    ] = 20,
    as_json: JSONOption = False,
    as_csv: CSVOption = False,
    config: ConfigOption = None,
) -> None:
    """List the deliveries of each study's newest revision, with state and reason.

    What failed stays listed until it is sent again or a newer revision takes its place.
    """
    form = form_of(as_json=as_json, as_csv=as_csv)
    words = read_words(state, State, option="--state")

    from node.commands.display import deliveries_table
    from node.commands.open_log import open_log
    from node.settings_loading import load_settings
    from node.study_log import queries
    from node.study_log.tables import DeliveryState

    states = tuple(DeliveryState[word.name] for word in words)
    with open_log(load_settings(config)) as database, database.reading() as session:
        found = queries.list_deliveries(
            session, states=states, destination=destination, limit=limit
        )
        total = queries.count_deliveries(session, states=states, destination=destination)
    print_list(
        found, form, plural="deliveries", total=total, columns=COLUMNS, table=deliveries_table
    )


COLUMNS: "Mapping[str, Callable[[DeliverySummary], Cell]]" = {
    "study_instance_uid": lambda row: row.study_instance_uid,
    "revision": lambda row: row.delivery.revision,
    "destination": lambda row: row.delivery.destination,
    "state": lambda row: row.delivery.state.value,
    "attempt": lambda row: row.delivery.attempt,
    "due_at": lambda row: row.delivery.due_at,
    "ended_at": lambda row: row.delivery.ended_at,
    "objects": lambda row: row.delivery.objects,
    "acknowledged": lambda row: row.delivery.acknowledged,
    "statuses": lambda row: " ".join(f"0x{status:04X}" for status in row.delivery.statuses),
    "confirmed": lambda row: row.delivery.confirmed,
    "confirmed_at": lambda row: row.delivery.confirmed_at,
    "reason": lambda row: row.delivery.reason,
}
"""Of the CSV; the names are those of the JSON document."""


@app.command(epilog="Example:\n\nmammonode deliveries retry pacs")
def retry(
    destination: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A destination, by its name in the settings.",
            autocompletion=completion.destinations,
        ),
    ],
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Send again all that failed to go to one destination; what it has acknowledged is left out.

    The node that serves takes the work up by itself; it need not be running now. One study alone:
    `mammonode studies retry`.
    """
    from node.commands.destinations import destination_named
    from node.commands.open_log import open_log
    from node.rerun.delivery import retry_deliveries
    from node.settings_loading import load_settings

    settings = load_settings(config)
    destination_named(settings, destination, key="NAME")
    with open_log(settings) as database:
        reruns = retry_deliveries(database, destination=destination, at=datetime.now(UTC))
    if as_json:
        print_json({"studies": reruns})
    else:
        noun = "study" if len(reruns) == 1 else "studies"
        typer.echo(f"Due now: results of {len(reruns)} {noun} to {destination}.")
