"""How much time has passed, by what the node has lived through and not by its clock alone.

A clock that is set years ahead makes everything old at once. So the node leaves a mark in the study
log every few hours that it runs, with how far the log had come; between two marks no more time
counts than that. What is given up for its age must be as old by the marks too. Time that the node
was switched off for counts little, and what was there before the first mark is as old as it says.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.study_log.database import Database
from node.study_log.tables import Event, TimeMark

MARK_INTERVAL = timedelta(hours=6)
LONGEST_GAP = timedelta(hours=12)
"""From one mark to the next no more time counts than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """What is old enough.

    Attributes
    ----------
    before
        Moments up to this one, by the clocks that stamped them.
    event_id
        Events up to this one, whatever moments they claim; None for all.
    """

    before: datetime
    event_id: int | None


def mark_time(database: Database, now: datetime) -> bool:
    """Leave a mark, unless the last one is of almost the same moment; say whether one was left."""
    with database.reading() as session:
        last_at = last_mark_at(session)
    if last_at is not None and abs(now - last_at) < MARK_INTERVAL:
        return False
    with database.writing() as session:
        event_id = session.scalar(select(func.max(Event.id))) or 0
        session.add(TimeMark(at=now, event_id=event_id))
    return True


def last_mark_at(session: Session) -> datetime | None:
    """Give the moment of the newest mark; None if there is none."""
    return session.scalar(select(TimeMark.at).order_by(TimeMark.id.desc()).limit(1))


def horizon(session: Session, now: datetime, age: timedelta) -> Horizon:
    """Say how far back `age` lies, by the marks.

    Parameters
    ----------
    session
        Any.
    now
        Aware UTC.
    age
        How old is old enough.
    """
    before, left, later_at, event_id = now - age, age, now, None
    marks = select(TimeMark.at, TimeMark.event_id).order_by(TimeMark.id.desc())
    for at, event_id in session.execute(marks).all():  # 1,500 a year
        left -= max(min(later_at - at, LONGEST_GAP), timedelta())
        if left <= timedelta():
            return Horizon(before=before, event_id=event_id)
        later_at = at
    return Horizon(before=min(before, later_at - left), event_id=event_id)
