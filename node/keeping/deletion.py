"""Takes a study away because a person asks for it; a row stays, with the reason.

What this node has sent elsewhere it cannot take back.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from sqlalchemy import delete
from sqlalchemy.orm import Session

from node.analysis.replace import end_open_work
from node.errors import PermanentError, UnknownStudy
from node.intake.facts import patient_facts
from node.keeping.promises import promises_of
from node.store import Store
from node.study_log.database import Database, lock_study
from node.study_log.outcome_patients import empty_outcomes
from node.study_log.removals import give_up
from node.study_log.tables import (
    Conflict,
    ConflictState,
    Event,
    Gone,
    PatientCorrection,
    Study,
    StudyState,
)
from node.work_queue import Work, WorkQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What was deleted.

    Attributes
    ----------
    files
        How many files the log promised till then; 0 if the study had been deleted before.
    canceled
        How many analyses and deliveries were ended.
    delivered_to
        Destinations that have results of it; those stay there.
    was_deleted
        Whether it had been deleted before, and nothing of it had come since.
    """

    study_instance_uid: str
    files: int
    canceled: int
    delivered_to: tuple[str, ...]
    was_deleted: bool


def delete_study(
    database: Database,
    store: Store,
    queue: WorkQueue,
    *,
    study_instance_uid: str,
    reason: str,
    by: str,
    at: datetime,
) -> Deletion:
    """Give up all files of a study, end its open work, and empty what its row says of the patient.

    Whatever comes of it later is received as new.

    Parameters
    ----------
    database
        The study log.
    store
        Of the files.
    queue
        Of durable work, in the same database.
    study_instance_uid
        Study Instance UID (0020,000D).
    reason, by
        Why, and who asks; both stay in the row.
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If there is no reason.
    """
    if not reason.strip():
        raise PermanentError(reason="Expected a reason that stays in the log, found none")
    with database.writing() as session:
        study = lock_study(session, study_instance_uid)
        if study is None:
            raise UnknownStudy(study_instance_uid=study_instance_uid)
        was_deleted = study.state == StudyState.DELETED
        delivered_to = _delivered_to(study)
        files, open_work = 0, list[Work]()
        if not was_deleted:
            open_work = end_open_work(study, "The study was deleted on request", at)
            files = len(promises_of(session, study_instance_uid))
            give_up(session, study, _let_go_of_files(study, store, by, at), at)
            _empty_row(session, study, reason.strip(), by, at)
    # The log decides; a worker that takes one of these all the same finds that it has ended.
    for work in open_work:
        queue.cancel(work)
    database.empty_write_ahead_log()
    deletion = Deletion(
        study_instance_uid=study_instance_uid,
        files=files,
        canceled=len(open_work),
        delivered_to=delivered_to,
        was_deleted=was_deleted,
    )
    logger.info(
        "Study deleted on request",
        extra={
            "event": "study_deleted",
            "study_instance_uid": study_instance_uid,
            "files": deletion.files,
            "canceled": deletion.canceled,
            "by": by,
        },
    )
    return deletion


def _delivered_to(study: Study) -> tuple[str, ...]:
    """Name the destinations that acknowledged any result."""
    return tuple(
        sorted(
            {
                delivery.destination
                for revision in study.revisions
                for delivery in revision.deliveries
                if any(item.acknowledged_at for item in delivery.objects)
            }
        )
    )


def _let_go_of_files(study: Study, store: Store, by: str, at: datetime) -> Iterator[str]:
    """Let no row promise a file any more, and give the places of all that there are or may be."""
    for instance in study.instances:
        if instance.removed_at is None:
            instance.removed_at, instance.removed_because = at, Gone.DELETED
            yield instance.path
        for conflict in instance.conflicts:
            if conflict.state == ConflictState.OPEN:
                yield _discard(conflict, by, at)
    # Those too that a worker has written and not logged; it may have been killed since.
    yield from store.places_below(f"{store.study_place(study.study_instance_uid)}/results")
    for revision in study.revisions:
        for result in revision.results:
            if result.removed_at is None:
                result.removed_at, result.removed_because = at, Gone.DELETED
                yield result.path


def _discard(conflict: Conflict, by: str, at: datetime) -> str:
    conflict.state = ConflictState.DISCARDED
    conflict.decided_at, conflict.decided_by = at, by
    return conflict.path


def _empty_row(session: Session, study: Study, reason: str, by: str, at: datetime) -> None:
    study.state = StudyState.DELETED
    study.deleted_at, study.deleted_by, study.deletion_reason = at, by, reason
    outcomes = empty_outcomes(session, study, at)
    for column, nothing in patient_facts(Dataset()).items():
        setattr(study, column, nothing)
    session.execute(delete(PatientCorrection).where(PatientCorrection.study_id == study.id))
    session.add(
        Event(
            study_id=study.id, at=at, event="study_deleted", fields={"by": by, "outcomes": outcomes}
        )
    )
