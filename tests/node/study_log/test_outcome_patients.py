"""Outcomes of the log when their patient is corrected or merged, or a study is deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bench import Bench
from node.keeping.deletion import delete_study
from node.keeping.patients import Patient, correct, merge
from node.outcomes.listing import OutcomeState, list_outcomes
from node.study_log.outcomes import Outcome, add_outcomes, known_keys, read_outcomes
from node.study_log.tables import BreastOutcome, Event, Study, StudyState
from outcome_logs import NOW, biopsy, entry, follow_up


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    """Give a log with a study of the patient P and one of the patient Q."""
    bench = Bench(tmp_path, url=either_database)
    with bench.database.writing() as session:
        session.add_all([entry(1, "P"), entry(2, "Q")])
    yield bench
    bench.close()


def add(bench: Bench, *outcomes: Outcome) -> None:
    with bench.database.writing() as session:
        add_outcomes(session, outcomes, by="someone", at=NOW)


def rows(bench: Bench) -> list[BreastOutcome]:
    with bench.database.reading() as session:
        return list(session.scalars(select(BreastOutcome).order_by(BreastOutcome.id)))


def patients(bench: Bench) -> list[str | None]:
    return [row.patient_id for row in rows(bench)]


def states(bench: Bench) -> list[OutcomeState]:
    listed = list_outcomes(bench.database, bench.settings.outcomes).outcomes
    return [one.state for one in listed][::-1]


def delete(bench: Bench, number: int) -> None:
    delete_study(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=entry(number).study_instance_uid,
        reason="a test",
        by="someone",
        at=NOW,
    )


def correct_(bench: Bench, after: dict[str, str], *, study: int | None = None) -> None:
    correct(
        bench.database,
        bench.queue,
        Patient(patient_id="P"),
        after,
        reason="a test",
        by="someone",
        at=NOW,
        study_instance_uid=None if study is None else entry(study).study_instance_uid,
    )


def test_a_merge_takes_the_outcomes_along_and_keeps_none_twice(bench: Bench) -> None:
    add(bench, biopsy(), follow_up(), biopsy(patient_id="Q"))
    pseudonym = rows(bench)[2].pseudonym

    merge(
        bench.database,
        bench.queue,
        Patient(patient_id="P"),
        Patient(patient_id="Q"),
        reason="a test",
        by="someone",
        at=NOW,
    )

    assert patients(bench) == ["Q", "Q"]
    assert {row.pseudonym for row in rows(bench)} == {pseudonym}
    with bench.database.reading() as session:
        assert len(known_keys(session)) == 2


def test_a_patient_who_is_written_otherwise_keeps_her_outcomes(bench: Bench) -> None:
    add(bench, biopsy(), biopsy(day=30, issuer_of_patient_id="X"))
    pseudonym = rows(bench)[0].pseudonym

    correct_(bench, {"PatientID": "P-1", "IssuerOfPatientID": "Y"})

    assert [(row.patient_id, row.issuer_of_patient_id) for row in rows(bench)] == [
        ("P-1", ""),
        ("P-1", "Y"),
    ]
    assert {row.pseudonym for row in rows(bench)} == {pseudonym}


def test_a_correction_of_the_name_moves_nothing(bench: Bench) -> None:
    add(bench, biopsy())

    correct_(bench, {"PatientName": "Right^Name"})

    assert patients(bench) == ["P"]


def test_a_study_that_was_somebody_elses_leaves_the_outcomes_where_they_are(bench: Bench) -> None:
    add(bench, biopsy())

    correct_(bench, {"PatientID": "R"}, study=1)

    assert patients(bench) == ["P"]
    assert states(bench) == [OutcomeState.UNMATCHED]


def test_the_last_study_of_a_patient_empties_her_outcomes(bench: Bench) -> None:
    add(bench, biopsy(), follow_up(issuer_of_patient_id="X"), biopsy(patient_id="Q"))

    delete(bench, 1)

    emptied = rows(bench)[0]
    assert patients(bench) == [None, None, "Q"]
    assert (emptied.issuer_of_patient_id, emptied.pseudonym, emptied.emptied_at) == ("", "", NOW)
    assert states(bench)[0] is OutcomeState.EMPTIED
    with bench.database.reading() as session:
        assert [one.patient_id for one in read_outcomes(session)] == ["Q"]
        event = session.scalars(select(Event).where(Event.event == "study_deleted")).one()
        assert event.fields == {"by": "someone", "outcomes": 2}


def test_two_emptied_outcomes_of_a_kind_stand_beside_each_other(bench: Bench) -> None:
    add(bench, biopsy(), biopsy(patient_id="Q"))

    delete(bench, 1)
    delete(bench, 2)

    assert patients(bench) == [None, None]


def test_an_outcome_that_can_be_about_another_study_keeps_its_patient(bench: Bench) -> None:
    with bench.database.writing() as session:
        session.add(entry(3, "P", day=300))
    add(bench, biopsy(day=20), biopsy(day=310))

    delete(bench, 1)

    assert patients(bench) == [None, "P"]
    assert states(bench) == [OutcomeState.EMPTIED, OutcomeState.LINKED]


def test_another_issuers_patient_is_not_touched(bench: Bench) -> None:
    with bench.database.writing() as session:
        study = session.scalars(select(Study).where(Study.patient_id == "P")).one()
        study.issuer_of_patient_id = "X"
    add(bench, biopsy(issuer_of_patient_id="Y"), biopsy(issuer_of_patient_id="X"))

    delete(bench, 1)

    assert [row.issuer_of_patient_id for row in rows(bench)] == ["Y", ""]


def test_what_was_emptied_comes_in_again_as_new(bench: Bench) -> None:
    add(bench, biopsy())
    delete(bench, 1)

    with bench.database.reading() as session:
        assert biopsy().key not in known_keys(session)
    add(bench, biopsy())
    with bench.database.writing() as session:
        study = session.scalars(select(Study).where(Study.patient_id == "")).one()
        study.patient_id, study.state = "P", StudyState.COMPLETED
        study.study_date = entry(1).study_date

    assert states(bench) == [OutcomeState.EMPTIED, OutcomeState.LINKED]
