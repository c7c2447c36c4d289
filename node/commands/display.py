"""Answers of the study log as tables: in a terminal to look at, through a pipe as plain columns."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from node.study_log.answers import (
    ConflictAnswer,
    DeliveryAnswer,
    DeliverySummary,
    EventAnswer,
    InstanceAnswer,
    ObjectFailure,
    ResultAnswer,
    RevisionAnswer,
    StudyAnswer,
    StudySummary,
)
from node.study_log.tables import ConflictState, DeliveryState, InstanceKind, StudyState

NOT_FOR_DIAGNOSTIC_USE = "Research software, not for diagnostic use."
DIGEST_BEGINNING = 8
"""Digits of a data set's SHA-256 that are shown, and that name it on the command line."""
UID_ENDING = 24
"""How much of a UID is shown where the whole one would fold: enough to tell studies apart."""
ROOM_BESIDE_UID = 79
"""Width of the other columns of the list of studies."""

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
    is_short = console.width < ROOM_BESIDE_UID + max(len(s.study_instance_uid) for s in studies)
    table = plain_or_ruled_table(
        console, "Study", "State", "From", "Received", "Instances", "Score", "Results"
    )
    for study in studies:
        table.add_row(
            _shortened(study.study_instance_uid, is_short=is_short),
            _state(study.state),
            study.calling_ae_title,
            _minute(study.last_received_at),
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
            _shortened(summary.study_instance_uid, is_short=console.is_terminal),
            delivery.destination,
            _state(delivery.state),
            f"{delivery.acknowledged} of {delivery.objects}",
            _reason(delivery),
        )
    return table


def study_view(study: StudyAnswer, console: Console) -> RenderableType:
    """Give all that the log knows of one study."""
    parts: list[RenderableType] = [_facts(study, console)]
    parts.append(_section("Views", _views(study, console)))
    if study.conflicts:
        parts.append(_section("Conflicts", _conflicts(study.conflicts, console)))
    if study.results:
        parts.append(_section("Results", _result_objects(study, console)))
    if study.deliveries:
        parts.append(_section("Deliveries", _deliveries(study.deliveries, console)))
    failures = [(d.destination, f) for d in study.deliveries for f in d.failures]
    if failures:
        parts.append(_section("Not committed", _failures(failures, console)))
    parts.append(_section("Events", _events(study.events, console)))
    parts.append(Text(NOT_FOR_DIAGNOSTIC_USE, style="dim"))
    return Group(*parts)


def conflicts_view(conflicts: Sequence[ConflictAnswer], console: Console) -> RenderableType:
    """Give conflicts by study: what differs, and how each is named."""
    studies = dict.fromkeys(conflict.study_instance_uid for conflict in conflicts)
    return Group(
        *(
            _section(
                f"Study {uid}",
                _conflicts([c for c in conflicts if c.study_instance_uid == uid], console),
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
        padding=(0, 2, 0, 0),
        show_edge=False,
    )
    numbers = ("Instances", "Score", "Objects", "Attempt", "KiB")
    whole = ("State", "Received", "At", "View", "Revision", "Data set", "SOP Instance UID")
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in numbers else "left",
            overflow="fold",
            no_wrap=heading in whole,
        )
    return table


def _section(title: str, body: RenderableType) -> RenderableType:
    return Group(Text(title, style="bold"), Padding(body, (0, 0, 1, 2)))


def _facts(study: StudyAnswer, console: Console) -> RenderableType:
    summary, newest = study.summary, study.summary.revision
    received = f"{_second(summary.first_received_at)} to {_second(summary.last_received_at)}"
    facts: list[tuple[str, RenderableType]] = [
        ("Study Instance UID", summary.study_instance_uid),
        ("State", _state(summary.state)),
        ("Instances", str(summary.instances)),
        ("From", f"{summary.calling_ae_title} to {summary.called_ae_title}"),
        ("Received", received),
    ]
    if summary.removed_at is not None:
        facts.append(("Files gone since", _second(summary.removed_at)))
    if study.deletion is not None:
        by = f"{_second(study.deletion.at)} by {study.deletion.by}"
        facts.append(("Deleted on request", f"{by}: {study.deletion.reason}"))
    for correction in study.corrections:
        what = f"{', '.join(correction.keywords)}, {_second(correction.at)} by {correction.by}"
        facts.append(("Patient corrected", f"{what}: {correction.reason}"))
    if newest is not None:
        facts += [
            ("Closed", f"{_second(newest.closed_at)}, {newest.close_reason}"),
            ("Analysed", _analysed(newest)),
            ("Revision", f"{newest.number}, attempt {newest.attempt}"),
        ]
        if newest.reason:
            facts.append(("Reason", newest.reason))
        if newest.model_name:
            digest = (newest.weights_sha256 or "")[:12]
            facts.append(("Model", f"{newest.model_name} {newest.model_version} ({digest})"))
        facts.append(("AI malignancy score", _scores(newest)))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim" if console.is_terminal else "", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, value)
    return Padding(grid, (0, 0, 1, 0))


def _views(study: StudyAnswer, console: Console) -> Table:
    table = plain_or_ruled_table(console, "View", "Score", "Remark", "SOP Instance UID")
    for instance in study.instances:
        table.add_row(
            _view(instance),
            "" if instance.score is None else f"{instance.score:.3f}",
            _triage(instance),
            instance.sop_instance_uid,
        )
    return table


def _conflicts(conflicts: Iterable[ConflictAnswer], console: Console) -> Table:
    table = plain_or_ruled_table(
        console, "State", "Received", "From", "Data set", "Differs in", "SOP Instance UID"
    )
    for conflict in conflicts:
        table.add_row(
            _state(conflict.state),
            _minute(conflict.received_at),
            conflict.calling_ae_title,
            conflict.dataset_sha256[:DIGEST_BEGINNING],
            ", ".join(conflict.differing_keywords),
            conflict.sop_instance_uid,
        )
    return table


def _result_objects(study: StudyAnswer, console: Console) -> Table:
    from pydicom.uid import UID  # late: the list of studies does without

    gone = [_gone(result) for result in study.results]
    headings = ("Kind", "SOP class", "KiB", *(["File"] if any(gone) else []), "SOP Instance UID")
    table = plain_or_ruled_table(console, *headings)
    for result, file in zip(study.results, gone, strict=True):
        table.add_row(
            result.kind,
            UID(result.sop_class_uid).name.removesuffix(" Storage"),
            f"{result.size_bytes / 1024:.0f}",
            *([file] if any(gone) else []),
            result.sop_instance_uid,
        )
    return table


def _deliveries(deliveries: Iterable[DeliveryAnswer], console: Console) -> Table:
    table = plain_or_ruled_table(
        console,
        "Destination",
        "Revision",
        "State",
        "Objects",
        "Attempt",
        "Statuses",
        "Confirmed",
        "Reason",
    )
    for delivery in deliveries:
        table.add_row(
            delivery.destination,
            str(delivery.revision),
            _state(delivery.state),
            f"{delivery.acknowledged} of {delivery.objects}",
            str(delivery.attempt),
            ", ".join(f"0x{status:04X}" for status in delivery.statuses),
            _confirmed(delivery),
            _reason(delivery),
        )
    return table


def _failures(failures: Iterable[tuple[str, ObjectFailure]], console: Console) -> Table:
    table = plain_or_ruled_table(console, "Destination", "Failure Reason", "SOP Instance UID")
    for destination, failure in failures:
        table.add_row(destination, f"0x{failure.failure_reason:04X}", failure.sop_instance_uid)
    return table


def _events(events: Iterable[EventAnswer], console: Console) -> Table:
    table = plain_or_ruled_table(console, "At", "Event", "Details")
    for event in events:
        details = "  ".join(
            f"{name}={value}" for name, value in event.fields.items() if value not in (None, "", [])
        )
        table.add_row(_second(event.at), event.event, details)
    return table


def _shortened(uid: str, *, is_short: bool) -> str:
    """Give the end of a UID where the whole one would fold."""
    return f"…{uid[-UID_ENDING:].lstrip('.')}" if is_short and len(uid) > UID_ENDING else uid


def _reason(delivery: DeliveryAnswer) -> str:
    """Say why the last try failed, and what is waited for."""
    if delivery.state is DeliveryState.UNCONFIRMED:
        return f"storage commitment is waited for until {_second(delivery.due_at)}"
    if delivery.state is DeliveryState.PENDING and delivery.attempt:
        return f"{delivery.reason} (next try {_second(delivery.due_at)})".strip()
    return delivery.reason


def _confirmed(delivery: DeliveryAnswer) -> str:
    """Say how many objects the archive has confirmed, and since when it has all of them."""
    if not delivery.confirmed and delivery.state is not DeliveryState.UNCONFIRMED:
        return ""
    since = "" if delivery.confirmed_at is None else f", {_second(delivery.confirmed_at)}"
    return f"{delivery.confirmed} of {delivery.objects}{since}"


def _state(state: StudyState | DeliveryState | ConflictState) -> Text:
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


def _scores(revision: RevisionAnswer) -> str:
    """Say the study's score, each breast's, and on which side of the operating point it lies."""
    if revision.score is None:
        return "none"
    breasts = [
        f"{side} {score:.3f}"
        for side, score in (("right", revision.score_right), ("left", revision.score_left))
        if score is not None
    ]
    call = "at or above" if revision.is_suspicious else "below"
    parts = f" ({', '.join(breasts)})" if breasts else ""
    return f"{revision.score:.3f}{parts}, {call} the operating point"


def _analysed(revision: RevisionAnswer) -> str:
    if revision.started_at is None:
        return "not yet"
    if revision.ended_at is None:
        return f"since {_second(revision.started_at)}"
    seconds = (revision.ended_at - revision.started_at).total_seconds()
    return f"{_second(revision.started_at)}, {seconds:.1f} s"


def _view(instance: InstanceAnswer) -> str:
    known = " ".join(part for part in (instance.laterality, instance.view_position) if part)
    return known or "unknown"


def _triage(instance: InstanceAnswer) -> str:
    if instance.kind is not InstanceKind.IMAGE:
        return instance.kind.value
    if not instance.triage_reason:
        return _gone(instance)
    detail = f": {instance.triage_detail}" if instance.triage_detail else ""
    return f"{instance.triage_reason}{detail}"


def _gone(row: InstanceAnswer | ResultAnswer) -> str:
    if row.removed_at is None or row.removed_because is None:
        return ""
    return f"file {row.removed_because.value} {_minute(row.removed_at)}"


def _second(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone():%m-%d %H:%M}"
