"""Which results the unique keys of a retrieval mean, on either database."""

from datetime import timedelta

import pytest

from log_entries import RECEIVED_AT, revision_entry, study_entry
from node.study_log.database import Database
from node.study_log.stored_results import (
    ResultKeys,
    find_results,
    is_one_from_outside,
    is_one_under_way,
    issuers_of,
)
from node.study_log.tables import Gone, Study, StudyState

UID = study_entry(1).study_instance_uid
SERIES_OF_HEAT_MAPS = "2.25.911"


def write(database: Database, *studies: Study) -> None:
    with database.writing() as session:
        session.add_all(studies)


def found(database: Database, limit: int = 100, **keys: object) -> list[str]:
    with database.reading() as session:
        # Keys by name: the callers differ in which they give.
        results = find_results(session, ResultKeys(**keys), limit=limit)  # type: ignore[arg-type]
        return [result.sop_instance_uid for result in results]


def test_each_level_narrows_what_is_meant(database: Database) -> None:
    write(database, study_entry(1), study_entry(2))

    assert len(found(database, patient_id="SECRET-ID")) == 10
    assert len(found(database, patient_id="secret-id")) == 0
    assert len(found(database, study_instance_uids=[UID])) == 5
    of_series = found(
        database, study_instance_uids=[UID], series_instance_uids=[SERIES_OF_HEAT_MAPS]
    )
    assert of_series == ["2.25.111", "2.25.112", "2.25.113", "2.25.114"]
    assert found(
        database, study_instance_uids=[UID], sop_instance_uids=["2.25.114", "2.25.211"]
    ) == ["2.25.114"]
    assert len(found(database, limit=3, study_instance_uids=[UID])) == 3


def test_results_of_an_earlier_revision_are_meant_by_their_own_uid_alone(
    database: Database,
) -> None:
    study = study_entry(1)
    study.revisions.append(revision_entry(study, number=2, state=StudyState.COMPLETED))
    write(database, study)

    assert all(uid.startswith("2.25.12") for uid in found(database, study_instance_uids=[UID]))
    assert found(database, sop_instance_uids=["2.25.110"]) == ["2.25.110"]


def test_an_object_of_two_revisions_is_meant_once_and_by_the_file_that_is_here(
    database: Database,
) -> None:
    study = study_entry(1)
    newer = revision_entry(study, number=2, state=StudyState.COMPLETED)
    study.revisions.append(newer)
    older_row, newer_row = study.revisions[0].results[1], newer.results[1]
    newer_row.sop_instance_uid = older_row.sop_instance_uid
    newer_row.removed_at, newer_row.removed_because = RECEIVED_AT + timedelta(days=1), Gone.LOST
    write(database, study)

    with database.reading() as session:
        keys = ResultKeys(sop_instance_uids=[older_row.sop_instance_uid])
        (result,) = find_results(session, keys, limit=10)

    assert result.removed_at is None
    assert result.path == older_row.path


@pytest.mark.parametrize(
    ("state", "is_so"),
    [
        (StudyState.RECEIVING, True),
        (StudyState.SCHEDULED, True),
        (StudyState.IN_PROGRESS, True),
        (StudyState.COMPLETED, False),
        (StudyState.FAILED, False),
        (StudyState.CANCELED, False),
        (StudyState.DELETED, False),
    ],
)
def test_a_study_is_under_way_until_it_has_ended(
    database: Database, state: StudyState, is_so: bool
) -> None:
    write(database, study_entry(1, state=state))

    with database.reading() as session:
        assert is_one_under_way(session, ResultKeys(study_instance_uids=[UID])) is is_so
        assert not is_one_under_way(session, ResultKeys(study_instance_uids=["1.2.3"]))


def test_issuers_tell_patients_of_one_id_apart(database: Database) -> None:
    first, second = study_entry(1), study_entry(2)
    second.issuer_of_patient_id = "ELSEWHERE"
    write(database, first, second)

    with database.reading() as session:
        issuers = issuers_of(session, ResultKeys(patient_id="SECRET-ID"))

    assert issuers == {"SECRET-ISSUER", "ELSEWHERE"}


def test_what_came_from_outside_is_known_as_such(database: Database) -> None:
    write(database, study_entry(1))

    with database.reading() as session:
        for keys, is_so in (
            (ResultKeys(study_instance_uids=[UID], series_instance_uids=[f"{UID}.1"]), True),
            (ResultKeys(study_instance_uids=[UID], sop_instance_uids=[f"{UID}.1.1"]), True),
            (ResultKeys(study_instance_uids=[UID], sop_instance_uids=["2.25.110"]), False),
        ):
            assert is_one_from_outside(session, keys) is is_so
