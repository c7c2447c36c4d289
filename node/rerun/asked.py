"""What is asked for, and whether it can be done now."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from node.errors import PermanentError, UnknownStudy
from node.study_log.database import lock_study
from node.study_log.tables import ENDED, Event, Revision, Study, StudyState

SEND_AGAIN = "Have the PACS send it again; it is received as new."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What will be done again.

    Attributes
    ----------
    revision
        Which one it concerns.
    attempt
        Of its analysis, from 1; None if only results are sent again.
    destinations
        Names of those that the results are sent to again.
    """

    study_instance_uid: str
    revision: int
    attempt: int | None
    destinations: tuple[str, ...]


def ended(session: Session, study_instance_uid: str) -> tuple[Study, Revision]:
    """Lock a study and give its newest revision, if nothing is under way for it.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If it has no revision, was deleted, or is being received or analysed.
    """
    study = lock_study(session, study_instance_uid)
    if study is None:
        raise UnknownStudy(study_instance_uid=study_instance_uid)
    if not study.revisions:
        raise PermanentError(
            reason=f"Study {study_instance_uid} is {study.state} and has no image to analyse yet"
        )
    if study.state == StudyState.DELETED:
        raise PermanentError(
            reason=f"The files of study {study_instance_uid} were deleted on request at "
            f"{minute(study.deleted_at)}. {SEND_AGAIN}"
        )
    if StudyState(study.state) not in ENDED:
        raise PermanentError(
            reason=f"Study {study_instance_uid} is {study.state}: wait until it has ended"
        )
    return study, study.revisions[-1]


def minute(moment: datetime | None) -> str:
    """Write a moment as a person reads it, in local time."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def record(study: Study, at: datetime, event: str, rerun: Rerun) -> None:
    """Add what was asked for to the story of its study."""
    study.events.append(Event(at=at, event=event, fields=fields(rerun)))


def fields(rerun: Rerun) -> dict[str, object]:
    """Name it in a log line or an event."""
    return {
        "study_instance_uid": rerun.study_instance_uid,
        "revision": rerun.revision,
        "attempt": rerun.attempt,
        "destinations": list(rerun.destinations),
    }
