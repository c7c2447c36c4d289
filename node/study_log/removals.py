"""Files that are given up: remembered in the transaction that lets go of them, until they are gone.

The row comes first and the file second: never a row that promises a file which is not there, and
never a file that a crash made everybody forget.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from node.study_log.tables import Removal, Study


def give_up(session: Session, study: Study, places: Iterable[str], at: datetime) -> None:
    """Have files deleted once the session's transaction is durable.

    Parameters
    ----------
    session
        Of `Database.writing`; nothing that it leaves behind may promise these files.
    study
        Whose files they are, locked.
    places
        Relative to the data folder. One that is given up already stays so.
    at
        Now, aware UTC.
    """
    for place in sorted(set(places)):
        if not is_given_up(session, place):
            session.add(Removal(study_id=study.id, path=place, asked_at=at))
            session.flush()


def is_given_up(session: Session, place: str) -> bool:
    """Say whether whatever lies at a place is about to be deleted."""
    return bool(session.scalar(select(exists().where(Removal.path == place))))


def take_back(session: Session, place: str) -> None:
    """Let a place be used again: nothing is deleted there once the transaction is durable.

    Waits for a deletion of that file that is under way, and is to be called before a new file is
    put there.
    """
    session.execute(delete(Removal).where(Removal.path == place))
