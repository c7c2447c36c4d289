"""The results of one revision on their way to one destination: one try, and what follows it.

A try is a short workflow. It sends what has not been acknowledged yet, writes every answer down
before the next object goes out, and ends; the clock queues the next try when that is due.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.delivery.send import Answer, StoredObject, send
from node.delivery.statuses import StatusClass, classify_status, meaning_of
from node.errors import PermanentError, TransientError
from node.retries import GiveUp, RetryPolicy, after_failure
from node.settings import DestinationSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import (
    Delivery,
    DeliveryObject,
    DeliveryState,
    Event,
    Result,
    Revision,
    Study,
)
from node.work_queue import DeliveryWork

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What one try has to do."""

    delivery_id: int
    destination: DestinationSettings
    objects: tuple[StoredObject, ...]


class Deliverer:
    """Sends stored results.

    Parameters
    ----------
    settings
        Destinations, retry policy and the own AE title.
    database
        The study log.
    store
        Where the result objects are.
    now
        The clock, giving aware UTC.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        store: Store,
        now: Callable[[], datetime],
    ) -> None:
        self._destinations = {
            destination.name: destination for destination in settings.destinations
        }
        self._policy = RetryPolicy(
            max_attempts=settings.delivery.max_attempts,
            first_retry_s=settings.delivery.first_retry_s,
            longest_retry_s=settings.delivery.longest_retry_s,
        )
        self._ae_title = settings.receive.ae_title
        self._database = database
        self._store = store
        self._now = now

    def deliver(self, work: DeliveryWork) -> None:
        """Try once; may be called again for the same try, after a crash.

        Raises
        ------
        TransientError
            If something was not acknowledged that may be later.
        PermanentError
            If something will not be acknowledged as things are.
        """
        task = self._begin(work)
        if task is None:
            return
        problems: list[tuple[StatusClass, str]] = []
        if task.objects:
            answers = send(task.objects, task.destination, calling_ae_title=self._ae_title)
            for answer in answers:
                self._record(task, answer)
                problems += _problems(answer, task.destination)
        for status_class, error in (
            (StatusClass.TRANSIENT, TransientError),
            (StatusClass.PERMANENT, PermanentError),
        ):
            # Whatever may still go through is tried before anything is given up.
            reasons = [reason for found, reason in problems if found is status_class]
            if reasons:
                raise error(reason=_summary(reasons))
        self._complete(work, len(task.objects))

    def failed(self, work: DeliveryWork, error: Exception) -> None:
        """Write down that a try failed, and whether and when there is another one."""
        step = after_failure(error, attempt=work.attempt, policy=self._policy)
        with self._database.writing() as session:
            delivery = _find(session, work)
            # It may have failed before it was claimed, as when the database was busy.
            if delivery is None or not (_is_current(delivery, work) or _is_next(delivery, work)):
                return
            delivery.attempt = work.attempt
            delivery.reason = step.reason
            if isinstance(step, GiveUp):
                delivery.state = DeliveryState.FAILED
                delivery.ended_at = self._now()
                self._note(session, delivery, "delivery_failed", work, reason=step.reason)
            else:
                delivery.state = DeliveryState.PENDING
                delivery.due_at = self._now() + timedelta(seconds=step.delay_s)
                self._note(session, delivery, "delivery_postponed", work, reason=step.reason)
        if isinstance(step, GiveUp):
            logger.error(
                "Delivery given up; mend the cause, then retry the study",
                extra={**_fields("delivery_failed", work), "reason": step.reason},
            )
        else:
            logger.warning(
                "Delivery failed and will be tried again",
                extra={
                    **_fields("delivery_postponed", work),
                    "reason": step.reason,
                    "delay_s": step.delay_s,
                },
            )

    def _begin(self, work: DeliveryWork) -> _Task | None:
        """Claim the try; None if it has ended or another one has taken its place."""
        destination = self._destinations.get(work.destination)
        with self._database.writing() as session:
            delivery = _find(session, work)
            if delivery is None or not (_is_current(delivery, work) or _is_next(delivery, work)):
                return None
            delivery.state = DeliveryState.IN_PROGRESS
            delivery.attempt = work.attempt
            self._take_over_acknowledgements(session, delivery)
            objects = tuple(
                StoredObject(
                    key=row.id,
                    path=self._store.path(row.result.path),
                    sop_class_uid=row.result.sop_class_uid,
                    sop_instance_uid=row.result.sop_instance_uid,
                )
                for row in delivery.objects
                if row.acknowledged_at is None
            )
            delivery_id = delivery.id
        if destination is None:
            raise PermanentError(
                reason=f"Expected destination {work.destination} in the settings, found none"
            )
        return _Task(delivery_id=delivery_id, destination=destination, objects=objects)

    def _take_over_acknowledgements(self, session: Session, delivery: Delivery) -> None:
        """Do not send again what this destination took with an earlier revision.

        A heat map is derived from its own view, so the next revision has the very same object.
        """
        waiting = {row.result.sop_instance_uid: row for row in delivery.objects}
        earlier = session.execute(
            select(Result.sop_instance_uid, DeliveryObject.status, DeliveryObject.acknowledged_at)
            .join(DeliveryObject, DeliveryObject.result_id == Result.id)
            .join(Delivery, Delivery.id == DeliveryObject.delivery_id)
            .where(
                Delivery.destination == delivery.destination,
                Delivery.id != delivery.id,
                DeliveryObject.acknowledged_at.is_not(None),
                Result.sop_instance_uid.in_(waiting),
            )
        )
        for sop_instance_uid, status, acknowledged_at in earlier:
            row = waiting[sop_instance_uid]
            if row.acknowledged_at is None:
                row.status, row.acknowledged_at = status, acknowledged_at

    def _record(self, task: _Task, answer: Answer) -> None:
        """Write one answer down before the next object goes out."""
        if answer.status is None:
            return
        status_class = classify_status(answer.status)
        with self._database.writing() as session:
            row = session.get_one(DeliveryObject, answer.key)
            row.status = answer.status
            if status_class.is_acknowledged:
                row.acknowledged_at = self._now()
        if status_class is StatusClass.WARNING:
            logger.warning(
                "Result object stored with a warning",
                extra={
                    "event": "delivery_warning",
                    "destination": task.destination.name,
                    "status": f"0x{answer.status:04X}",
                },
            )

    def _complete(self, work: DeliveryWork, sent: int) -> None:
        """Close the delivery: every object is acknowledged."""
        with self._database.writing() as session:
            delivery = _find(session, work)
            if delivery is None or not _is_current(delivery, work):
                return
            delivery.state = DeliveryState.COMPLETED
            delivery.reason = ""
            delivery.ended_at = self._now()
            self._note(session, delivery, "delivery_completed", work, objects=sent)
        logger.info(
            "Results delivered", extra={**_fields("delivery_completed", work), "objects": sent}
        )

    def _note(
        self, session: Session, delivery: Delivery, event: str, work: DeliveryWork, **fields: Any
    ) -> None:
        """Add an event to the study's story."""
        session.add(
            Event(
                study_id=delivery.revision.study_id,
                at=self._now(),
                event=event,
                fields={
                    "revision": work.revision,
                    "destination": work.destination,
                    "attempt": work.attempt,
                    **fields,
                },
            )
        )


def _find(session: Session, work: DeliveryWork) -> Delivery | None:
    """Find the delivery, locked against other writers until the transaction ends."""
    statement = (
        select(Delivery)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, Study.id == Revision.study_id)
        .where(
            Study.study_instance_uid == work.study_instance_uid,
            Revision.number == work.revision,
            Delivery.destination == work.destination,
        )
        .with_for_update(of=Delivery)
    )
    return session.scalars(statement).one_or_none()


def _is_next(delivery: Delivery, work: DeliveryWork) -> bool:
    """Whether this try is the one that the delivery waits for."""
    return delivery.state == DeliveryState.PENDING and delivery.attempt + 1 == work.attempt


def _is_current(delivery: Delivery, work: DeliveryWork) -> bool:
    """Whether this try is the one under way, here or in a process that died with it."""
    return delivery.state == DeliveryState.IN_PROGRESS and delivery.attempt == work.attempt


def _problems(answer: Answer, destination: DestinationSettings) -> list[tuple[StatusClass, str]]:
    """Say what is wrong with one answer, if anything is."""
    if answer.status is None:
        return [(StatusClass.PERMANENT, answer.problem)]
    status_class = classify_status(answer.status)
    if status_class.is_acknowledged:
        return []
    meaning = meaning_of(answer.status)
    return [(status_class, f"{destination.ae_title} answered 0x{answer.status:04X} ({meaning})")]


def _summary(reasons: list[str]) -> str:
    """Put reasons of several objects together, each once."""
    kinds = list(dict.fromkeys(reasons))
    return f"{len(reasons)} of the objects: {'; '.join(kinds)}"


def _fields(event: str, work: DeliveryWork) -> dict[str, Any]:
    """Name the try in a log line."""
    return {
        "event": event,
        "study_instance_uid": work.study_instance_uid,
        "revision": work.revision,
        "destination": work.destination,
        "attempt": work.attempt,
    }
