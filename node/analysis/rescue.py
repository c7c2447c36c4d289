"""Analyses whose worker is gone for good: queued anew, under the next attempt.

A worker that comes back takes its own work up again. This is for the others: a machine that died,
and work that ended without leaving its outcome in the log.
"""

import logging
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.study_log.database import lock_study
from node.study_log.tables import Event, Revision, Study, StudyState
from node.work_queue import AnalysisWork, WorkQueue

logger = logging.getLogger(__name__)

UNDER_WAY = (StudyState.SCHEDULED, StudyState.IN_PROGRESS)
"""States of a revision whose analysis has not ended."""


def analyses_under_way(session: Session) -> frozenset[AnalysisWork]:
    """List what the log holds to be queued or under way."""
    rows = session.execute(
        select(Study.study_instance_uid, Revision.number, Revision.attempt)
        .join(Revision, Revision.study_id == Study.id)
        .where(Revision.state.in_(UNDER_WAY))
    )
    return frozenset(
        AnalysisWork(study_instance_uid=uid, revision=number, attempt=attempt)
        for uid, number, attempt in rows
    )


def analyse_anew(session: Session, queue: WorkQueue, work: AnalysisWork, at: datetime) -> bool:
    """Queue the next attempt in place of one whose worker is gone.

    Parameters
    ----------
    session
        Of `Database.writing`.
    queue
        In the same database.
    work
        The attempt that will not end.
    at
        Now, aware UTC.

    Returns
    -------
    is_queued
        False if the log has moved on: the attempt ended after all, or another took its place.
    """
    study = lock_study(session, work.study_instance_uid)
    if study is None:
        return False
    revision = session.scalars(
        select(Revision).where(
            Revision.study_id == study.id,
            Revision.number == work.revision,
            Revision.attempt == work.attempt,
            Revision.state.in_(UNDER_WAY),
        )
    ).one_or_none()
    if revision is None:
        return False
    revision.attempt += 1
    queue.enqueue_analysis(
        session,
        study_instance_uid=work.study_instance_uid,
        revision=work.revision,
        attempt=revision.attempt,
    )
    fields = {"revision": work.revision, "attempt": revision.attempt}
    session.add(Event(study_id=study.id, at=at, event="analysis_rescued", fields=fields))
    logger.warning(
        "Analysis lost its worker and is queued anew",
        extra={
            "event": "analysis_rescued",
            "study_instance_uid": work.study_instance_uid,
            **fields,
        },
    )
    return True
