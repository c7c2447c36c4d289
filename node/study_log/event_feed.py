"""Events of the study log as they become durable, for whoever follows it.

Ids are given when a row is inserted, and rows become visible when their transaction is committed:
on PostgreSQL an event can appear after others with higher ids. So the feed remembers which ids are
missing below the newest that it has seen, and looks for them for a while.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from node.study_log.tables import Event, Study

AT_ONCE = 1000
"""Events that are read in one go."""
MISSING_FOR = timedelta(seconds=60)
"""A missing id that has not appeared by then was rolled back: no transaction stays open so long."""
MISSING_AMONG = 1000
"""How many ids before one that is seen are held to be missing; more were never given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvent:
    """One thing that happened to a study; ids grow in the order in which they were written."""

    id: int
    study_instance_uid: str
    at: datetime
    event: str
    fields: dict[str, Any]


class EventFeed:
    """Gives each event once: first of those that are there, by `begin`, then new ones, by `poll`.

    Parameters
    ----------
    study_instance_uids
        Only events of these studies; empty: of all.
    events
        Only these; empty: all.

    Attributes
    ----------
    is_behind
        Whether `poll` would give more at once.
    """

    def __init__(
        self, *, study_instance_uids: Sequence[str] = (), events: Sequence[str] = ()
    ) -> None:
        self._study_instance_uids = frozenset(study_instance_uids)
        self._events = frozenset(events)
        self._newest_id = 0
        self._missing: dict[int, datetime] = {}
        self._old: Select[*tuple[Any, ...]] | None = None
        self._old_until = 0
        self.is_behind = False

    def begin(
        self, session: Session, *, now: datetime, last: int = 0, since: datetime | None = None
    ) -> tuple[FeedEvent, ...]:
        """Give the last events that are there, and take up the place behind them.

        Parameters
        ----------
        session
            Of `Database.reading`.
        now
            Aware.
        last
            So many.
        since
            All that happened then or later in place of that, however many: `poll` gives them.
        """
        self._newest_id = session.scalar(select(func.max(Event.id))) or 0
        lowest = max(0, self._newest_id - MISSING_AMONG)
        is_near = Event.id.between(lowest + 1, self._newest_id)
        near = session.scalars(select(Event.id).where(is_near).order_by(Event.id))
        self._note_missing(lowest, near, now)
        old = _events().where(Event.id <= self._newest_id, Event.id.not_in(self._missing))
        if self._study_instance_uids:
            old = old.where(Study.study_instance_uid.in_(self._study_instance_uids))
        if self._events:
            old = old.where(Event.event.in_(self._events))
        if since is not None:
            self._old = old.where(Event.at >= since).order_by(Event.id).limit(AT_ONCE)
            self.is_behind = True
            return ()
        newest_first = session.execute(old.order_by(Event.id.desc()).limit(last)).all()
        return tuple(_event(row) for row in reversed(newest_first))

    def poll(self, session: Session, *, now: datetime) -> tuple[FeedEvent, ...]:
        """Give what has become visible since the last time, at most `AT_ONCE`.

        Parameters
        ----------
        session
            Of `Database.reading`, a new one each time: whoever reads slowly holds no transaction.
        now
            Aware.
        """
        if self._old is not None:
            return self._next_of_old(session, self._old)
        # All events, also of other studies: whether one is missing shows in the ids alone.
        is_new = or_(Event.id > self._newest_id, Event.id.in_(self._missing))
        statement = _events().where(is_new).order_by(Event.id).limit(AT_ONCE)
        found = [_event(row) for row in session.execute(statement)]
        self.is_behind = len(found) == AT_ONCE
        for event in found:
            self._missing.pop(event.id, None)
        new = (event.id for event in found if event.id > self._newest_id)
        self._note_missing(self._newest_id, new, now)
        self._missing = {
            number: since for number, since in self._missing.items() if now - since < MISSING_FOR
        }
        return tuple(event for event in found if self._is_meant(event))

    def _next_of_old(
        self, session: Session, old: "Select[*tuple[Any, ...]]"
    ) -> tuple[FeedEvent, ...]:
        rows = session.execute(old.where(Event.id > self._old_until)).all()
        if len(rows) < AT_ONCE:
            self._old = None
        else:
            self._old_until = rows[-1].id
        return tuple(_event(row) for row in rows)

    def _note_missing(self, before: int, seen: Iterable[int], now: datetime) -> None:
        """Remember the gaps between ids that follow each other, from `before` on."""
        for number in seen:
            first = max(before + 1, number - MISSING_AMONG)
            self._missing.update(dict.fromkeys(range(first, number), now))
            before = number
        self._newest_id = before

    def _is_meant(self, event: FeedEvent) -> bool:
        return (
            not self._study_instance_uids or event.study_instance_uid in self._study_instance_uids
        ) and (not self._events or event.event in self._events)


def _events() -> "Select[int, str, datetime, str, dict[str, Any]]":
    return select(Event.id, Study.study_instance_uid, Event.at, Event.event, Event.fields).join(
        Study, Study.id == Event.study_id
    )


def _event(row: Any) -> FeedEvent:
    return FeedEvent(
        id=row.id,
        study_instance_uid=row.study_instance_uid,
        at=row.at,
        event=row.event,
        fields=dict(row.fields),
    )
