"""Puts studies under the right patient: a correction of what is written, or a merge of two.

The instances stay as they came. The correction stands in the study log, holds for whatever comes
later, and is applied where headers are read for results; each study is analysed anew as a new
revision. Results that were sent under the wrong patient stay where they were sent to, and the new
reports name them as predecessors.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from node.analysis.replace import replace_results
from node.errors import PermanentError
from node.study_log.corrections import PATIENT_COLUMNS
from node.study_log.database import Database, lock_study
from node.study_log.outcome_patients import move_outcomes
from node.study_log.tables import CloseReason, Event, PatientCorrection, Study, StudyState
from node.work_queue import WorkQueue

logger = logging.getLogger(__name__)

_LONGEST = 64
"""Characters of LO and of a component group of PN, PS3.5 6.2."""
_ACCEPTED = {
    "PatientBirthDate": (re.compile(r"|[0-9]{8}"), "YYYYMMDD"),
    "PatientSex": (re.compile(r"|[MFO]"), "M, F or O"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Whom is meant: Patient ID (0010,0020), and where it is needed its issuer (0010,0021)."""

    patient_id: str
    issuer_of_patient_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedStudy:
    """One study that belongs to another patient now; `revision` is analysed because of it.

    Attributes
    ----------
    revision
        None where nothing can or need be analysed: the files are gone, there is no image, or it is
        still being received.
    """

    study_instance_uid: str
    revision: int | None
    reason_for_none: str


def correct(
    database: Database,
    queue: WorkQueue,
    patient: Patient,
    after: Mapping[str, str],
    *,
    reason: str,
    by: str,
    at: datetime,
    study_instance_uid: str | None = None,
) -> tuple[CorrectedStudy, ...]:
    """Correct what the studies of a patient say of the patient.

    Outcomes of the patient go with them, unless only one study is meant: that one may have been
    somebody else's.

    Each study is a transaction of its own; asked again, what was done before is passed over.

    Parameters
    ----------
    database
        The study log.
    queue
        Of durable work, in the same database.
    patient
        Whose studies they are by now, in the log.
    after
        What they are to say, by keyword, one of `PATIENT_COLUMNS`.
    reason, by
        Why, and who asks; both stay in the log.
    at
        Now, aware UTC.
    study_instance_uid
        Only this study; None: all of the patient's.

    Returns
    -------
    corrected
        The studies that said something else before.

    Raises
    ------
    PermanentError
        If no study fits, several issuers have given that Patient ID and none is named, there is no
        Patient ID and no single study is named, or an attribute is not accepted.
    """
    if not after:
        raise PermanentError(reason="Expected at least one attribute to correct, found none")
    if not reason.strip():
        raise PermanentError(reason="Expected a reason that stays in the log, found none")
    for keyword, value in after.items():
        _check(keyword, value)
    if not patient.patient_id.strip() and study_instance_uid is None:
        raise PermanentError(
            reason="Expected a Patient ID: studies without one need not be of one patient. Name "
            "one of them with --study."
        )
    with database.reading() as session:
        _require_one_issuer(session, patient, "--from-issuer")
        uids = _studies_of(session, patient, study_instance_uid)
    if not uids:
        raise PermanentError(
            reason="No study in the log is of that patient, by Patient ID and issuer"
            + (" and Study Instance UID" if study_instance_uid else "")
        )
    if study_instance_uid is None and {"PatientID", "IssuerOfPatientID"} & set(after):
        # Before the studies: if it breaks off between, the command finds all of them once more.
        with database.writing() as session:
            move_outcomes(
                session,
                patient.patient_id,
                patient.issuer_of_patient_id,
                to_patient_id=after.get("PatientID"),
                to_issuer=after.get("IssuerOfPatientID"),
            )
    corrected = []
    for uid in uids:
        with database.writing() as session:
            study = _correct_study(session, queue, uid, patient, after, reason.strip(), by, at)
        if study is not None:
            corrected.append(study)
            logger.info(
                "Patient of a study corrected",
                extra={
                    "event": "patient_corrected",
                    "study_instance_uid": uid,
                    "keywords": sorted(after),
                    "revision": study.revision,
                    "by": by,
                },
            )
    return tuple(corrected)


def merge(
    database: Database,
    queue: WorkQueue,
    patient: Patient,
    into: Patient,
    *,
    reason: str,
    by: str,
    at: datetime,
) -> tuple[CorrectedStudy, ...]:
    """Put all studies of a patient under another one, who is in the log already.

    Parameters
    ----------
    database, queue, reason, by, at
        As in `correct`.
    patient
        Who was meant to be somebody else.
    into
        Who it is; all attributes are those of this patient's newest study.

    Raises
    ------
    PermanentError
        If either is not in the log, or both are the same.
    """
    if patient == into:
        raise PermanentError(reason="Expected two patients to merge, found one")
    with database.reading() as session:
        _require_one_issuer(session, into, "--into-issuer")
        newest = session.scalars(
            select(Study).where(_is_of(into)).order_by(Study.last_received_at.desc(), Study.id)
        ).first()
        if newest is None:
            raise PermanentError(
                reason="No study in the log is of the patient to merge into. `mammonode patients "
                "correct` takes the attributes from the command line."
            )
        after = _said_of(newest)
    return correct(database, queue, patient, after, reason=reason, by=by, at=at)


def _check(keyword: str, value: str) -> None:
    """Refuse what would not be a value of the attribute; never quotes it."""
    pattern, accepted = _ACCEPTED.get(keyword, (None, ""))
    if pattern is not None and pattern.fullmatch(value) is None:
        raise PermanentError(reason=f"{keyword}: expected {accepted}, or nothing")
    if len(value) > _LONGEST or not value.isprintable() or "\\" in value:
        raise PermanentError(
            reason=f"{keyword}: expected at most {_LONGEST} printable characters and no backslash"
        )
    if keyword == "PatientID" and not value.strip():
        raise PermanentError(reason="PatientID: expected one, found nothing")


def _is_of(patient: Patient) -> ColumnElement[bool]:
    is_it = (Study.patient_id == patient.patient_id) & (Study.state != StudyState.DELETED.value)
    if patient.issuer_of_patient_id is not None:
        is_it &= Study.issuer_of_patient_id == patient.issuer_of_patient_id
    return is_it


def _require_one_issuer(session: Session, patient: Patient, option: str) -> None:
    """Make sure that one Patient ID means one person (PS3.3 C.7.1.1, Issuer of Patient ID)."""
    issuers = session.scalars(
        select(Study.issuer_of_patient_id).where(_is_of(patient)).distinct()
    ).all()
    if len(issuers) > 1:
        raise PermanentError(
            reason=f"{len(issuers)} issuers have given that Patient ID: say which with {option}"
        )


def _studies_of(session: Session, patient: Patient, study_instance_uid: str | None) -> list[str]:
    statement = select(Study.study_instance_uid).where(_is_of(patient)).order_by(Study.id)
    if study_instance_uid is not None:
        statement = statement.where(Study.study_instance_uid == study_instance_uid)
    return list(session.scalars(statement))


def _said_of(study: Study) -> dict[str, str]:
    """Give what a study says of its patient, by keyword."""
    return {keyword: getattr(study, column) for keyword, column in PATIENT_COLUMNS.items()}


def _correct_study(
    session: Session,
    queue: WorkQueue,
    study_instance_uid: str,
    patient: Patient,
    after: Mapping[str, str],
    reason: str,
    by: str,
    at: datetime,
) -> CorrectedStudy | None:
    """Correct one study; None if it says so already, or is another patient's by now."""
    study = lock_study(session, study_instance_uid)
    if study is None or study.patient_id != patient.patient_id:
        return None
    before = _said_of(study)
    if before | dict(after) == before:
        return None
    study.corrections.append(
        PatientCorrection(at=at, by=by, reason=reason, before=before, after=dict(after))
    )
    for keyword, value in after.items():
        setattr(study, PATIENT_COLUMNS[keyword], value)
    is_received = study.state == StudyState.RECEIVING
    revision = replace_results(
        session,
        queue.enqueue_analysis,
        study,
        close_reason=CloseReason.PATIENT,
        why="The patient was corrected since",
        at=at,
    )
    number = None if revision is None else revision.number
    session.add(
        Event(
            study_id=study.id,
            at=at,
            event="patient_corrected",
            fields={"keywords": sorted(after), "by": by, "revision": number},
        )
    )
    why_none = ""
    if number is None:
        why_none = (
            "it is still being received, and closes with the correction"
            if is_received
            else "it has no image here; have the PACS send it again for new results"
        )
    return CorrectedStudy(
        study_instance_uid=study_instance_uid, revision=number, reason_for_none=why_none
    )
