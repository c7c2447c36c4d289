"""Storage commitment in the study log: requests, reports, and reports that do not come.

The Transaction UID stands in the log before the request goes out, so that its report is known to
every process of the node and after every restart. A report is good news for ever: what an archive
has committed itself to counts, however late it says so. Bad news counts only while it is about the
newest request: since an older one the object may have been sent again.
"""

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from pydicom.uid import generate_uid
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from node.delivery.claim import confirm, is_under_way, lock_delivery, work_of
from node.delivery.commitment import Remedy, Report, failure_rule
from node.delivery.due import is_over
from node.delivery.ending import (
    complete,
    fail,
    fields_of,
    note,
    tell_completed,
    tell_failed,
)
from node.errors import PermanentError, TransientError
from node.retries import GiveUp, Retry
from node.settings import DeliverySettings, Settings
from node.study_log.database import Database
from node.study_log.tables import CommitmentRequest, Delivery, DeliveryState
from node.work_queue import DeliveryWork

logger = logging.getLogger(__name__)


class CommitmentLog:
    """What is known of storage commitment, for every process of the node.

    Parameters
    ----------
    settings
        Destinations and their policies.
    database
        The study log.
    now
        The clock, giving aware UTC.
    """

    def __init__(
        self, *, settings: Settings, database: Database, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._policies = {
            destination.name: settings.delivery_to(destination)
            for destination in settings.destinations
        }
        self._longest_wait = timedelta(
            seconds=max(
                policy.commitment_timeout_s
                for policy in (settings.delivery, *self._policies.values())
            )
        )
        self._database = database
        self._now = now

    def add_request(self, delivery_id: int) -> str:
        """Write a new request down before it goes out, and give its Transaction UID."""
        transaction_uid = str(generate_uid(prefix=None))
        with self._database.writing() as session:
            session.add(
                CommitmentRequest(
                    delivery_id=delivery_id,
                    transaction_uid=transaction_uid,
                    requested_at=self._now(),
                )
            )
        return transaction_uid

    def wait(self, work: DeliveryWork, transaction_uid: str) -> None:
        """End a try whose request was accepted: by its report if that is here, else to wait."""
        with self._database.writing() as session:
            request = _find_request(session, transaction_uid)
            if request is None:
                return
            delivery = lock_delivery(session, request.delivery_id)
            if not is_under_way(delivery, work):
                return
            settings = self._policy(delivery)
            delivery.state = DeliveryState.UNCONFIRMED
            delivery.reason = ""
            delivery.due_at = request.requested_at + timedelta(
                seconds=settings.commitment_timeout_s
            )
            note(
                session,
                delivery,
                "commitment_requested",
                at=self._now(),
                transaction_uid=transaction_uid,
            )
            if request.reported_at is None:
                step, is_ended = None, False
            else:
                step, is_ended = self._settle(session, delivery), True
        if is_ended:
            _tell(work, step)
        else:
            logger.info(
                "Storage commitment is waited for",
                extra={
                    **fields_of("commitment_requested", work),
                    "transaction_uid": transaction_uid,
                },
            )

    def take_report(self, report: Report, *, ae_title: str) -> bool:
        """Write a report down.

        Parameters
        ----------
        report
            As it came.
        ae_title
            Of the AE that it came from.

        Returns
        -------
        is_known
            False if there is no such request to a destination of that AE title.
        """
        names = self._names_of(ae_title)
        with self._database.writing() as session:
            request = _find_request(session, report.transaction_uid)
            if request is None or request.delivery.destination not in names:
                return False
            delivery = lock_delivery(session, request.delivery_id)
            work = work_of(delivery)
            is_newest = request is delivery.commitment_requests[-1]
            self._write_down(delivery, report, is_newest=is_newest)
            request.reported_at = self._now()
            note(
                session,
                delivery,
                "commitment_reported",
                at=self._now(),
                transaction_uid=report.transaction_uid,
                committed=len(report.committed),
                failed={uid: f"0x{reason:04X}" for uid, reason in report.failed.items()},
            )
            # A try that is still under way settles it itself, in `wait`.
            has_all = all(row.confirmed_at is not None for row in delivery.objects)
            is_awaited = is_newest and delivery.state == DeliveryState.UNCONFIRMED
            is_late = has_all and delivery.state in (
                DeliveryState.UNCONFIRMED,
                DeliveryState.PENDING,
                DeliveryState.FAILED,
            )
            is_ended = is_awaited or is_late
            step = self._settle(session, delivery) if is_ended else None
        logger.log(
            logging.WARNING if report.failed else logging.INFO,
            "Report on storage commitment",
            extra={
                **fields_of("commitment_reported", work),
                "transaction_uid": report.transaction_uid,
                "committed": len(report.committed),
                "failed": len(report.failed),
            },
        )
        if is_ended:
            _tell(work, step)
        return True

    def give_up_waiting(self) -> None:
        """Fail every try whose report has not come in time; the next one asks again.

        So is one that would have to wait for longer than any has to: the clock was set back.
        """
        now = self._now()
        is_overdue = (Delivery.state == DeliveryState.UNCONFIRMED) & is_over(
            now, longest_wait=self._longest_wait
        )
        with self._database.reading() as session:
            overdue = session.scalars(select(Delivery.id).where(is_overdue)).all()
        for delivery_id in overdue:
            with self._database.writing() as session:
                delivery = lock_delivery(session, delivery_id)
                if not session.scalar(
                    select(exists().where(Delivery.id == delivery_id, is_overdue))
                ):
                    continue
                settings = self._policy(delivery)
                error = TransientError(
                    reason=f"{delivery.destination} gave no report on storage commitment within "
                    f"{settings.commitment_timeout_s:g} s"
                )
                step = fail(session, delivery, error, settings=settings, at=now)
                work = work_of(delivery)
            tell_failed(work, step)

    def _write_down(self, delivery: Delivery, report: Report, *, is_newest: bool) -> None:
        rows = {row.result.sop_instance_uid: row for row in delivery.objects}
        confirm([row for uid, row in rows.items() if uid in report.committed], self._now())
        if not is_newest:
            return
        for uid, reason in report.failed.items():
            row = rows.get(uid)
            if row is None or row.confirmed_at is not None:
                continue
            row.failure_reason = reason
            if failure_rule(reason).remedy is Remedy.SEND_AGAIN:
                row.acknowledged_at = None

    def _settle(self, session: Session, delivery: Delivery) -> Retry | GiveUp | None:
        """Let the report decide: all is committed, or the try has failed."""
        missing = [row for row in delivery.objects if row.confirmed_at is None]
        if not missing:
            complete(session, delivery, at=self._now(), committed=len(delivery.objects))
            return None
        reasons = [row.failure_reason for row in missing]
        words = sorted({_in_words(reason) for reason in reasons})
        text = (
            f"{delivery.destination} does not commit itself to {len(missing)} of "
            f"{len(delivery.objects)} objects: {'; '.join(words)}"
        )
        # Whatever may still be committed is tried before anything is given up.
        is_hopeless = all(
            reason is not None and failure_rule(reason).remedy is Remedy.GIVE_UP
            for reason in reasons
        )
        error = PermanentError(reason=text) if is_hopeless else TransientError(reason=text)
        return fail(session, delivery, error, settings=self._policy(delivery), at=self._now())

    def _policy(self, delivery: Delivery) -> DeliverySettings:
        return self._policies.get(delivery.destination, self._settings.delivery)

    def _names_of(self, ae_title: str) -> Collection[str]:
        return {
            destination.name
            for destination in self._settings.destinations
            if destination.ae_title == ae_title
        }


def _find_request(session: Session, transaction_uid: str) -> CommitmentRequest | None:
    return session.scalars(
        select(CommitmentRequest).where(CommitmentRequest.transaction_uid == transaction_uid)
    ).one_or_none()


def _in_words(reason: int | None) -> str:
    if reason is None:
        return "not named in its report"
    return f"0x{reason:04X} ({failure_rule(reason).meaning})"


def _tell(work: DeliveryWork, step: Retry | GiveUp | None) -> None:
    if step is None:
        tell_completed(work)
    else:
        tell_failed(work, step)
