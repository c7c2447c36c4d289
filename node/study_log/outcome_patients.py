"""Whose the outcomes of the log are, when a patient is corrected or merged, or a study deleted."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from node.study_log.outcomes import known_keys, pseudonyms_of
from node.study_log.tables import BreastOutcome, Study, StudyState


def move_outcomes(
    session: Session,
    patient_id: str,
    issuer_of_patient_id: str | None,
    *,
    to_patient_id: str | None,
    to_issuer: str | None,
) -> int:
    """Let the outcomes of a patient be those of another one, or of one who is written otherwise.

    Parameters
    ----------
    session
        Of `Database.writing`.
    patient_id, issuer_of_patient_id
        Who was meant to be somebody else; the issuer where several have given that Patient ID.
    to_patient_id, to_issuer
        Who it is; None: that attribute stays.

    Returns
    -------
    moved
        How many there were. What the other one has already is not there twice.
    """
    theirs = session.scalars(
        select(BreastOutcome).where(*_of_patient(patient_id, issuer_of_patient_id))
    ).all()
    taken = known_keys(session)
    pseudonyms = pseudonyms_of(session)
    for row in theirs:
        patient = patient_id if to_patient_id is None else to_patient_id
        given = row.issuer_of_patient_id
        # Where no issuer was given, none is now: the Patient ID alone is what the source knows.
        issuer = to_issuer if to_issuer is not None and given else given
        key = (patient, issuer, row.date, row.laterality, row.source, row.result)
        if key == (row.patient_id, given, *key[2:]):
            continue
        if key in taken:
            session.delete(row)
            continue
        taken.add(key)
        row.patient_id, row.issuer_of_patient_id = patient, issuer
        row.pseudonym = pseudonyms.setdefault(patient, row.pseudonym)
    return len(theirs)


def empty_outcomes(session: Session, study: Study, at: datetime) -> int:
    """Empty what outcomes say of the patient of a study that is being deleted.

    Parameters
    ----------
    session
        Of `Database.writing`.
    study
        Still with its patient.
    at
        Now, aware UTC.

    Returns
    -------
    emptied
        How many. Those stay that can be about another study of the patient: one that is in the
        log, and is not of a later day.
    """
    others = session.execute(
        select(Study.issuer_of_patient_id, Study.study_date).where(
            Study.patient_id == study.patient_id,
            Study.id != study.id,
            Study.state != StudyState.DELETED.value,
        )
    ).all()
    emptied = 0
    for row in session.scalars(
        select(BreastOutcome).where(*_of_patient(study.patient_id, study.issuer_of_patient_id))
    ):
        if any(
            day <= row.date and _may_be_same(issuer, row.issuer_of_patient_id)
            for issuer, day in others
        ):
            continue
        row.patient_id, row.issuer_of_patient_id, row.pseudonym = None, "", ""
        row.emptied_at = at
        emptied += 1
    return emptied


def _of_patient(patient_id: str, issuer: str | None) -> Sequence[ColumnElement[bool]]:
    """Select by Patient ID, and by issuer where both sides have one."""
    is_theirs = [BreastOutcome.patient_id == patient_id]
    if issuer:
        named = BreastOutcome.issuer_of_patient_id
        is_theirs.append(or_(named == issuer, named == ""))
    return is_theirs


def _may_be_same(one: str, other: str) -> bool:
    return not one or not other or one == other
