"""Signs of life: which worker slot is held by which process, and when it was last heard of."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from node.study_log.tables import Worker


def take_slot(session: Session, *, slot: str, pid: int, at: datetime) -> None:
    """Enter a process as the holder of a slot, in place of whoever held it before."""
    session.merge(Worker(slot=slot, pid=pid, beat_at=at))


def beat(session: Session, *, slot: str, pid: int, at: datetime) -> bool:
    """Give a sign of life.

    Returns
    -------
    is_holder
        False if the slot was taken away meanwhile: its work was given to others, and the process
        must end.
    """
    held = update(Worker).where(Worker.slot == slot, Worker.pid == pid)
    return session.execute(held.values(beat_at=at).returning(Worker.slot)).first() is not None


def last_beats(session: Session) -> dict[str, datetime]:
    """Give the last sign of life of each slot, by the clock of its own machine."""
    return {worker.slot: worker.beat_at for worker in session.scalars(select(Worker))}


def take_away(session: Session, *, slot: str, beat_at: datetime) -> bool:
    """Take a slot from a process that is still silent; from then on it may not go on.

    Returns
    -------
    is_taken
        False if it gave a sign of life after that one, or is gone.
    """
    statement = delete(Worker).where(Worker.slot == slot, Worker.beat_at == beat_at)
    return session.execute(statement.returning(Worker.slot)).first() is not None


def give_up_slot(session: Session, *, slot: str, pid: int) -> None:
    """Leave a slot in good order."""
    session.execute(delete(Worker).where(Worker.slot == slot, Worker.pid == pid))
