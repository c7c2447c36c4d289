"""What a worker has written for a revision that is over: nobody will ask for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.analysis.rescue import UNDER_WAY
from node.store import Store
from node.study_log.database import Database, lock_study
from node.study_log.tables import Result, Revision, Study
from node.work_queue import AnalysisWork


@contextmanager
def nothing_left(work: AnalysisWork, *, database: Database, store: Store) -> Iterator[None]:
    """Leave no file behind that the end of the revision has made useless.

    That is what has no row: the outcome of its first step, and objects of attempts that failed; of
    a revision that others ended, because its study was deleted or something has taken its place,
    everything. However it ended, here or in a process that died before it came to this.
    """
    try:
        yield
    finally:
        with database.reading() as session:
            is_over = _is_over(session, work)
        if is_over:
            _remove_what_has_no_row(work, database, store)


def _remove_what_has_no_row(work: AnalysisWork, database: Database, store: Store) -> None:
    folder = store.results_folder(
        study_instance_uid=work.study_instance_uid, revision=work.revision
    )
    with database.reading() as session:
        known = _result_places(session, work)
    without_row = [place for place in store.places_below(folder) if place not in known]
    if not without_row:
        return
    with database.writing() as session:
        lock_study(session, work.study_instance_uid)
        # Somebody may have asked for it once more, and what is there now be of that attempt.
        if not _is_over(session, work):
            return
        store.remove_durably(set(without_row) - _result_places(session, work))


def _result_places(session: Session, work: AnalysisWork) -> frozenset[str]:
    """Give where the results of the study lie, of all its revisions."""
    return frozenset(
        session.scalars(
            select(Result.path)
            .join(Revision, Revision.id == Result.revision_id)
            .join(Study, Study.id == Revision.study_id)
            .where(Study.study_instance_uid == work.study_instance_uid)
        )
    )


def _is_over(session: Session, work: AnalysisWork) -> bool:
    state = session.scalar(
        select(Revision.state)
        .join(Study, Study.id == Revision.study_id)
        .where(
            Study.study_instance_uid == work.study_instance_uid, Revision.number == work.revision
        )
    )
    return state is not None and state not in UNDER_WAY
