"""Results that are not to go out any more: what is open is ended, and others are made.

Both in the transaction that says why, so that nothing which was begun before it can end in a
result, or be sent, after it. What a worker has in hand at that moment it finds ended in the log; an
object that is on its way may still arrive.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from node.analysis.rescue import UNDER_WAY
from node.study_log.revisions import EnqueueAnalysis, images_here, queue_revision
from node.study_log.tables import (
    OPEN_DELIVERIES,
    CloseReason,
    DeliveryState,
    Revision,
    Study,
    StudyState,
)
from node.work_queue import AnalysisWork, DeliveryWork, Work


def replace_results(
    session: Session,
    enqueue_analysis: EnqueueAnalysis,
    study: Study,
    *,
    close_reason: CloseReason,
    why: str,
    at: datetime,
) -> Revision | None:
    """End what is open of a study, and queue the analysis of its images as they are now.

    Parameters
    ----------
    session
        Of `Database.writing`.
    enqueue_analysis
        Of the queue in the same database.
    study
        Locked.
    close_reason
        Of the new revision.
    why
        Stands beside all that is ended.
    at
        Now, aware UTC.

    Returns
    -------
    revision
        None while the study is being received, since its close-out makes one, and where no image
        is left.
    """
    end_open_work(study, why, at)
    if study.state == StudyState.RECEIVING:
        return None
    images = images_here(study)
    if not images:
        if study.state in UNDER_WAY:
            study.state = StudyState.SKIPPED
        return None
    return queue_revision(
        session, enqueue_analysis, study, images, close_reason=close_reason, closed_at=at
    )


def end_open_work(study: Study, why: str, at: datetime) -> list[Work]:
    """End every analysis and delivery of a study that has not come to its end.

    A delivery that failed is ended too, so that nobody sends it again.

    Parameters
    ----------
    study
        Locked.
    why
        Stands beside all that is ended.
    at
        Now, aware UTC.

    Returns
    -------
    ended
        What was queued or under way. It may stay in the queue: who takes it finds that it ended.
    """
    ended: list[Work] = []
    for revision in study.revisions:
        uid, number = study.study_instance_uid, revision.number
        if revision.state in UNDER_WAY:
            revision.state, revision.reason, revision.ended_at = StudyState.CANCELED, why, at
            ended.append(
                AnalysisWork(study_instance_uid=uid, revision=number, attempt=revision.attempt)
            )
        for delivery in revision.deliveries:
            if delivery.state in OPEN_DELIVERIES:
                # The try that waits in the queue is used up: its name is never given to another.
                delivery.attempt += delivery.state == DeliveryState.PENDING
                ended.append(
                    DeliveryWork(
                        study_instance_uid=uid,
                        revision=number,
                        destination=delivery.destination,
                        attempt=delivery.attempt,
                    )
                )
            if delivery.state != DeliveryState.COMPLETED:
                delivery.state, delivery.reason = DeliveryState.CANCELED, why
                delivery.ended_at = at
    return ended
