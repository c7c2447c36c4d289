"""Answers of the study log as tables: in a terminal to look at, through a pipe as plain columns."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from node.commands.event_words import UID_ENDING, ending_of
from node.study_log.answers import (
    ConflictAnswer,
    DeliveryAnswer,
    DeliverySummary,
    RevisionAnswer,
    StudySummary,
)
from node.study_log.tables import ConflictState, DeliveryState, StudyState

DIGEST_BEGINNING = 8
"""Digits of a data set's SHA-256 that are shown, and that name it on the command line."""
SHORTEST_UID_ENDING = 10
"""How much of a UID is shown in a narrow terminal."""
ROOM_BESIDE_UID = 69
"""Width of the other columns of the list of studies."""

_NUMBERS = (
    "Instances", "Score", "Objects", "Attempt", "KiB", "After", "CC", "MLO", "Breast",
    "Studies", "Known", "Cancers",
)  # fmt: skip
_WHOLE = ("Study", "State", "Received", "At", "View", "Revision", "Data set", "SOP Instance UID")

_STATE_STYLES = {
    "RECEIVING": "cyan",
    "SCHEDULED": "cyan",
    "PENDING": "cyan",
    "IN PROGRESS": "cyan",
    "UNCONFIRMED": "cyan",
    "COMPLETED": "green",
    "SKIPPED": "yellow",
    "CANCELED": "yellow",
    "DELETED": "dim",
    "FAILED": "bold red",
    "OPEN": "yellow",
    "ACCEPTED": "green",
    "DISCARDED": "dim",
}


def studies_table(studies: Sequence[StudySummary], console: Console) -> RenderableType:
    """Give the list of studies, one line each."""
    room = console.width - ROOM_BESIDE_UID
    is_short = room < max(len(study.study_instance_uid) for study in studies)
    ending = min(UID_ENDING, max(SHORTEST_UID_ENDING, room - 1))
    table = plain_or_ruled_table(
        console, "Study", "State", "From", "Received", "Instances", "Score", "Results"
    )
    for study in studies:
        uid = study.study_instance_uid
        table.add_row(
            ending_of(uid, ending) if is_short else uid,
            state_text(study.state),
            study.calling_ae_title,
            minute(study.last_received_at, console),
            str(study.instances),
            _score(study.revision),
            _results(study),
        )
    return table


def deliveries_table(summaries: Sequence[DeliverySummary], console: Console) -> RenderableType:
    """Give the list of deliveries, one line each."""
    table = plain_or_ruled_table(console, "Study", "Destination", "State", "Objects", "Reason")
    for summary in summaries:
        delivery = summary.delivery
        table.add_row(
            ending_of(summary.study_instance_uid)
            if console.is_terminal
            else summary.study_instance_uid,
            delivery.destination,
            state_text(delivery.state),
            f"{delivery.acknowledged} of {delivery.objects}",
            reason_of(delivery),
        )
    return table


def conflicts_view(conflicts: Sequence[ConflictAnswer], console: Console) -> RenderableType:
    """Give conflicts by study: what differs, and how each is named."""
    studies = dict.fromkeys(conflict.study_instance_uid for conflict in conflicts)
    return Group(
        *(
            section(
                f"Study {uid}",
                conflicts_table([c for c in conflicts if c.study_instance_uid == uid], console),
            )
            for uid in studies
        )
    )


def plain_or_ruled_table(console: Console, *headings: str) -> Table:
    """Make a table: with a rule in a terminal, else bare columns that other tools can read."""
    table = Table(
        box=SIMPLE_HEAD if console.is_terminal else None,
        header_style="bold" if console.is_terminal else "",
        pad_edge=False,
        padding=(0, 1 if console.is_terminal else 2, 0, 0),
        show_edge=False,
    )
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in _NUMBERS else "left",
            overflow="fold",
            no_wrap=heading in _WHOLE,
        )
    return table


def section(title: str, body: RenderableType) -> RenderableType:
    """Give a table under its title."""
    return Group(Text(title, style="bold"), Padding(body, (0, 0, 1, 2), expand=False))


def conflicts_table(conflicts: Iterable[ConflictAnswer], console: Console) -> Table:
    """Give the conflicts of one study, one line each."""
    conflicts = tuple(conflicts)
    is_short = are_shortened((c.sop_instance_uid for c in conflicts), console, beside=76)
    table = plain_or_ruled_table(
        console, "State", "Received", "From", "Data set", "Differs in", "SOP Instance UID"
    )
    for conflict in conflicts:
        uid = conflict.sop_instance_uid
        table.add_row(
            state_text(conflict.state),
            minute(conflict.received_at, console),
            conflict.calling_ae_title,
            conflict.dataset_sha256[:DIGEST_BEGINNING],
            ", ".join(conflict.differing_keywords),
            ending_of(uid, SHORTEST_UID_ENDING) if is_short else uid,
        )
    return table


def are_shortened(uids: Iterable[str], console: Console, *, beside: int) -> bool:
    """Say whether whole UIDs have no room beside columns of a width; there is no end of a pipe."""
    return console.width < beside + max((len(uid) for uid in uids), default=0)


def reason_of(delivery: DeliveryAnswer) -> str:
    """Say why the last try failed, and what is waited for."""
    if delivery.state is DeliveryState.UNCONFIRMED:
        return f"storage commitment is waited for until {second(delivery.due_at)}"
    if delivery.state is DeliveryState.PENDING and delivery.attempt:
        return f"{delivery.reason} (next try {second(delivery.due_at)})".strip()
    return delivery.reason


def state_text(state: StudyState | DeliveryState | ConflictState) -> Text:
    """Give a state in its colour."""
    return Text(state.value, style=_STATE_STYLES[state.value])


def _results(study: StudySummary) -> Text:
    """Say where the results of the newest revision are, and what waits for a person."""
    parts: list[Text] = []
    if study.failed_deliveries:
        parts.append(Text(f"{study.failed_deliveries} not delivered", style="bold red"))
    elif study.open_deliveries:
        parts.append(Text(f"{study.open_deliveries} to deliver", style="cyan"))
    elif study.state in (StudyState.COMPLETED, StudyState.SKIPPED):
        parts.append(Text("done", style="green"))
    if study.open_conflicts:
        parts.append(Text(_counted(study.open_conflicts, "conflict"), style="yellow"))
    if study.removed_at is not None:
        parts.append(Text("files gone", style="dim"))
    return Text(", ").join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _score(revision: RevisionAnswer | None) -> Text:
    if revision is None or revision.score is None:
        return Text("–")
    return Text(f"{revision.score:.3f}", style="bold magenta" if revision.is_suspicious else "")


def second(moment: datetime) -> str:
    """Give a moment by the clock of this machine."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def minute(moment: datetime, console: Console) -> str:
    """Give a moment to the minute; in a terminal as short as its year allows, as ``ls`` does."""
    at = moment.astimezone()
    if not console.is_terminal:
        return f"{at:%Y-%m-%d %H:%M}"
    return f"{at:%m-%d %H:%M}" if at.year == datetime.now(at.tzinfo).year else f"{at:%Y-%m-%d}"
