"""Ends the open work of a study because a person asks for it: its analysis, its deliveries.

The log decides. A worker in the middle of it goes on to the end of its step, or of the object that
it is sending, finds that the work has ended, and leaves nothing behind.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from node.analysis.replace import end_open_work
from node.errors import PermanentError, UnknownStudy
from node.store import Store
from node.study_log.database import Database, lock_study
from node.study_log.removals import give_up
from node.study_log.tables import Event, Study, StudyState
from node.work_queue import AnalysisWork, DeliveryWork, WorkQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """What was ended.

    Attributes
    ----------
    state
        Where the study stands now: CANCELED if its newest revision was ended and no more of the
        study is being received, else as before.
    revisions
        Numbers of those whose analysis was ended.
    destinations
        Names of those that a delivery to was ended; what was acknowledged there stays there.
    """

    study_instance_uid: str
    state: StudyState
    revisions: tuple[int, ...]
    destinations: tuple[str, ...]


def cancel_study(
    database: Database,
    store: Store,
    queue: WorkQueue,
    *,
    study_instance_uid: str,
    reason: str,
    by: str,
    at: datetime,
) -> Cancellation:
    """End what is queued or under way for a study; its images and finished results stay.

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
        Why, if that was said, and who asks; both stay in the log.
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If nothing is queued or under way for it.
    """
    said = reason.strip()
    with database.writing() as session:
        study = lock_study(session, study_instance_uid)
        if study is None:
            raise UnknownStudy(study_instance_uid=study_instance_uid)
        ended = end_open_work(study, said or f"Canceled by {by}", at)
        if not ended:
            raise PermanentError(reason=_nothing_open(study))
        for revision in study.revisions:
            if revision.state == StudyState.CANCELED:
                folder = store.results_folder(
                    study_instance_uid=study_instance_uid, revision=revision.number
                )
                give_up(session, study, store.places_below(folder), at)
        is_newest_ended = study.revisions[-1].state == StudyState.CANCELED
        if is_newest_ended and study.state != StudyState.RECEIVING:
            study.state = StudyState.CANCELED
        cancellation = Cancellation(
            study_instance_uid=study_instance_uid,
            state=StudyState(study.state),
            revisions=tuple(work.revision for work in ended if isinstance(work, AnalysisWork)),
            destinations=tuple(
                work.destination for work in ended if isinstance(work, DeliveryWork)
            ),
        )
        fields = {
            "revisions": list(cancellation.revisions),
            "destinations": list(cancellation.destinations),
            "by": by,
        }
        session.add(
            Event(
                study_id=study.id, at=at, event="study_canceled", fields={**fields, "reason": said}
            )
        )
    for work in ended:
        queue.cancel(work)
    logger.info(
        "Open work of a study ended on request",
        extra={"event": "study_canceled", "study_instance_uid": study_instance_uid, **fields},
    )
    return cancellation


def _nothing_open(study: Study) -> str:
    found = f"Nothing to cancel: study {study.study_instance_uid} is {study.state}"
    if study.state == StudyState.RECEIVING:
        return f"{found}, and its analysis is queued when it is complete. Cancel it then."
    return f"{found}, and no delivery of its results is open."
