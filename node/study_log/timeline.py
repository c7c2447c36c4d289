"""What happened to a study, in the order in which it happened.

The events tell nearly all of it. Rows know moments of their own, and a log that was begun by an
older version, or had events cut away, has no event for some of them: those are told from the rows.
"""

from collections.abc import Iterator

from node.study_log.answers import EventAnswer, StudyAnswer
from node.study_log.tables import DeliveryState, StudyState

_OF_ENDED_REVISIONS = {
    StudyState.COMPLETED: "analysis_completed",
    StudyState.SKIPPED: "analysis_skipped",
    StudyState.FAILED: "analysis_failed",
    StudyState.CANCELED: "analysis_canceled",
}
_OF_ENDED_DELIVERIES = {
    DeliveryState.COMPLETED: "delivery_completed",
    DeliveryState.FAILED: "delivery_failed",
    DeliveryState.CANCELED: "delivery_canceled",
}


def timeline(study: StudyAnswer) -> tuple[EventAnswer, ...]:
    """Give every event of a study, and the moments of its rows that no event tells; oldest first.

    Parameters
    ----------
    study
        As the log answers.
    """
    told = {_told(event) for event in study.events}
    untold = [moment for moment in _moments(study) if _told(moment) not in told]
    return tuple(sorted((*study.events, *untold), key=lambda event: event.at))


def _told(event: EventAnswer) -> tuple[object, ...]:
    """Give what two accounts of the same moment have in common."""
    fields = event.fields
    if event.event == "analysis_overtaken":  # that is why it was canceled
        return ("analysis_canceled", fields.get("revision"), None, None)
    if event.event in ("patient_corrected", "study_deleted"):
        return (event.event, event.at)
    return (
        event.event,
        fields.get("revision"),
        fields.get("destination"),
        fields.get("dataset_sha256"),
    )


def _moments(study: StudyAnswer) -> Iterator[EventAnswer]:
    if not any(event.event == "instance_received" for event in study.events):
        for instance in study.instances:
            yield EventAnswer(
                at=instance.received_at,
                event="instance_received",
                fields={
                    "sop_instance_uid": instance.sop_instance_uid,
                    "calling_ae_title": instance.calling_ae_title,
                },
            )
    for revision in study.revisions:
        closed = {"revision": revision.number, "close_reason": revision.close_reason}
        yield EventAnswer(at=revision.closed_at, event="study_closed", fields=closed)
        number = {"revision": revision.number}
        if revision.started_at is not None:
            yield EventAnswer(at=revision.started_at, event="analysis_started", fields=number)
        if revision.ended_at is not None and revision.state in _OF_ENDED_REVISIONS:
            ended = _OF_ENDED_REVISIONS[revision.state]
            why = {"reason": revision.reason} if revision.reason else {}
            yield EventAnswer(at=revision.ended_at, event=ended, fields=number | why)
    for delivery in study.deliveries:
        where = {"revision": delivery.revision, "destination": delivery.destination}
        if delivery.ended_at is not None and delivery.state in _OF_ENDED_DELIVERIES:
            ended = _OF_ENDED_DELIVERIES[delivery.state]
            why = {"reason": delivery.reason} if delivery.reason else {}
            yield EventAnswer(at=delivery.ended_at, event=ended, fields=where | why)
        if delivery.confirmed_at is not None:
            yield EventAnswer(at=delivery.confirmed_at, event="delivery_confirmed", fields=where)
    for conflict in study.conflicts:
        yield EventAnswer(
            at=conflict.received_at,
            event="conflict_kept",
            fields={
                "sop_instance_uid": conflict.sop_instance_uid,
                "calling_ae_title": conflict.calling_ae_title,
            },
        )
    for correction in study.corrections:
        fields = {"keywords": list(correction.keywords), "by": correction.by}
        yield EventAnswer(at=correction.at, event="patient_corrected", fields=fields)
    if study.deletion is not None:
        by = {"by": study.deletion.by}
        yield EventAnswer(at=study.deletion.at, event="study_deleted", fields=by)
