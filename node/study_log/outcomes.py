"""The outcomes in the log, and the studies that they can be about: read, added, withdrawn.

Which outcome is about which study is no business of the log: `node.outcomes.link` works it out.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from node.errors import PermanentError
from node.study_log.study_filter import StudyFilter, is_newest_revision
from node.study_log.tables import (
    BreastOutcome,
    OutcomeResult,
    OutcomeSource,
    Revision,
    Study,
    StudyState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a biopsy or a follow-up examination said of one breast.

    Attributes
    ----------
    number
        Of the row; 0 of one that is not in the log yet.
    patient_id, issuer_of_patient_id
        Whose breast; empty where the issuer was not given.
    date
        Of the biopsy or the examination.
    laterality
        R or L.
    """

    number: int = 0
    patient_id: str
    issuer_of_patient_id: str
    date: date
    laterality: str
    source: OutcomeSource
    result: OutcomeResult
    pseudonym: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same outcome when it comes again."""
        return (
            self.patient_id,
            self.issuer_of_patient_id,
            self.date.strftime("%Y%m%d"),
            self.laterality,
            self.source.value,
            self.result.value,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedStudy:
    """A study of the log with the scores of its newest revision, if it has any by now.

    Attributes
    ----------
    patient_birth_date
        YYYYMMDD; empty where the study does not say it.
    study_date
        None where the study does not say it, or says no date.
    score, score_right, score_left
        AI malignancy scores as they stand in the log, in [0, 1].
    """

    id: int
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: str
    study_date: date | None
    calling_ae_title: str
    revision_id: int | None
    score: float | None
    score_right: float | None
    score_left: float | None
    is_suspicious: bool | None
    model_version: str
    weights_sha256: str
    weights: str

    def score_of(self, laterality: str) -> float | None:
        """Give the score of a breast, R or L."""
        return self.score_right if laterality == "R" else self.score_left


def read_outcomes(session: Session) -> tuple[Outcome, ...]:
    """Read all outcomes that count: not withdrawn, and not emptied; in the order they came in."""
    rows = session.execute(
        select(
            BreastOutcome.id,
            BreastOutcome.patient_id,
            BreastOutcome.issuer_of_patient_id,
            BreastOutcome.date,
            BreastOutcome.laterality,
            BreastOutcome.source,
            BreastOutcome.result,
            BreastOutcome.pseudonym,
        )
        .where(BreastOutcome.patient_id.is_not(None), BreastOutcome.withdrawn_at.is_(None))
        .order_by(BreastOutcome.id)
    )
    return tuple(
        Outcome(
            number=number,
            patient_id=patient_id or "",
            issuer_of_patient_id=issuer,
            date=date.fromisoformat(day),
            laterality=laterality,
            source=OutcomeSource(source),
            result=OutcomeResult(result),
            pseudonym=pseudonym,
        )
        for number, patient_id, issuer, day, laterality, source, result, pseudonym in rows
    )


def read_studies(session: Session, which: StudyFilter | None = None) -> tuple[LoggedStudy, ...]:
    """Read the studies that outcomes can be about: all whose files were not deleted on request.

    Parameters
    ----------
    session
        Of `Database.reading`.
    which
        Those that are meant; None: all.
    """
    statement = (
        select(
            Study.id,
            Study.study_instance_uid,
            Study.patient_id,
            Study.issuer_of_patient_id,
            Study.patient_birth_date,
            Study.study_date,
            Study.calling_ae_title,
            Revision.id,
            Revision.score,
            Revision.score_right,
            Revision.score_left,
            Revision.is_suspicious,
            Revision.model_version,
            Revision.weights_sha256,
            Revision.weights,
        )
        .join(Revision, is_newest_revision(), isouter=True)
        .where(Study.state != StudyState.DELETED.value)
        .order_by(Study.id)
    )
    if which is not None:
        statement = statement.where(which.condition())
    return tuple(_logged(row) for row in session.execute(statement))


def known_keys(session: Session) -> set[tuple[str, ...]]:
    """Give the keys of all outcomes of the log, those that were withdrawn too."""
    columns = (
        BreastOutcome.patient_id,
        BreastOutcome.issuer_of_patient_id,
        BreastOutcome.date,
        BreastOutcome.laterality,
        BreastOutcome.source,
        BreastOutcome.result,
    )
    rows = session.execute(select(*columns).where(BreastOutcome.patient_id.is_not(None)))
    return {tuple(str(value) for value in row) for row in rows}


def add_outcomes(session: Session, outcomes: Iterable[Outcome], *, by: str, at: datetime) -> None:
    """Add outcomes that are not in the log yet.

    Parameters
    ----------
    session
        Of `Database.writing`.
    outcomes
        Each with a key of its own, none of them in `known_keys`.
    by, at
        Who imports them, and now, aware UTC.
    """
    pseudonyms = pseudonyms_of(session)
    rows = []
    for outcome in outcomes:
        patient_id, issuer, day, laterality, source, result = outcome.key
        if patient_id not in pseudonyms:
            # Of the Patient ID nothing is derived: who knows all of them could undo that.
            pseudonyms[patient_id] = secrets.token_hex(8)
        rows.append(
            {
                "patient_id": patient_id,
                "issuer_of_patient_id": issuer,
                "pseudonym": pseudonyms[patient_id],
                "date": day,
                "laterality": laterality,
                "source": source,
                "result": result,
                "imported_at": at,
                "imported_by": by,
            }
        )
    if rows:
        session.execute(insert(BreastOutcome), rows)


def withdraw_outcome(session: Session, number: int, *, reason: str, by: str, at: datetime) -> bool:
    """Let an outcome count no more; it stays in the log, and does not come in again.

    Parameters
    ----------
    session
        Of `Database.writing`.
    number
        Of the outcome.
    reason, by, at
        Why, who asks, and now, aware UTC; they stay in the log.

    Returns
    -------
    is_changed
        False if it was withdrawn before.

    Raises
    ------
    PermanentError
        If there is none of that number, or no reason.
    """
    if not reason.strip():
        raise PermanentError(reason="Expected a reason that stays in the log, found none")
    outcome = session.get(BreastOutcome, number)
    if outcome is None:
        raise PermanentError(
            reason=f"No outcome {number} in the log. `mammonode outcomes list` shows their numbers."
        )
    if outcome.withdrawn_at is not None:
        return False
    outcome.withdrawn_at, outcome.withdrawn_by = at, by
    outcome.withdrawal_reason = reason.strip()
    return True


def pseudonyms_of(session: Session) -> dict[str, str]:
    """Give the pseudonym of each patient who has one."""
    rows = session.execute(
        select(BreastOutcome.patient_id, BreastOutcome.pseudonym)
        .where(BreastOutcome.patient_id.is_not(None))
        .order_by(BreastOutcome.id.desc())
    )
    return {str(patient_id): pseudonym for patient_id, pseudonym in rows}


def _logged(row: Any) -> LoggedStudy:
    return LoggedStudy(
        id=row[0],
        study_instance_uid=row[1],
        patient_id=row[2],
        issuer_of_patient_id=row[3],
        patient_birth_date=row[4],
        study_date=_day(row[5]),
        calling_ae_title=row[6],
        revision_id=row[7],
        score=row[8],
        score_right=row[9],
        score_left=row[10],
        is_suspicious=row[11],
        model_version=row[12] or "",
        weights_sha256=row[13] or "",
        weights=row[14] or "",
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
