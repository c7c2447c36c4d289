"""Lets go of files that are old and delivered; the study log keeps its rows, and says when.

A study is left alone while anything about it is open: an analysis or a delivery that has not ended,
a delivery of the newest revision that failed, an analysis that failed, a conflict that nobody has
decided. Results that were sent nowhere are kept. Few studies go at a time, so that nobody waits for
a long transaction. A clock that is set wrong makes nothing old: `node.keeping.passing_time`.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, select, true
from sqlalchemy.orm import Session

from node.analysis.rescue import UNDER_WAY
from node.keeping.passing_time import Horizon, horizon
from node.settings import RetentionSettings
from node.study_log.database import Database, lock_study
from node.study_log.removals import give_up
from node.study_log.tables import (
    OPEN_DELIVERIES,
    Conflict,
    ConflictState,
    Delivery,
    DeliveryState,
    Event,
    Gone,
    Instance,
    Result,
    Revision,
    Study,
    StudyState,
)

logger = logging.getLogger(__name__)

AT_ONCE = 20
"""Studies that are let go of in one call."""

Kept = Instance | Result


def let_go_of_old(database: Database, settings: RetentionSettings, now: datetime) -> int:
    """Give up files whose time is over; `node.keeping.remove` deletes them.

    Parameters
    ----------
    database
        The study log.
    settings
        For how many days instances and results are kept.
    now
        Aware UTC.

    Returns
    -------
    count
        Of how many studies; at most ``AT_ONCE`` for instances and as many for results.
    """
    count = 0
    for what, days, is_due, files_of in (
        ("instances", settings.instances_days, _instances_due, _instances_here),
        ("results", settings.results_days, _results_due, _results_here),
    ):
        if days:
            with database.reading() as session:
                past = horizon(session, now, timedelta(days=days))
            is_over = is_due(past.before) & _is_known_since(past)
            count += _let_go(database, what, is_over, files_of, now)
    return count


def held_back(database: Database, settings: RetentionSettings, now: datetime) -> int:
    """Count the studies whose time is over by the clock, and not by what the node lived through."""
    with database.reading() as session:
        count = 0
        for days, is_due in (
            (settings.instances_days, _instances_due),
            (settings.results_days, _results_due),
        ):
            age = timedelta(days=days)
            past = horizon(session, now, age)
            is_over_by_clock = is_due(now - age)
            is_over = is_due(past.before) & _is_known_since(past)
            if days:
                statement = select(func.count(Study.id)).where(is_over_by_clock, ~is_over)
                count += session.scalar(statement) or 0
    return count


def _let_go(
    database: Database,
    what: str,
    is_due: ColumnElement[bool],
    files_of: Callable[[Study], Sequence[Kept]],
    now: datetime,
) -> int:
    with database.reading() as session:
        due = session.scalars(
            select(Study.study_instance_uid).where(is_due).order_by(Study.id).limit(AT_ONCE)
        ).all()
    count = 0
    for study_instance_uid in due:
        with database.writing() as session:
            study = lock_study(session, study_instance_uid)
            if study is None or not _is_still_due(session, study, is_due):
                continue
            files = files_of(study)
            for file in files:
                file.removed_at, file.removed_because = now, Gone.EXPIRED
            session.add(
                Event(
                    study_id=study.id,
                    at=now,
                    event=_expired(what),
                    fields={"count": len(files)},
                )
            )
            give_up(session, study, [file.path for file in files], now)
        count += 1
        logger.info(
            "Time to keep files is over",
            extra={
                "event": _expired(what),
                "study_instance_uid": study_instance_uid,
                "count": len(files),
            },
        )
    return count


def _is_still_due(session: Session, study: Study, is_due: ColumnElement[bool]) -> bool:
    return bool(session.scalar(select(exists().where(Study.id == study.id, is_due))))


def _instances_here(study: Study) -> list[Instance]:
    return [instance for instance in study.instances if instance.removed_at is None]


def _results_here(study: Study) -> list[Result]:
    return [
        result
        for revision in study.revisions
        for result in revision.results
        if result.removed_at is None
    ]


def _instances_due(before: datetime) -> ColumnElement[bool]:
    is_here = exists().where(Instance.study_id == Study.id, Instance.removed_at.is_(None))
    return is_here & _is_settled(before)


def _results_due(before: datetime) -> ColumnElement[bool]:
    is_here = exists().where(
        Result.revision_id == Revision.id,
        Revision.study_id == Study.id,
        Result.removed_at.is_(None),
    )
    was_sent = exists().where(Delivery.revision_id == Revision.id, _is_newest())
    return is_here & was_sent & _is_settled(before)


def _is_known_since(past: Horizon) -> ColumnElement[bool]:
    """Whether the log has nothing newer of a study than what is old by the marks."""
    if past.event_id is None:
        return true()
    newer = exists().where(
        Event.study_id == Study.id,
        Event.id > past.event_id,
        Event.event.not_in([_expired(what) for what in ("instances", "results")]),
    )
    return ~newer


def _expired(what: str) -> str:
    """Name the event, and the log line, of files whose time was over."""
    return f"{what}_expired"


def _is_settled(before: datetime) -> ColumnElement[bool]:
    """Whether nothing of a study is open, and nothing has happened to it since a moment."""
    received_since = exists().where(
        Instance.study_id == Study.id, Instance.received_at > before, Instance.removed_at.is_(None)
    )
    open_conflict = exists().where(
        Conflict.instance_id == Instance.id,
        Instance.study_id == Study.id,
        Conflict.state == ConflictState.OPEN.value,
    )
    analysed_since = exists().where(
        Revision.study_id == Study.id,
        Revision.state.in_([state.value for state in UNDER_WAY]) | (Revision.ended_at > before),
    )
    delivered_since = exists().where(
        Delivery.revision_id == Revision.id,
        Revision.study_id == Study.id,
        Delivery.state.in_([state.value for state in OPEN_DELIVERIES])
        | (Delivery.ended_at > before),
    )
    not_delivered = exists().where(
        Delivery.revision_id == Revision.id,
        Delivery.state.not_in((DeliveryState.COMPLETED.value, DeliveryState.CANCELED.value)),
        _is_newest(),
    )
    return (
        Study.state.in_((StudyState.COMPLETED.value, StudyState.SKIPPED.value))
        & (Study.last_received_at <= before)
        & ~received_since
        & ~open_conflict
        & ~analysed_since
        & ~delivered_since
        & ~not_delivered
    )


def _is_newest() -> ColumnElement[bool]:
    """Whether a revision is the newest of the study that is asked about."""
    newest = (
        select(func.max(Revision.number))
        .where(Revision.study_id == Study.id)
        .correlate(Study)
        .scalar_subquery()
    )
    return (Revision.study_id == Study.id) & (Revision.number == newest)
