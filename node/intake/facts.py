"""What the study log keeps of an instance, by its header alone."""

import re
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from model.views import read_view
from node.errors import TriageReason, UnsuitableInstance
from node.header import text_of
from node.intake.rejection import rejected_as
from node.intake.triage import is_image, is_own_result, triage
from node.study_log.tables import MAX_TEXT_LENGTH, InstanceKind, Result

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,12}")
"""PS3.5 6.2, VR IS."""


def instance_facts(session: Session, header: Dataset) -> dict[str, Any]:
    """Give the columns of `Instance` that its header decides.

    Parameters
    ----------
    session
        Of the study log, which knows the node's own results.
    header
        With sound UIDs.
    """
    view = read_view(header)
    rejected = rejected_as(
        session,
        study_instance_uid=str(header.StudyInstanceUID),
        sop_instance_uid=str(header.SOPInstanceUID),
    )
    reason, detail = rejected or _triage(header)
    return {
        "sop_class_uid": str(header.SOPClassUID),
        "series_instance_uid": str(header.SeriesInstanceUID),
        "series_number": _number(header, "SeriesNumber"),
        "series_description": _text(header, "SeriesDescription"),
        "instance_number": _number(header, "InstanceNumber"),
        "kind": _kind(session, header),
        "modality": _text(header, "Modality"),
        "laterality": view.laterality,
        "view_position": view.view_position,
        "triage_reason": reason,
        "triage_detail": detail,
    }


def patient_facts(header: Dataset) -> dict[str, str]:
    """Give the columns of `Study` that speak of the patient, and of the examination."""
    return {
        "patient_id": _text(header, "PatientID"),
        "issuer_of_patient_id": _text(header, "IssuerOfPatientID"),
        "patient_name": _text(header, "PatientName"),
        "patient_birth_date": _text(header, "PatientBirthDate"),
        "patient_sex": _text(header, "PatientSex"),
        "accession_number": _text(header, "AccessionNumber"),
        "study_date": _text(header, "StudyDate"),
        "study_time": _text(header, "StudyTime"),
        "study_description": _text(header, "StudyDescription"),
        "study_id": _text(header, "StudyID"),
        "referring_physician_name": _text(header, "ReferringPhysicianName"),
    }


def _text(header: Dataset, keyword: str) -> str:
    """Give a text as the log keeps it: an index takes none that is much longer on PostgreSQL."""
    return text_of(header, keyword)[:MAX_TEXT_LENGTH]


def _number(header: Dataset, keyword: str) -> str:
    """Give an integer string (VR IS) in the one way that a query asks for it."""
    text = _text(header, keyword)
    return str(int(text)) if _WHOLE_NUMBER.fullmatch(text) else text


def _kind(session: Session, header: Dataset) -> InstanceKind:
    is_in_our_log = exists().where(Result.sop_instance_uid == str(header.SOPInstanceUID))
    if session.scalar(select(is_in_our_log)) or is_own_result(header):
        return InstanceKind.OWN_RESULT
    return InstanceKind.IMAGE if is_image(header) else InstanceKind.NON_IMAGE


def _triage(header: Dataset) -> tuple[TriageReason | None, str]:
    try:
        triage(header)
    except UnsuitableInstance as unsuitable:
        return unsuitable.reason, unsuitable.detail
    return None, ""
