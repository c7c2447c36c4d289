"""One study with all that the log knows of it, for a terminal or a pipe."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from node.commands.display import (
    SHORTEST_UID_ENDING,
    are_shortened,
    conflicts_table,
    minute,
    plain_or_ruled_table,
    reason_of,
    second,
    section,
    state_text,
)
from node.commands.event_words import details_of, ending_of, what_happened
from node.study_log.answers import (
    DeliveryAnswer,
    EventAnswer,
    InstanceAnswer,
    ObjectFailure,
    ResultAnswer,
    RevisionAnswer,
    StudyAnswer,
)
from node.study_log.tables import DeliveryState, InstanceKind
from node.study_log.timeline import timeline

NOT_FOR_DIAGNOSTIC_USE = "Research software, not for diagnostic use."
STANDARD_VIEWS = ("CC", "MLO")
WIDE_ENOUGH = 116
"""Columns at which every UID of 64 characters is whole."""
_TOLD_TOGETHER = ("instance_received",)
"""Events that follow each other in numbers and are told in one line."""


def study_view(study: StudyAnswer, console: Console) -> RenderableType:
    """Give all that the log knows of one study."""
    parts: list[RenderableType] = [_facts(study, console)]
    newest = study.summary.revision
    if newest is not None and newest.score is not None:
        title = "AI malignancy score by view and breast"
        parts.append(section(title, _scores(study, newest, console)))
    parts.append(section("Instances", _instances(study.instances, console)))
    if study.conflicts:
        parts.append(section("Conflicts", conflicts_table(study.conflicts, console)))
    if study.results:
        parts.append(section("Results", _results(study.results, console)))
    if study.deliveries:
        parts.append(section("Deliveries", _deliveries(study.deliveries, console)))
    failures = [(d.destination, f) for d in study.deliveries for f in d.failures]
    if failures:
        parts.append(section("Not committed", _failures(failures, console)))
    parts.append(section("Timeline", _timeline(timeline(study), console)))
    if console.width < WIDE_ENOUGH:
        parts.append(Text("UIDs that begin with … are ends; --json has them whole.", style="dim"))
    parts.append(Text(NOT_FOR_DIAGNOSTIC_USE, style="dim"))
    return Group(*parts)


def _facts(study: StudyAnswer, console: Console) -> RenderableType:
    summary, newest = study.summary, study.summary.revision
    received = f"{second(summary.first_received_at)} to {second(summary.last_received_at)}"
    facts: list[tuple[str, RenderableType]] = [
        ("Study Instance UID", summary.study_instance_uid),
        ("State", state_text(summary.state)),
        ("Study Date", summary.study_date or "none"),
        ("Instances", str(summary.instances)),
        ("From", f"{summary.calling_ae_title} to {summary.called_ae_title}"),
        ("Received", received),
    ]
    if summary.removed_at is not None:
        facts.append(("Files gone since", second(summary.removed_at)))
    if study.deletion is not None:
        by = f"{second(study.deletion.at)} by {study.deletion.by}"
        facts.append(("Deleted on request", f"{by}: {study.deletion.reason}"))
    for correction in study.corrections:
        what = f"{', '.join(correction.keywords)}, {second(correction.at)} by {correction.by}"
        facts.append(("Patient corrected", f"{what}: {correction.reason}"))
    if newest is not None:
        facts += [
            ("Closed", f"{second(newest.closed_at)}, {newest.close_reason}"),
            ("Analysed", _analysed(newest)),
            ("Revision", f"{newest.number}, attempt {newest.attempt}"),
        ]
        if newest.reason:
            facts.append(("Reason", newest.reason))
        if newest.model_name:
            digest = (newest.weights_sha256 or "")[:12]
            facts.append(("Model", f"{newest.model_name} {newest.model_version} ({digest})"))
        facts.append(("AI malignancy score", _score(newest)))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim" if console.is_terminal else "", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, value)
    return Padding(grid, (0, 0, 1, 0), expand=False)


def _scores(study: StudyAnswer, newest: RevisionAnswer, console: Console) -> Table:
    """Give the scores as the breasts have them: a line each, its views beside its own."""
    scored = [instance for instance in study.instances if instance.score is not None]
    other = [row for row in scored if row.view_position not in STANDARD_VIEWS]
    headings = (*STANDARD_VIEWS, *(["Other views"] if other else []), "Breast")
    table = plain_or_ruled_table(console, "", *headings)
    for laterality, side, breast in (
        ("R", "right", newest.score_right),
        ("L", "left", newest.score_left),
    ):
        of_breast = [row for row in scored if row.laterality == laterality]
        table.add_row(
            side,
            *(
                " ".join(f"{row.score:.3f}" for row in of_breast if row.view_position == view)
                for view in STANDARD_VIEWS
            ),
            *(
                [", ".join(f"{_view(row)} {row.score:.3f}" for row in of_breast if row in other)]
                if other
                else []
            ),
            "" if breast is None else f"{breast:.3f}",
        )
    return table


def _instances(instances: Sequence[InstanceAnswer], console: Console) -> Table:
    is_short = are_shortened((row.sop_instance_uid for row in instances), console, beside=44)
    table = plain_or_ruled_table(console, "View", "Score", "Remark", "SOP Instance UID")
    for instance in instances:
        uid = instance.sop_instance_uid
        table.add_row(
            _view(instance),
            "" if instance.score is None else f"{instance.score:.3f}",
            _triage(instance, console),
            ending_of(uid, SHORTEST_UID_ENDING) if is_short else uid,
        )
    return table


def _results(results: Sequence[ResultAnswer], console: Console) -> Table:
    from pydicom.uid import UID  # late: the list of studies does without

    gone = [_gone(result, console) for result in results]
    is_short = are_shortened((row.sop_instance_uid for row in results), console, beside=50)
    headings = ("Kind", "SOP class", "KiB", *(["File"] if any(gone) else []), "SOP Instance UID")
    table = plain_or_ruled_table(console, *headings)
    for result, file in zip(results, gone, strict=True):
        uid = result.sop_instance_uid
        table.add_row(
            result.kind,
            UID(result.sop_class_uid).name.removesuffix(" Storage"),
            f"{result.size_bytes / 1024:.0f}",
            *([file] if any(gone) else []),
            ending_of(uid) if is_short else uid,
        )
    return table


def _deliveries(deliveries: Sequence[DeliveryAnswer], console: Console) -> Table:
    """Give the deliveries; columns that would say the same of all of them are left out."""
    confirmed = [_confirmed(delivery) for delivery in deliveries]
    has_revisions = any(delivery.revision > 1 for delivery in deliveries)
    headings = ["Destination", "State", "Objects", "Attempt", "Statuses"]
    if has_revisions:
        headings.insert(1, "Revision")
    if any(confirmed):
        headings.append("Confirmed")
    table = plain_or_ruled_table(console, *headings, "Reason")
    for delivery, said in zip(deliveries, confirmed, strict=True):
        table.add_row(
            delivery.destination,
            *([str(delivery.revision)] if has_revisions else []),
            state_text(delivery.state),
            f"{delivery.acknowledged} of {delivery.objects}",
            str(delivery.attempt),
            ", ".join(f"0x{status:04X}" for status in delivery.statuses),
            *([said] if any(confirmed) else []),
            reason_of(delivery),
        )
    return table


def _failures(failures: Iterable[tuple[str, ObjectFailure]], console: Console) -> Table:
    table = plain_or_ruled_table(console, "Destination", "Failure Reason", "SOP Instance UID")
    for destination, failure in failures:
        table.add_row(destination, f"0x{failure.failure_reason:04X}", failure.sop_instance_uid)
    return table


def _timeline(events: Sequence[EventAnswer], console: Console) -> Table:
    """Give what happened, a line each, and how long after what came before."""
    table = plain_or_ruled_table(console, "At", "After", "What")
    before = None
    for told in _told_together(events):
        first, last = told[0], told[-1]
        what, details = what_happened(first.event), details_of(first.fields)
        if len(told) > 1:
            senders = {str(event.fields.get("calling_ae_title", "")) for event in told}
            what = f"{len(told)} instances received"
            details = f"from {' and '.join(sorted(senders))}, in {_lapse(last.at - first.at)}"
        is_bad = first.event.endswith(("_failed", "_lost"))
        table.add_row(
            second(first.at),
            "" if before is None else f"+{_lapse(first.at - before)}",
            Text.assemble((what, "bold red" if is_bad else ""), f": {details}" if details else ""),
        )
        before = last.at
    return table


def _told_together(events: Iterable[EventAnswer]) -> Iterator[list[EventAnswer]]:
    """Put events together that are told in one line."""
    for kind, group in groupby(events, key=lambda event: event.event):
        if kind in _TOLD_TOGETHER:
            yield list(group)
        else:
            yield from ([event] for event in group)


def _lapse(length: timedelta) -> str:
    """Give a length of time in the two largest units that it has."""
    seconds = length.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def _score(revision: RevisionAnswer) -> str:
    """Say the study's score, and on which side of the operating point it lies."""
    if revision.score is None:
        return "none"
    call = "at or above" if revision.is_suspicious else "below"
    return f"{revision.score:.3f}, {call} the operating point"


def _confirmed(delivery: DeliveryAnswer) -> str:
    """Say how many objects the archive has confirmed, and since when it has all of them."""
    if not delivery.confirmed and delivery.state is not DeliveryState.UNCONFIRMED:
        return ""
    since = "" if delivery.confirmed_at is None else f", {second(delivery.confirmed_at)}"
    return f"{delivery.confirmed} of {delivery.objects}{since}"


def _analysed(revision: RevisionAnswer) -> str:
    if revision.started_at is None:
        return "not yet"
    if revision.ended_at is None:
        return f"since {second(revision.started_at)}"
    seconds = (revision.ended_at - revision.started_at).total_seconds()
    return f"{second(revision.started_at)}, {seconds:.1f} s"


def _view(instance: InstanceAnswer) -> str:
    known = " ".join(part for part in (instance.laterality, instance.view_position) if part)
    return known or "unknown"


def _triage(instance: InstanceAnswer, console: Console) -> str:
    if instance.kind is not InstanceKind.IMAGE:
        return instance.kind.value
    if not instance.triage_reason:
        return _gone(instance, console)
    detail = f": {instance.triage_detail}" if instance.triage_detail else ""
    return f"{instance.triage_reason}{detail}"


def _gone(row: InstanceAnswer | ResultAnswer, console: Console) -> str:
    if row.removed_at is None or row.removed_because is None:
        return ""
    return f"file {row.removed_because.value} {minute(row.removed_at, console)}"
