"""When a study is complete; closes it and queues its analysis in one transaction.

DICOM has no signal for "that was the last one". A study closes at the first of:

- the four standard views are here and analysable, no association is open that brought any of the
  study, and then `view_set_quiet_s` pass without another image;
- no image for `quiet_s`;
- `cap_s` after the first image.

Only images count: reports, presentation states and this node's own results that an archive sends
back neither keep a study open nor open it again. After a restart all associations count as ended,
and the time that the node was down is not quiet time: the sender had nobody to send to. Nor is
what the system clock is set forward by; and one that is set back keeps no study open.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from model.views import STANDARD_VIEWS
from node.clocks import ClockWatch
from node.errors import NodeError
from node.settings import StudySettings
from node.study_log.database import Database, lock_study
from node.study_log.revisions import EnqueueAnalysis, queue_revision, without_rejected
from node.study_log.tables import (
    CloseReason,
    Event,
    Instance,
    InstanceKind,
    Study,
    StudyState,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedStudy:
    """A study that was closed: its new revision and why."""

    study_instance_uid: str
    revision: int
    close_reason: CloseReason
    image_count: int


class CloseOut:
    """Closes the studies of one log.

    Parameters
    ----------
    database
        Of the study log.
    settings
        The three waits.
    enqueue_analysis
        See `EnqueueAnalysis`.
    open_studies
        Gives the Study Instance UIDs that an association brought which is still open.
    clock
        Gives the present moment, aware UTC.
    steady
        Gives seconds by a clock that nobody sets.
    """

    def __init__(
        self,
        database: Database,
        settings: StudySettings,
        *,
        enqueue_analysis: EnqueueAnalysis,
        open_studies: Callable[[], Iterable[str]],
        clock: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._view_set_quiet = timedelta(seconds=settings.view_set_quiet_s)
        self._quiet = timedelta(seconds=settings.quiet_s)
        self._cap = timedelta(seconds=settings.cap_s)
        self._enqueue_analysis = enqueue_analysis
        self._open_studies = open_studies
        self._clock = clock
        self._clock_watch = ClockWatch(clock, steady)
        self._started_at: datetime | None = None
        self._open: frozenset[str] = frozenset()
        self._ended_at: dict[str, datetime] = {}

    def start(self) -> None:
        """Let the quiet time of all studies begin now; once, before the receiver listens."""
        self._started_at = self._clock()
        self._begin_quiet_time_anew(timedelta())

    def _heed_clock(self) -> None:
        """Begin anew what is measured by the system clock, if that was set since the last look."""
        set_by = self._clock_watch.set_by()
        if set_by:
            self._begin_quiet_time_anew(set_by)
            now = self._clock()
            self._ended_at = dict.fromkeys(self._ended_at, now)

    def _begin_quiet_time_anew(self, set_by: timedelta) -> None:
        """Let all quiet time begin now, and no study have begun later than that."""
        now = self._clock()
        with self._database.writing() as session:
            receiving = select(Study).where(Study.state == StudyState.RECEIVING)
            for study in session.scalars(receiving.with_for_update()):
                study.quiet_from_at = now
                # Else the cap would come too early, or not for as long as the clock was set back.
                if set_by > timedelta() or study.first_received_at > now:
                    study.first_received_at = min(study.first_received_at + set_by, now)

    def close_due(self) -> list[ClosedStudy]:
        """Close every study that is complete by now.

        A study that cannot be closed is logged and tried again at the next call; it does not stand
        in the way of others.

        Returns
        -------
        closed
            What was closed; empty most of the time.
        """
        self._heed_clock()
        # The open associations before the log: one that ends in between holds its studies open
        # until the next look, and what it brought is committed by then.
        self._note_open_studies()
        with self._database.reading() as session:
            receiving = session.scalars(
                select(Study).where(Study.state == StudyState.RECEIVING).order_by(Study.id)
            ).all()
            due = [s.study_instance_uid for s in receiving if self._is_due(session, s)]
        closed = []
        for study_instance_uid in due:
            try:
                study = self._close(study_instance_uid)
            except (NodeError, SQLAlchemyError):
                logger.exception(
                    "Study could not be closed",
                    extra={
                        "event": "study_not_closed",
                        "study_instance_uid": study_instance_uid,
                    },
                )
                continue
            if study is not None:
                closed.append(study)
        return closed

    def _note_open_studies(self) -> None:
        """Take down which associations have ended since the last look, and when that was seen."""
        now = self._clock()
        was_open, self._open = self._open, frozenset(self._open_studies())
        self._ended_at |= dict.fromkeys(was_open - self._open, now)
        # An association that ended so long ago decides nothing any more.
        self._ended_at = {
            uid: at for uid, at in self._ended_at.items() if now - at <= self._view_set_quiet
        }

    def _is_due(self, session: Session, study: Study) -> bool:
        return self._reason_to_close(session, study) is not None

    def _reason_to_close(self, session: Session, study: Study) -> CloseReason | None:
        """Give the first of the three rules that is fulfilled by now, by what the session sees."""
        now = self._clock()
        cap_at = study.first_received_at + self._cap
        if self._started_at is not None:
            # The sender gets the chance to bring the rest before a study is cut off that had its
            # time while the node was down.
            cap_at = max(cap_at, self._started_at + self._quiet)
        close_at = {
            CloseReason.QUIET: study.quiet_from_at + self._quiet,
            CloseReason.CAP: cap_at,
        }
        uid = study.study_instance_uid
        ended_at = self._ended_at.get(uid, study.quiet_from_at)
        view_set_at = max(study.quiet_from_at, ended_at) + self._view_set_quiet
        if view_set_at <= now and uid not in self._open and _has_view_set(session, study):
            close_at[CloseReason.VIEW_SET] = view_set_at
        reason = min(close_at, key=lambda reason: close_at[reason])
        return reason if close_at[reason] <= now else None

    def _close(self, study_instance_uid: str) -> ClosedStudy | None:
        """Close one study, if it is still complete when nobody else can change it."""
        with self._database.writing() as session:
            study = lock_study(session, study_instance_uid)
            if study is None or study.state != StudyState.RECEIVING:
                return None
            reason = self._reason_to_close(session, study)
            if reason is None:
                return None
            now = self._clock()
            images = session.scalars(
                select(Instance).where(*_images_of(study)).order_by(Instance.id)
            ).all()
            if not images:
                _skip(study, now)
                return None
            images = without_rejected(images)
            revision = queue_revision(
                session,
                self._enqueue_analysis,
                study,
                images,
                close_reason=reason,
                closed_at=now,
            )
            study.events.append(
                Event(
                    at=now,
                    event="study_closed",
                    fields={
                        "revision": revision.number,
                        "close_reason": reason,
                        "images": len(images),
                    },
                )
            )
            closed = ClosedStudy(
                study_instance_uid=study_instance_uid,
                revision=revision.number,
                close_reason=reason,
                image_count=len(images),
            )
        logger.info(
            "Study closed",
            extra={
                "event": "study_closed",
                "study_instance_uid": study_instance_uid,
                "revision": closed.revision,
                "close_reason": closed.close_reason.value,
                "images": closed.image_count,
            },
        )
        return closed


def _images_of(study: Study) -> tuple[ColumnElement[bool], ...]:
    return (
        Instance.study_id == study.id,
        Instance.kind == InstanceKind.IMAGE,
        Instance.removed_at.is_(None),
    )


def _has_view_set(session: Session, study: Study) -> bool:
    """Say whether each of the four standard views is here at least once, and analysable."""
    views = session.execute(
        select(Instance.laterality, Instance.view_position)
        .where(*_images_of(study), Instance.triage_reason.is_(None))
        .distinct()
    )
    return set(STANDARD_VIEWS) <= {(laterality, view) for laterality, view in views}


def _skip(study: Study, now: datetime) -> None:
    """End the wait for a study that no image came of: there is nothing to report on."""
    study.state = StudyState.SKIPPED
    study.events.append(Event(at=now, event="study_without_image", fields={}))
