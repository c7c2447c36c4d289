"""Corrections of the patient that a person entered: what holds for a study in the end."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType

from node.study_log.tables import Study

PATIENT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "PatientID": "patient_id",
        "IssuerOfPatientID": "issuer_of_patient_id",
        "PatientName": "patient_name",
        "PatientBirthDate": "patient_birth_date",
        "PatientSex": "patient_sex",
    }
)
"""What can be corrected: keyword, and the column of `Study` that holds it."""


def corrections_of(study: Study) -> dict[str, str]:
    """Give what the instances of a study are to say of the patient, by keyword.

    Empty where nobody corrected anything; of several corrections the last one counts, attribute by
    attribute. It holds for instances that come later too.
    """
    corrected: dict[str, str] = {}
    for correction in study.corrections:
        corrected |= {keyword: str(value) for keyword, value in correction.after.items()}
    return corrected


def apply_to_row(study: Study) -> None:
    """Let the row of a study say what its corrections say, after an instance was read into it."""
    for keyword, value in corrections_of(study).items():
        setattr(study, PATIENT_COLUMNS[keyword], value)


def corrected_sha256(dataset_sha256: str, corrections: Mapping[str, str]) -> str:
    """Give the hash that stands for a data set with its corrections.

    The UIDs of results are derived from it: the same image of another patient makes other results.

    Parameters
    ----------
    dataset_sha256
        Of the data set as it came.
    corrections
        By keyword; none leave the hash as it is.
    """
    if not corrections:
        return dataset_sha256
    text = json.dumps([dataset_sha256, sorted(corrections.items())], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
