"""What a person can ask to be done again: a failed analysis, a failed delivery, other weights.

Everything is written in one transaction with the work that follows from it, while the node that
serves the same database may be running: it takes the work up by itself.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from model.manifest import read_manifest
from model.preprocess import PREPROCESS_VERSION
from node.errors import PermanentError, UnknownStudy
from node.study_log.database import Database, lock_study
from node.study_log.queries import failed_deliveries
from node.study_log.revisions import images_here, queue_revision
from node.study_log.tables import (
    ENDED,
    CloseReason,
    Delivery,
    DeliveryState,
    Event,
    Instance,
    Revision,
    Study,
    StudyState,
)
from node.work_queue import WorkQueue

logger = logging.getLogger(__name__)

_SEND_AGAIN = "Have the PACS send it again; it is received as new."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What will be done again.

    Attributes
    ----------
    revision
        Which one it concerns.
    attempt
        Of its analysis, from 1; None if only results are sent again.
    destinations
        Names of those that the results are sent to again.
    """

    study_instance_uid: str
    revision: int
    attempt: int | None
    destinations: tuple[str, ...]


def retry(database: Database, queue: WorkQueue, *, study_instance_uid: str, at: datetime) -> Rerun:
    """Try again what failed: the analysis of the newest revision, else its deliveries.

    Parameters
    ----------
    database
        The study log.
    queue
        Of durable work, in the same database.
    study_instance_uid
        Study Instance UID (0020,000D).
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If nothing failed, or work is still under way.
    """
    with database.writing() as session:
        study, revision = _ended(session, study_instance_uid)
        # One that has its report, as one that was skipped, keeps it: whatever is found later is
        # another revision.
        if revision.state == StudyState.FAILED:
            _require_images(study, revision)
        if revision.state == StudyState.FAILED and revision.results:
            rerun = _analyse_anew(
                session,
                queue,
                study,
                [outcome.instance for outcome in revision.outcomes],
                close_reason=CloseReason.RETRY,
                weights=revision.weights,
                at=at,
            )
        elif revision.state == StudyState.FAILED:
            rerun = _analyse_again(session, queue, study, revision)
        else:
            rerun = _deliver_again(study, revision, at)
        _record(study, at, "retry_requested", rerun)
    logger.info("Retry asked for", extra={"event": "retry_requested", **_fields(rerun)})
    return rerun


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
            _record(delivery.revision.study, at, "retry_requested", rerun)
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


def reanalyse(
    database: Database,
    queue: WorkQueue,
    *,
    study_instance_uid: str,
    weights: str,
    at: datetime,
) -> Rerun:
    """Analyse a study anew, as a new revision: all its images, with the weights that are named.

    Parameters
    ----------
    database
        The study log.
    queue
        Of durable work, in the same database.
    study_instance_uid
        Study Instance UID (0020,000D).
    weights
        Folder with weights and their manifest, absolute; empty: the node's own.
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    WeightsError
        If the weights cannot be used; then nothing is queued.
    PermanentError
        If the study is still being received or analysed.
    """
    if weights:
        read_manifest(Path(weights)).require_preprocessing(PREPROCESS_VERSION)
    with database.writing() as session:
        study, _ = _ended(session, study_instance_uid)
        rerun = _analyse_anew(
            session,
            queue,
            study,
            _images_to_analyse(study),
            close_reason=CloseReason.REANALYSE,
            weights=weights,
            at=at,
        )
        _record(study, at, "reanalysis_requested", rerun)
    logger.info("Analysis asked for", extra={"event": "reanalysis_requested", **_fields(rerun)})
    return rerun


def _ended(session: Session, study_instance_uid: str) -> tuple[Study, Revision]:
    """Lock a study and give its newest revision, if nothing is under way for it."""
    study = lock_study(session, study_instance_uid)
    if study is None:
        raise UnknownStudy(study_instance_uid=study_instance_uid)
    if not study.revisions:
        raise PermanentError(
            reason=f"Study {study_instance_uid} is {study.state} and has no image to analyse yet"
        )
    if study.state == StudyState.DELETED:
        raise PermanentError(
            reason=f"The files of study {study_instance_uid} were deleted on request at "
            f"{_minute(study.deleted_at)}. {_SEND_AGAIN}"
        )
    if StudyState(study.state) not in ENDED:
        raise PermanentError(
            reason=f"Study {study_instance_uid} is {study.state}: wait until it has ended"
        )
    return study, study.revisions[-1]


def _images_to_analyse(study: Study) -> list[Instance]:
    """List what can be analysed.

    Raises
    ------
    PermanentError
        If nothing can, because the files are gone.
    """
    images = images_here(study)
    gone = [instance.removed_at for instance in study.instances if instance.removed_at]
    if not images and gone:
        raise PermanentError(
            reason=f"The images of study {study.study_instance_uid} are gone since "
            f"{_minute(max(gone))}. {_SEND_AGAIN}"
        )
    return images


def _require_images(study: Study, revision: Revision) -> None:
    """Make sure that all images of a revision are here still.

    Raises
    ------
    PermanentError
        If one is not.
    """
    gone = [row.instance.removed_at for row in revision.outcomes if row.instance.removed_at]
    if gone:
        raise PermanentError(
            reason=f"{len(gone)} of the {len(revision.outcomes)} images of study "
            f"{study.study_instance_uid} are gone since {_minute(max(gone))}. {_SEND_AGAIN}"
        )


def _minute(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _analyse_again(session: Session, queue: WorkQueue, study: Study, revision: Revision) -> Rerun:
    revision.attempt += 1
    revision.interruptions = 0
    revision.state = study.state = StudyState.SCHEDULED.value
    revision.reason = ""
    revision.started_at = revision.ended_at = None
    queue.enqueue_analysis(
        session,
        study_instance_uid=study.study_instance_uid,
        revision=revision.number,
        attempt=revision.attempt,
    )
    return _rerun_of(study, revision)


def _analyse_anew(
    session: Session,
    queue: WorkQueue,
    study: Study,
    images: Iterable[Instance],
    *,
    close_reason: CloseReason,
    weights: str,
    at: datetime,
) -> Rerun:
    """Queue a new revision, whose reports replace those of the one before."""
    revision = queue_revision(
        session,
        queue.enqueue_analysis,
        study,
        images,
        close_reason=close_reason,
        closed_at=at,
        weights=weights,
    )
    return _rerun_of(study, revision)


def _deliver_again(study: Study, revision: Revision, at: datetime) -> Rerun:
    """Make failed deliveries due; the clock queues what is due, with the next attempt."""
    failed = [d for d in revision.deliveries if d.state == DeliveryState.FAILED.value]
    if not failed:
        raise PermanentError(
            reason=f"Nothing of study {study.study_instance_uid} failed: its newest revision is "
            f"{revision.state}. `mammonode studies reanalyse` analyses it anew."
        )
    gone = [result.removed_at for result in revision.results if result.removed_at]
    if gone:
        raise PermanentError(
            reason=f"The results of study {study.study_instance_uid} are gone since "
            f"{_minute(max(gone))}. `mammonode studies reanalyse` makes new ones while the images "
            "are here."
        )
    return _make_due(revision, failed, at)


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


def _rerun_of(study: Study, revision: Revision) -> Rerun:
    return Rerun(
        study_instance_uid=study.study_instance_uid,
        revision=revision.number,
        attempt=revision.attempt,
        destinations=(),
    )


def _record(study: Study, at: datetime, event: str, rerun: Rerun) -> None:
    study.events.append(Event(at=at, event=event, fields=_fields(rerun)))


def _fields(rerun: Rerun) -> dict[str, object]:
    return {
        "study_instance_uid": rerun.study_instance_uid,
        "revision": rerun.revision,
        "attempt": rerun.attempt,
        "destinations": list(rerun.destinations),
    }
