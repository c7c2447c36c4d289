"""Studies and outcomes for tests: few of each, with days that are easy to count."""

from datetime import UTC, date, datetime, timedelta

from log_entries import study_entry
from node.study_log.outcomes import LoggedStudy, Outcome
from node.study_log.tables import OutcomeResult, OutcomeSource, Study, StudyState

STUDY_DAY = date(2024, 3, 4)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HEADING = "patient_id,issuer_of_patient_id,laterality,date,source,result\n"


def logged(number: int = 1, *, day: int = 0, **facts: object) -> LoggedStudy:
    """Make a study so many days after `STUDY_DAY`, with scores of both breasts."""
    known = {
        "patient_id": "P",
        "issuer_of_patient_id": "",
        "patient_birth_date": "19610203",
        "calling_ae_title": "MAMMO1",
        "revision_id": number,
        "score": 0.4,
        "score_right": 0.4,
        "score_left": 0.1,
        "is_suspicious": True,
        "model_version": "1",
        "weights_sha256": "",
        "weights": "",
    }
    return LoggedStudy(
        id=number,
        study_instance_uid=f"1.2.{number}",
        study_date=STUDY_DAY + timedelta(days=day),
        # By name, so that a test says only what it is about.
        **(known | facts),  # type: ignore[arg-type]
    )


def biopsy(
    result: str = "malignant",
    *,
    day: int = 20,
    laterality: str = "R",
    number: int = 1,
    **facts: str,
) -> Outcome:
    """Make a biopsy so many days after `STUDY_DAY`."""
    return _outcome(OutcomeSource.HISTOPATHOLOGY, result, day, laterality, number, facts)


def follow_up(*, day: int = 400, laterality: str = "R", number: int = 1, **facts: str) -> Outcome:
    """Make a follow-up without cancer so many days after `STUDY_DAY`."""
    return _outcome(OutcomeSource.FOLLOW_UP, "negative", day, laterality, number, facts)


def _outcome(
    source: OutcomeSource,
    result: str,
    day: int,
    laterality: str,
    number: int,
    facts: dict[str, str],
) -> Outcome:
    return Outcome(
        number=number,
        patient_id=facts.get("patient_id", "P"),
        issuer_of_patient_id=facts.get("issuer_of_patient_id", ""),
        date=STUDY_DAY + timedelta(days=day),
        laterality=laterality,
        source=source,
        result=OutcomeResult(result),
    )


def entry(
    number: int, patient_id: str = "P", *, day: int = 0, state: StudyState = StudyState.COMPLETED
) -> Study:
    """Make an entry of the log, so many days after `STUDY_DAY`; right 0.89, left 0.115."""
    study = study_entry(number, state=state)
    study.patient_id, study.issuer_of_patient_id = patient_id, ""
    study.study_date = f"{STUDY_DAY + timedelta(days=day):%Y%m%d}"
    return study
