"""``mammonode tail``: what happens to studies, as it happens."""

import json
import select
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands import completion
from node.commands.event_words import WORDS, details_of, ending_of, what_happened
from node.commands.listing import require_known
from node.commands.options import ConfigOption, as_json_value, stop_printing
from node.commands.ranges import read_beginning

if TYPE_CHECKING:
    from node.study_log.event_feed import FeedEvent

POLL_EVERY_S = 0.5


def tail(
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Begin with what happened then: a day, a moment, or so long ago (1h, 7d).",
        ),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", min=0, metavar="N", help="Begin with the last N events.")
    ] = 10,
    study: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            metavar="STUDY",
            help="Only events of this study, by its UID or an ending of it. May be given several "
            "times.",
            autocompletion=completion.studies,
        ),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event",
            metavar="EVENT",
            help="Only such events, by the names that --json prints. May be given several times.",
            autocompletion=completion.events,
        ),
    ] = None,
    is_ended: Annotated[
        bool, typer.Option("--no-follow", help="End with the last event that is there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line; moments in UTC.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Follow the events of the study log: time, study, and what happened, one line each.

    The node may be running, on this machine or another. Ends with Ctrl+C, or when nobody reads the
    pipe any more.
    """
    now = datetime.now().astimezone()
    begin = read_beginning(since, option="--since", now=now) if since else None
    require_known(event, list(WORDS), option="--event")

    from node.commands.open_log import find_study, open_log
    from node.settings_loading import load_settings
    from node.study_log.event_feed import EventFeed

    with open_log(load_settings(config)) as database:
        feed = EventFeed(
            study_instance_uids=[find_study(database, text) for text in study or ()],
            events=event or (),
        )
        try:
            with database.reading() as session:
                _print(feed.begin(session, now=now, last=lines, since=begin), as_json=as_json)
            while feed.is_behind or (not is_ended and _wait()):
                with database.reading() as session:
                    new = feed.poll(session, now=datetime.now().astimezone())
                _print(new, as_json=as_json)
        except BrokenPipeError:
            stop_printing()


def _print(events: "Iterable[FeedEvent]", *, as_json: bool) -> None:
    for event in events:
        if as_json:
            typer.echo(json.dumps(event, default=as_json_value, ensure_ascii=False))
            continue
        at = f"{event.at.astimezone():%Y-%m-%d %H:%M:%S}"
        details = details_of(event.fields)
        said = what_happened(event.event) + (f": {details}" if details else "")
        typer.echo(f"{at}  {ending_of(event.study_instance_uid)}  {said}")


def _wait() -> bool:
    """Wait for the next look at the log; False at once if nobody reads what is printed."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)  # only what is told anyway: that the other end is gone
    return not output.poll(POLL_EVERY_S * 1000)
