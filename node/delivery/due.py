"""Deliveries whose next try is due, and those whose worker is gone: queued."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from node.study_log.tables import Delivery, DeliveryState, Revision, Study
from node.work_queue import DeliveryWork, WorkQueue

logger = logging.getLogger(__name__)


def due_tries(
    session: Session, now: datetime, *, longest_wait: timedelta = timedelta.max
) -> list[DeliveryWork]:
    """List the next try of every delivery that is due, the longest waiting first.

    Parameters
    ----------
    session
        Any.
    now
        Aware UTC.
    longest_wait
        No try waits for longer. One that is due later than that was put off before the clock was
        set back, and is due now.
    """
    rows = session.execute(
        _deliveries()
        .where(
            Delivery.state == DeliveryState.PENDING,
            is_over(now, longest_wait=longest_wait),
        )
        .order_by(Delivery.due_at, Delivery.id)
    )
    return [_next_try(delivery, uid, number) for delivery, uid, number in rows]


def is_over(now: datetime, *, longest_wait: timedelta) -> ColumnElement[bool]:
    """Whether a delivery has waited until its `due_at`, or could not have to wait for so long."""
    if longest_wait >= datetime.max.replace(tzinfo=UTC) - now:
        return Delivery.due_at <= now
    return or_(Delivery.due_at <= now, Delivery.due_at > now + longest_wait)


def enqueue_try(session: Session, queue: WorkQueue, work: DeliveryWork) -> None:
    """Queue one try, within the session's transaction."""
    queue.enqueue_delivery(
        session,
        study_instance_uid=work.study_instance_uid,
        revision=work.revision,
        destination=work.destination,
        attempt=work.attempt,
    )


def tries_under_way(session: Session, due_before: datetime) -> frozenset[DeliveryWork]:
    """List the tries that should be in the queue by now.

    Parameters
    ----------
    session
        Any.
    due_before
        A try that was due by then was queued by the clock long ago.
    """
    rows = session.execute(
        _deliveries().where(
            or_(
                Delivery.state == DeliveryState.IN_PROGRESS,
                and_(Delivery.state == DeliveryState.PENDING, Delivery.due_at < due_before),
            )
        )
    )
    return frozenset(_awaited(delivery, uid, number) for delivery, uid, number in rows)


def deliver_anew(session: Session, queue: WorkQueue, work: DeliveryWork, now: datetime) -> bool:
    """Queue the next try in place of one that will not end.

    Parameters
    ----------
    session
        Of `Database.writing`.
    queue
        In the same database.
    work
        The try that will not end.
    now
        Aware UTC.

    Returns
    -------
    is_queued
        False if the log has moved on.
    """
    uid, number = work.study_instance_uid, work.revision
    statement = _deliveries().where(
        Study.study_instance_uid == uid,
        Revision.number == number,
        Delivery.destination == work.destination,
        Delivery.state.in_((DeliveryState.PENDING, DeliveryState.IN_PROGRESS)),
    )
    found = session.execute(statement.with_for_update(of=Delivery)).one_or_none()
    if found is None or _awaited(*found) != work:
        return False
    delivery = found[0]
    delivery.state = DeliveryState.PENDING
    delivery.attempt = work.attempt
    delivery.due_at = now
    enqueue_try(session, queue, _next_try(delivery, uid, number))
    logger.warning(
        "Delivery lost its worker and is queued anew",
        extra={
            "event": "delivery_rescued",
            "study_instance_uid": uid,
            "revision": number,
            "destination": work.destination,
            "attempt": work.attempt + 1,
        },
    )
    return True


def _deliveries() -> "Select[Delivery, str, int]":
    return (
        select(Delivery, Study.study_instance_uid, Revision.number)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, Study.id == Revision.study_id)
    )


def _awaited(delivery: Delivery, study_instance_uid: str, revision: int) -> DeliveryWork:
    """Name the try that an open delivery waits for: the one under way, else the next."""
    following = _next_try(delivery, study_instance_uid, revision)
    if delivery.state == DeliveryState.PENDING:
        return following
    return replace(following, attempt=delivery.attempt)


def _next_try(delivery: Delivery, study_instance_uid: str, revision: int) -> DeliveryWork:
    return DeliveryWork(
        study_instance_uid=study_instance_uid,
        revision=revision,
        destination=delivery.destination,
        attempt=delivery.attempt + 1,
    )
