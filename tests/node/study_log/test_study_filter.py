"""Which studies a filter means, on both databases."""

from datetime import timedelta

import pytest

from log_entries import COMPREHENSIVE_SR, RECEIVED_AT, study_entry
from node.study_log.database import Database
from node.study_log.queries import count_studies, list_studies
from node.study_log.study_filter import StudyFilter, StudyOrder
from node.study_log.tables import StudyState

NAMES = ("Müller^Änne", "MULLER^Bert", "Yamada^Hanako=山田^花子=やまだ^はなこ", "O[x]ley^C%d_e", "")


@pytest.fixture
def log(database: Database) -> Database:
    """Five studies, received an hour apart, each of another patient."""
    with database.writing() as session:
        for number, name in enumerate(NAMES, start=1):
            study = study_entry(
                number,
                state=StudyState.RECEIVING if number == 5 else StudyState.COMPLETED,
                received_at=RECEIVED_AT + timedelta(hours=number),
            )
            study.patient_name = name
            study.patient_id = f"Id-{number}"
            study.study_date = f"2026030{number}" if number < 5 else ""
            for revision in study.revisions:
                revision.score = number / 10
                revision.model_version = "1.1.0" if number > 2 else "1.0.0"
            session.add(study)
    return database


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (StudyFilter(), "12345"),
        (StudyFilter(patient_name="mUeller*"), ""),
        (StudyFilter(patient_name="muller*"), "12"),
        (StudyFilter(patient_name="Müller^Änne^^"), "1"),
        (StudyFilter(patient_name="山田*"), "3"),
        (StudyFilter(patient_name="やまだ^はなこ"), "3"),
        (StudyFilter(patient_name="yamada^hanako"), "3"),
        (StudyFilter(patient_name="o[x]ley*"), "4"),
        (StudyFilter(patient_name="*c%d_e"), "4"),
        (StudyFilter(patient_name="?[x]*"), "4"),
        (StudyFilter(patient_name="*%*"), "4"),
        (StudyFilter(patient_name="*"), "12345"),
        (StudyFilter(patient_id="Id-?"), "12345"),
        (StudyFilter(patient_id="id-?"), ""),
        (StudyFilter(patient_id="Id-2"), "2"),
        (StudyFilter(patient_id="id-2"), ""),
        (StudyFilter(patient_id="Id_2"), ""),
        (StudyFilter(study_date_from="20260302", study_date_to="20260303"), "23"),
        (StudyFilter(study_date_to="20260302"), "12"),
        (StudyFilter(study_date_from="20260304"), "4"),
        (StudyFilter(received_from=RECEIVED_AT + timedelta(hours=4)), "45"),
        (StudyFilter(received_to=RECEIVED_AT + timedelta(hours=3)), "12"),
        (StudyFilter(states=[StudyState.RECEIVING]), "5"),
        (StudyFilter(score_from=0.2, score_to=0.3), "23"),
        (StudyFilter(is_suspicious=True, model_version="1.1.*"), "34"),
        (StudyFilter(modalities=["MG"]), "12345"),
        (StudyFilter(modalities=["CT"]), ""),
        (StudyFilter(modalities=["CT", "M?"]), "12345"),
        (StudyFilter(sop_class_uids=[COMPREHENSIVE_SR]), "1234"),
        (StudyFilter(sop_class_uids=["1.2.3"]), ""),
        (StudyFilter(calling_ae_title="MAMMO?"), "12345"),
    ],
)
def test_a_filter_means_the_studies_that_fit_all_of_it(
    log: Database, which: StudyFilter, expected: str
) -> None:
    with log.reading() as session:
        listed = list_studies(session, which, descending=False)
        count = count_studies(session, which)

    assert "".join(study.study_instance_uid[-1] for study in listed) == expected
    assert count == len(expected)


def test_studies_without_a_score_come_last_in_either_order(log: Database) -> None:
    with log.reading() as session:
        up, down = (
            list_studies(session, order=StudyOrder.SCORE, descending=descending)
            for descending in (False, True)
        )

    assert [study.study_instance_uid[-1] for study in up] == list("12345")
    assert [study.study_instance_uid[-1] for study in down] == list("43215")


def test_pages_together_are_the_whole_list(log: Database) -> None:
    with log.reading() as session:
        pages = [list_studies(session, limit=2, offset=offset) for offset in (0, 2, 4)]
        whole = list_studies(session, limit=None)

    assert tuple(study for page in pages for study in page) == whole
