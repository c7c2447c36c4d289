"""What the study log keeps of an instance, by its header alone."""

from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from model.views import read_view
from node.errors import TriageReason, UnsuitableInstance
from node.header import text_of
from node.intake.rejection import rejected_as
from node.intake.triage import is_image, is_own_result, triage
from node.study_log.tables import InstanceKind, Result


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
    reason, detail = rejected_as(session, str(header.SOPInstanceUID)) or _triage(header)
    return {
        "sop_class_uid": str(header.SOPClassUID),
        "series_instance_uid": str(header.SeriesInstanceUID),
        "series_number": text_of(header, "SeriesNumber"),
        "series_description": text_of(header, "SeriesDescription"),
        "instance_number": text_of(header, "InstanceNumber"),
        "kind": _kind(session, header),
        "modality": text_of(header, "Modality"),
        "laterality": view.laterality,
        "view_position": view.view_position,
        "triage_reason": reason,
        "triage_detail": detail,
    }


def patient_facts(header: Dataset) -> dict[str, str]:
    """Give the columns of `Study` that speak of the patient, and of the examination."""
    return {
        "patient_id": text_of(header, "PatientID"),
        "issuer_of_patient_id": text_of(header, "IssuerOfPatientID"),
        "patient_name": text_of(header, "PatientName"),
        "patient_birth_date": text_of(header, "PatientBirthDate"),
        "patient_sex": text_of(header, "PatientSex"),
        "accession_number": text_of(header, "AccessionNumber"),
        "study_date": text_of(header, "StudyDate"),
        "study_time": text_of(header, "StudyTime"),
        "study_description": text_of(header, "StudyDescription"),
        "study_id": text_of(header, "StudyID"),
        "referring_physician_name": text_of(header, "ReferringPhysicianName"),
    }


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
