"""A file of outcomes into the log: once, whole, and linked as the log is when somebody asks."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from node.errors import PermanentError
from node.outcomes.importing import Imported, import_outcomes, read_file
from node.outcomes.link import Unmatched
from node.outcomes.listing import OutcomeState, list_outcomes
from node.settings import OutcomeSettings
from node.study_log.database import Database
from node.study_log.outcomes import withdraw_outcome
from node.study_log.tables import BreastOutcome, Study, StudyState
from outcome_logs import HEADING, NOW, entry

RULES = OutcomeSettings()
MALIGNANT = "P,,R,2024-03-20,histopathology,malignant\n"
BENIGN = "P,,R,2024-03-22,histopathology,benign\n"
NEGATIVE = "P,,B,2025-03-20,follow_up,negative\n"
STRANGER = "SECRET,,L,2024-03-20,histopathology,benign\n"


@pytest.fixture
def log(database: Database) -> Database:
    """Give a log with one analysed study of the patient P."""
    with database.writing() as session:
        session.add(entry(1))
    return database


def take(log: Database, folder: Path, rows: str, *, is_dry_run: bool = False) -> Imported:
    file = folder / "outcomes.csv"
    file.write_text(HEADING + rows, encoding="utf-8")
    given = read_file(file, today=NOW.date())
    return import_outcomes(log, given, RULES, by="someone", at=NOW, is_dry_run=is_dry_run)


def count(log: Database) -> int:
    with log.reading() as session:
        return session.scalar(select(func.count(BreastOutcome.id))) or 0


def states(log: Database) -> list[tuple[str, OutcomeState]]:
    return [(one.laterality, one.state) for one in list_outcomes(log, RULES).outcomes][::-1]


def test_a_file_is_imported_and_says_what_it_is_about(log: Database, tmp_path: Path) -> None:
    imported = take(log, tmp_path, MALIGNANT + NEGATIVE + STRANGER)

    assert (imported.rows, imported.outcomes, imported.added, imported.linked) == (3, 4, 4, 3)
    (unmatched,) = imported.unmatched
    assert (unmatched.row, unmatched.laterality) == ("row 4", "L")
    assert unmatched.reason is Unmatched.UNKNOWN_PATIENT
    assert states(log) == [
        ("R", OutcomeState.LINKED),
        ("R", OutcomeState.OVERRULED),
        ("L", OutcomeState.LINKED),
        ("L", OutcomeState.UNMATCHED),
    ]


def test_the_same_file_twice_changes_nothing(log: Database, tmp_path: Path) -> None:
    first = take(log, tmp_path, MALIGNANT + NEGATIVE + STRANGER)
    again = take(log, tmp_path, MALIGNANT + NEGATIVE + STRANGER)

    assert count(log) == 4
    assert (again.added, again.known) == (0, 4)
    assert (again.linked, again.unmatched) == (first.linked, first.unmatched)


def test_the_same_row_twice_in_a_file_is_imported_once(log: Database, tmp_path: Path) -> None:
    imported = take(log, tmp_path, MALIGNANT + MALIGNANT)

    assert (imported.outcomes, imported.added, count(log)) == (2, 1, 1)


def test_a_dry_run_says_the_same_and_writes_nothing(log: Database, tmp_path: Path) -> None:
    rows = MALIGNANT + BENIGN + NEGATIVE + STRANGER

    told = take(log, tmp_path, rows, is_dry_run=True)

    assert count(log) == 0
    done = take(log, tmp_path, rows)
    assert (told.added, told.linked) == (done.added, done.linked)
    assert (told.unmatched, told.conflicts) == (done.unmatched, done.conflicts)


def test_a_file_with_one_bad_row_is_not_imported_at_all(log: Database, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="nothing was imported"):
        take(log, tmp_path, MALIGNANT + "P,,X,2024-03-20,histopathology,malignant\n")

    assert count(log) == 0


def test_a_conflict_is_named_by_row_and_ends_when_one_is_withdrawn(
    log: Database, tmp_path: Path
) -> None:
    imported = take(log, tmp_path, MALIGNANT + BENIGN)

    assert [one.row for one in imported.conflicts] == ["row 2", "row 3"]
    assert {one.study_instance_uid for one in imported.conflicts} == {entry(1).study_instance_uid}
    assert [state for _, state in states(log)] == [OutcomeState.CONFLICT] * 2

    with log.writing() as session:
        assert withdraw_outcome(session, 2, reason="of another lesion", by="someone", at=NOW)
    assert [state for _, state in states(log)] == [OutcomeState.LINKED, OutcomeState.WITHDRAWN]
    assert take(log, tmp_path, BENIGN).added == 0
    assert [state for _, state in states(log)] == [OutcomeState.LINKED, OutcomeState.WITHDRAWN]


def test_a_conflict_with_an_earlier_file_is_told_when_the_later_one_comes(
    log: Database, tmp_path: Path
) -> None:
    take(log, tmp_path, MALIGNANT)

    assert [one.row for one in take(log, tmp_path, BENIGN).conflicts] == ["row 2"]


@pytest.mark.parametrize(("number", "reason"), [(99, "a reason"), (1, "  ")])
def test_withdrawing_needs_an_outcome_and_a_reason(
    log: Database, tmp_path: Path, number: int, reason: str
) -> None:
    take(log, tmp_path, MALIGNANT)

    with log.writing() as session, pytest.raises(PermanentError):
        withdraw_outcome(session, number, reason=reason, by="someone", at=NOW)


def test_an_outcome_is_linked_as_soon_as_its_study_is_analysed(
    log: Database, tmp_path: Path
) -> None:
    take(log, tmp_path, STRANGER)
    with log.writing() as session:
        session.add(entry(2, "SECRET", state=StudyState.SCHEDULED))
    (waiting,) = list_outcomes(log, RULES).outcomes
    with log.writing() as session:
        session.add(entry(3, "SECRET"))

    (linked,) = list_outcomes(log, RULES).outcomes

    assert waiting.reason == Unmatched.NOT_ANALYSED
    assert (linked.state, linked.studies) == (
        OutcomeState.LINKED,
        (entry(3).study_instance_uid,),
    )


def test_a_study_that_is_deleted_takes_part_in_nothing(log: Database, tmp_path: Path) -> None:
    take(log, tmp_path, MALIGNANT)
    with log.writing() as session:
        session.scalars(select(Study)).one().state = StudyState.DELETED

    assert states(log) == [("R", OutcomeState.UNMATCHED)]


def test_a_list_can_be_narrowed_and_counts_all(log: Database, tmp_path: Path) -> None:
    take(log, tmp_path, MALIGNANT + STRANGER)

    listed = list_outcomes(log, RULES, states=[OutcomeState.UNMATCHED])

    assert [one.number for one in listed.outcomes] == [2]
    assert listed.counts == {OutcomeState.LINKED: 1, OutcomeState.UNMATCHED: 1}


def test_no_patient_reaches_the_log_lines(
    log: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        imported = take(log, tmp_path, STRANGER)

    (record,) = [one for one in caplog.records if one.message == "Outcomes imported"]
    assert "SECRET" not in str(vars(record)) + str(imported)


def test_a_patient_has_one_random_pseudonym_in_every_file(log: Database, tmp_path: Path) -> None:
    take(log, tmp_path, MALIGNANT + STRANGER)
    take(log, tmp_path, NEGATIVE)

    with log.reading() as session:
        rows = session.execute(select(BreastOutcome.patient_id, BreastOutcome.pseudonym)).all()
    assert len(set(rows)) == 2
    assert len({pseudonym for _, pseudonym in rows}) == 2
    assert all(len(pseudonym) == 16 for _, pseudonym in rows)


def test_a_file_that_is_json_is_read_as_reports(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.txt"
    file.write_text('\ufeff  {"resourceType": "Patient"}', encoding="utf-8")

    with pytest.raises(PermanentError, match="DiagnosticReport"):
        read_file(file, today=NOW.date() + timedelta(days=1))


def test_a_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="cannot be read: Is a directory"):
        read_file(tmp_path, today=NOW.date())
