"""What a worker has written for a revision that is over: nobody will ask for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.analysis.rescue import UNDER_WAY
from node.store import Store
from node.study_log.database import Database, lock_study
from node.study_log.removals import give_up
from node.study_log.tables import Revision, Study, StudyState
from node.work_queue import AnalysisWork


@contextmanager
def nothing_left(
    work: AnalysisWork, *, database: Database, store: Store, now: Callable[[], datetime]
) -> Iterator[None]:
    """Leave no file behind that the end of the revision has made useless.

    All of them, if others ended it while the block lasted or before: its study was deleted, or
    something has taken its place. If it came to its own end, the outcome of its first step alone,
    which a crash may have left.
    """
    try:
        yield
    finally:
        with database.reading() as session:
            state = _state_of(session, work)
        if state == StudyState.CANCELED:
            _give_up_results(work, database, store, now())
        elif state is not None and state not in UNDER_WAY:
            store.remove(
                store.record_place(
                    study_instance_uid=work.study_instance_uid, revision=work.revision
                )
            )


def _give_up_results(work: AnalysisWork, database: Database, store: Store, at: datetime) -> None:
    folder = store.results_folder(
        study_instance_uid=work.study_instance_uid, revision=work.revision
    )
    with database.writing() as session:
        study = lock_study(session, work.study_instance_uid)
        if study is not None and _state_of(session, work) == StudyState.CANCELED:
            give_up(session, study, store.places_below(folder), at)


def _state_of(session: Session, work: AnalysisWork) -> str | None:
    return session.scalar(
        select(Revision.state)
        .join(Study, Study.id == Revision.study_id)
        .where(
            Study.study_instance_uid == work.study_instance_uid, Revision.number == work.revision
        )
    )
