"""The results of one revision on their way to one destination: one try, and what follows it.

A try is a short workflow. It sends what has not been acknowledged yet, writes every answer down
before the next object goes out, asks for confirmation where the destination is to give one, and
ends; the clock queues the next try when that is due.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from node.delivery.claim import (
    Task,
    claim,
    confirm,
    find_delivery,
    is_open_for,
    is_under_way,
    lock_delivery,
    unconfirmed,
    unsent,
)
from node.delivery.commitment import Reference, Report, request_commitment
from node.delivery.commitment_log import CommitmentLog
from node.delivery.ending import complete, fail, tell_completed, tell_failed
from node.delivery.query import SentObject, listed
from node.delivery.send import Answer, send
from node.delivery.statuses import StatusClass, classify_status, meaning_of
from node.errors import PermanentError, TransientError
from node.settings import Confirmation, DestinationSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Delivery, DeliveryObject
from node.work_queue import DeliveryWork

logger = logging.getLogger(__name__)

REPORT_WAIT_S = 2
"""So long the association of a request for storage commitment is held: some archives report over
it at once, others only when it has ended."""


class Deliverer:
    """Sends stored results.

    Parameters
    ----------
    settings
        Destinations, how results go to each, and the own AE title.
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
            destination.name: (destination, settings.delivery_to(destination))
            for destination in settings.destinations
        }
        self._defaults = settings.delivery
        self._ae_title = settings.receive.ae_title
        self._database = database
        self._store = store
        self._now = now
        self._commitment = CommitmentLog(settings=settings, database=database, now=now)

    def deliver(self, work: DeliveryWork) -> None:
        """Try once; may be called again for the same try, after a crash.

        Raises
        ------
        TransientError
            If something was not acknowledged or confirmed that may be later.
        PermanentError
            If something will not be acknowledged or confirmed as things are.
        """
        task = self._begin(work)
        if task is None:
            return
        if task.destination.confirm is Confirmation.QUERY:
            # What was acknowledged in an earlier try has had its time to be listed.
            self._withdraw(self._not_listed(task))
        sent = self._send(task)
        if not self._is_under_way(task):
            return
        if task.destination.confirm is Confirmation.QUERY:
            missing = self._not_listed(task)
            if missing:
                raise TransientError(
                    reason=f"{task.destination.ae_title} does not list {len(missing)} of the "
                    "objects that it acknowledged"
                )
        elif task.destination.confirm is Confirmation.COMMITMENT and self._ask_to_commit(task):
            return
        self._complete(work, sent)

    def failed(self, work: DeliveryWork, error: Exception) -> None:
        """Write down that a try failed, and whether and when there is another one."""
        _, settings = self._destinations.get(work.destination, (None, self._defaults))
        with self._database.writing() as session:
            delivery = find_delivery(session, work)
            # It may have failed before it was claimed, as when the database was busy.
            if delivery is None or not is_open_for(delivery, work):
                return
            delivery.attempt = work.attempt
            step = fail(session, delivery, error, settings=settings, at=self._now())
        tell_failed(work, step)

    def _begin(self, work: DeliveryWork) -> Task | None:
        """Claim the try; None if it has ended or another one has taken its place."""
        with self._database.writing() as session:
            delivery = claim(session, work)
            if delivery is None:
                return None
            delivery_id = delivery.id
        if work.destination not in self._destinations:
            raise PermanentError(
                reason=f"Expected destination {work.destination} in the settings, found none"
            )
        destination, settings = self._destinations[work.destination]
        return Task(work=work, delivery_id=delivery_id, destination=destination, settings=settings)

    def _send(self, task: Task) -> int:
        """Send what has not been acknowledged, and say how many objects that was."""
        with self._database.writing() as session:
            objects = unsent(lock_delivery(session, task.delivery_id), self._store)
        if not objects:
            return 0
        problems: list[tuple[StatusClass, str]] = []
        for answer in send(
            objects,
            task.destination,
            calling_ae_title=self._ae_title,
            delivery=task.settings,
            may_go_on=lambda: self._is_under_way(task),
        ):
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
        return len(objects)

    def _is_under_way(self, task: Task) -> bool:
        """Whether this try is still the one under way: nobody ended it or took its place."""
        with self._database.reading() as session:
            return is_under_way(session.get_one(Delivery, task.delivery_id), task.work)

    def _record(self, task: Task, answer: Answer) -> None:
        """Write one answer down before the next object goes out."""
        if answer.status is None:
            return
        status_class = classify_status(answer.status)
        with self._database.writing() as session:
            row = session.get_one(DeliveryObject, answer.key)
            row.status = answer.status
            if status_class.is_acknowledged:
                row.acknowledged_at = self._now()
                row.failure_reason = None
        if status_class is StatusClass.WARNING:
            logger.warning(
                "Result object stored with a warning",
                extra={
                    "event": "delivery_warning",
                    "destination": task.destination.name,
                    "status": f"0x{answer.status:04X}",
                },
            )

    def _not_listed(self, task: Task) -> list[int]:
        """Ask for what is not confirmed, note what is listed, and give the keys of the rest."""
        with self._database.writing() as session:
            rows = unconfirmed(lock_delivery(session, task.delivery_id))
            asked = {
                row.id: SentObject(
                    series_instance_uid=row.result.series_instance_uid,
                    sop_instance_uid=row.result.sop_instance_uid,
                )
                for row in rows
            }
        if not asked:
            return []
        found = listed(
            tuple(asked.values()),
            task.destination,
            study_instance_uid=task.work.study_instance_uid,
            calling_ae_title=self._ae_title,
            delivery=task.settings,
        )
        with self._database.writing() as session:
            rows = unconfirmed(lock_delivery(session, task.delivery_id))
            confirm([row for row in rows if row.result.sop_instance_uid in found], self._now())
        return [key for key, item in asked.items() if item.sop_instance_uid not in found]

    def _withdraw(self, keys: Iterable[int]) -> None:
        """Take acknowledgements back that the archive does not stand by."""
        keys = tuple(keys)
        if not keys:
            return
        with self._database.writing() as session:
            for key in keys:
                session.get_one(DeliveryObject, key).acknowledged_at = None

    def _ask_to_commit(self, task: Task) -> bool:
        """Ask for storage commitment of what has none; False if there is nothing to ask for."""
        with self._database.writing() as session:
            references = [
                Reference(
                    sop_class_uid=row.result.sop_class_uid,
                    sop_instance_uid=row.result.sop_instance_uid,
                )
                for row in unconfirmed(lock_delivery(session, task.delivery_id))
            ]
        if not references:
            return False
        transaction_uid = self._commitment.add_request(task.delivery_id)
        is_reported = threading.Event()

        def take_report(report: Report) -> bool:
            is_known = self._commitment.take_report(report, ae_title=task.destination.ae_title)
            is_reported.set()
            return is_known

        request_commitment(
            references,
            task.destination,
            transaction_uid=transaction_uid,
            calling_ae_title=self._ae_title,
            delivery=task.settings,
            take_report=take_report,
            wait_for_report=lambda: is_reported.wait(REPORT_WAIT_S),
        )
        self._commitment.wait(task.work, transaction_uid)
        return True

    def _complete(self, work: DeliveryWork, sent: int) -> None:
        """Close the delivery: every object is acknowledged, and confirmed where that is asked."""
        with self._database.writing() as session:
            delivery = find_delivery(session, work)
            if delivery is None or not is_under_way(delivery, work):
                return
            complete(session, delivery, at=self._now(), objects=sent)
        tell_completed(work, objects=sent)


def _problems(answer: Answer, destination: DestinationSettings) -> list[tuple[StatusClass, str]]:
    """Say what is wrong with one answer, if anything is."""
    if answer.status is None:
        return [(answer.problem_class, answer.problem)]
    status_class = classify_status(answer.status)
    if status_class.is_acknowledged:
        return []
    meaning = meaning_of(answer.status)
    return [(status_class, f"{destination.ae_title} answered 0x{answer.status:04X} ({meaning})")]


def _summary(reasons: list[str]) -> str:
    """Put reasons of several objects together, each once."""
    kinds = list(dict.fromkeys(reasons))
    return f"{len(reasons)} of the objects: {'; '.join(kinds)}"
