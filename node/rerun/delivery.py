"""Results that are sent again: what failed to get there, or all of it because a person asks."""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from node.analysis.outcome import make_delivery
from node.delivery.claim import take_over_acknowledgements
from node.errors import PermanentError
from node.rerun.asked import Rerun, ended, fields, minute, record
from node.settings import DestinationSettings
from node.study_log.database import Database
from node.study_log.queries import failed_deliveries
from node.study_log.tables import (
    Delivery,
    DeliveryObject,
    DeliveryState,
    Result,
    Revision,
    Study,
)

logger = logging.getLogger(__name__)


def retry_deliveries(database: Database, *, destination: str, at: datetime) -> tuple[Rerun, ...]:
    """Send again all that failed to go to one destination.

    Only results of the newest revision of a study count, and none whose study is being received
    or analysed again: what comes of that replaces them.

    Parameters
    ----------
    database
        The study log.
    destination
        Its name in the settings.
    at
        Now, aware UTC.

    Returns
    -------
    reruns
        One a study, in the order in which their deliveries failed.
    """
    with database.writing() as session:
        deliveries = session.scalars(
            failed_deliveries(destination).with_for_update(of=Delivery)
        ).all()
        reruns = []
        for delivery in deliveries:
            rerun = _make_due(delivery.revision, [delivery], at)
            record(delivery.revision.study, at, "retry_requested", rerun)
            reruns.append(rerun)
    logger.info(
        "Retry of all failed deliveries asked for",
        extra={
            "event": "retry_of_deliveries_requested",
            "destination": destination,
            "studies": len(reruns),
        },
    )
    return tuple(reruns)


def resend(
    database: Database, *, study_instance_uid: str, destination: DestinationSettings, at: datetime
) -> Rerun:
    """Send all results of the newest revision to one destination, whatever it has of them.

    Parameters
    ----------
    database
        The study log.
    study_instance_uid
        Study Instance UID (0020,000D).
    destination
        Of the settings; it may have joined them after the study.
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If the newest revision has not ended, has none of the kinds that the destination gets, or
        has lost one of them; if they are on their way to it; or if they name another patient than
        the study does since.
    """
    with database.writing() as session:
        study, revision = ended(session, study_instance_uid)
        _require_right_patient(study, revision)
        delivery = _delivery_of_all(study, revision, destination, at)
        session.flush()
        _forget_acknowledgements(session, delivery, destination)
        rerun = _make_due(revision, [delivery], at)
        record(study, at, "resend_requested", rerun)
    logger.info(
        "Results are to be sent again", extra={"event": "resend_requested", **fields(rerun)}
    )
    return rerun


def deliver_failed(study: Study, revision: Revision, at: datetime) -> Rerun:
    """Make failed deliveries due; the clock queues what is due, with the next attempt.

    Raises
    ------
    PermanentError
        If none failed, or results are gone.
    """
    failed = [d for d in revision.deliveries if d.state == DeliveryState.FAILED.value]
    if not failed:
        raise PermanentError(
            reason=f"Nothing of study {study.study_instance_uid} failed: its newest revision is "
            f"{revision.state}. `mammonode studies reanalyse` analyses it anew."
        )
    _require_here(study, revision.results)
    return _make_due(revision, failed, at)


def _delivery_of_all(
    study: Study, revision: Revision, destination: DestinationSettings, at: datetime
) -> Delivery:
    """Give the delivery to a destination, with all that it gets of a revision; made if need be."""
    uid = study.study_instance_uid
    wanted = [result for result in revision.results if result.kind in destination.kinds]
    if not wanted:
        raise PermanentError(
            reason=f"Nothing to send: revision {revision.number} of study {uid} is "
            f"{revision.state} and has no result of the kinds that {destination.name} gets "
            f"({', '.join(destination.kinds)})"
        )
    _require_here(study, wanted)
    for delivery in revision.deliveries:
        if delivery.destination == destination.name:
            break
    else:
        delivery = make_delivery(revision, destination, at)
        revision.deliveries.append(delivery)
    if delivery.state in (DeliveryState.IN_PROGRESS, DeliveryState.UNCONFIRMED):
        raise PermanentError(
            reason=f"The results of study {uid} are on their way to {destination.name} "
            f"({delivery.state}): wait, or end that with `mammonode studies cancel`"
        )
    listed = {row.result for row in delivery.objects}
    delivery.objects += [DeliveryObject(result=row) for row in wanted if row not in listed]
    return delivery


def _forget_acknowledgements(
    session: Session, delivery: Delivery, destination: DestinationSettings
) -> None:
    """Let everything go out again; the last status stays, so that no claim takes it over anew."""
    take_over_acknowledgements(session, delivery)
    for row in delivery.objects:
        if row.result.kind in destination.kinds:
            row.acknowledged_at = row.confirmed_at = row.failure_reason = None


def _require_right_patient(study: Study, revision: Revision) -> None:
    """Make sure that results were made after the last correction of the patient.

    Of images that are gone no others could be made then.
    """
    if study.corrections and study.corrections[-1].at > revision.closed_at:
        raise PermanentError(
            reason=f"The results of study {study.study_instance_uid} name the patient as before "
            f"the correction of {minute(study.corrections[-1].at)}. Have the PACS send the images "
            "again"
        )


def _require_here(study: Study, results: Sequence[Result]) -> None:
    """Make sure that the files of results are here still."""
    gone = [result.removed_at for result in results if result.removed_at]
    if gone:
        raise PermanentError(
            reason=f"The results of study {study.study_instance_uid} are gone since "
            f"{minute(max(gone))}. `mammonode studies reanalyse` makes new ones while the images "
            "are here."
        )


def _make_due(revision: Revision, deliveries: Sequence[Delivery], at: datetime) -> Rerun:
    for delivery in deliveries:
        delivery.state = DeliveryState.PENDING.value
        delivery.due_at = at
        delivery.reason = ""
        delivery.ended_at = None
    return Rerun(
        study_instance_uid=revision.study.study_instance_uid,
        revision=revision.number,
        attempt=None,
        destinations=tuple(delivery.destination for delivery in deliveries),
    )
