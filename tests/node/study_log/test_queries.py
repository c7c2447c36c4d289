"""What the study log answers, whoever asks."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from databases import SqliteLogs
from log_entries import (
    RECEIVED_AT,
    add_conflict,
    add_delivery,
    revision_entry,
    study_entry,
)
from node.errors import UnknownStudy
from node.study_log.database import Database
from node.study_log.queries import (
    count_studies,
    find_study_instance_uid,
    list_studies,
    read_study,
)
from node.study_log.study_filter import StudyFilter, StudyOrder
from node.study_log.tables import DeliveryState, StudyState


def test_the_study_that_was_received_last_is_listed_first(database: Database) -> None:
    with database.writing() as session:
        for number in (1, 2, 3):
            at = RECEIVED_AT + timedelta(hours=number % 3)
            session.add(study_entry(number, received_at=at))

    with database.reading() as session:
        listed = [study.study_instance_uid[-1] for study in list_studies(session)]

    assert listed == ["2", "1", "3"]


def test_a_list_can_be_narrowed_to_states_and_cut(database: Database) -> None:
    with database.writing() as session:
        session.add(study_entry(1, state=StudyState.FAILED))
        session.add(study_entry(2, state=StudyState.RECEIVING))
        session.add(study_entry(3, state=StudyState.COMPLETED))

    with database.reading() as session:
        failed = list_studies(session, StudyFilter(states=[StudyState.FAILED]))
        two = list_studies(session, limit=2)

        assert [study.state for study in failed] == [StudyState.FAILED]
        assert len(two) == 2
        assert count_studies(session) == 3
        two_states = StudyFilter(states=[StudyState.FAILED, StudyState.RECEIVING])
        assert count_studies(session, two_states) == 2


def test_a_summary_is_of_the_newest_revision(database: Database) -> None:
    with database.writing() as session:
        study = study_entry(1)
        add_delivery(study.revisions[0], "pacs", DeliveryState.FAILED)
        study.revisions.append(revision_entry(study, number=2, state=StudyState.COMPLETED))
        add_delivery(study.revisions[1], "pacs", DeliveryState.PENDING)
        session.add(study)

    with database.reading() as session:
        (summary,) = list_studies(session)

    assert summary.revision is not None
    assert summary.revision.number == 2
    assert summary.instances == 5
    assert summary.failed_deliveries == 0
    assert summary.open_deliveries == 1


def test_a_study_that_is_received_has_no_revision(database: Database) -> None:
    with database.writing() as session:
        session.add(study_entry(1, state=StudyState.RECEIVING))

    with database.reading() as session:
        (summary,) = list_studies(session)
        answer = read_study(session, summary.study_instance_uid)

    assert summary.revision is None
    assert answer.revisions == ()
    assert [instance.score for instance in answer.instances] == [None] * 5


def test_a_study_is_answered_whole(database: Database) -> None:
    with database.writing() as session:
        study = study_entry(1)
        add_delivery(study.revisions[0], "pacs", DeliveryState.COMPLETED)
        add_delivery(
            study.revisions[0],
            "viewer",
            DeliveryState.FAILED,
            reason="refused",
            statuses=(0x0000, 0xA700, None, None, None),
        )
        add_conflict(study.instances[0])
        session.add(study)
        uid = study.study_instance_uid

    with database.reading() as session:
        answer = read_study(session, uid)

    right_cc, *_, tomosynthesis = answer.instances
    assert (right_cc.laterality, right_cc.view_position, right_cc.score) == ("R", "CC", 0.91)
    assert tomosynthesis.triage_reason == "tomosynthesis"
    assert tomosynthesis.score is None
    assert [result.kind for result in answer.results] == ["score_report"] + ["heat_map"] * 4
    pacs, viewer = answer.deliveries
    assert (pacs.acknowledged, pacs.objects, pacs.statuses) == (5, 5, (0x0000,))
    assert (viewer.acknowledged, viewer.statuses, viewer.reason) == (1, (0x0000, 0xA700), "refused")
    assert answer.conflicts[0].differing_keywords == ("PatientName", "PixelData")
    assert answer.events[0].event == "study_opened"


def test_no_answer_holds_a_patient_attribute(database: Database) -> None:
    with database.writing() as session:
        session.add(study_entry(1))

    with database.reading() as session:
        (summary,) = list_studies(session)
        answer = read_study(session, summary.study_instance_uid)

    assert "SECRET" not in str(asdict(answer))
    assert "19610203" not in str(asdict(answer))


def test_a_list_takes_one_statement_however_many_studies_there_are(database: Database) -> None:
    with database.writing() as session:
        session.add_all(study_entry(number) for number in range(1, 6))
    statements: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_rest: statements.append(statement),
    )

    with database.reading() as session:
        list_studies(session)

    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1


@pytest.mark.parametrize(
    ("which", "order", "index"),
    [
        (StudyFilter(), StudyOrder.RECEIVED, "ix_study_last_received_at"),
        (StudyFilter(states=[StudyState.FAILED]), StudyOrder.RECEIVED, "ix_study_state_received"),
        (
            StudyFilter(calling_ae_title="MAMMO1"),
            StudyOrder.RECEIVED,
            "ix_study_calling_ae_title_received",
        ),
        (StudyFilter(patient_id="1"), StudyOrder.RECEIVED, "ix_study_patient"),
        (StudyFilter(accession_number="1"), StudyOrder.RECEIVED, "ix_study_accession_number"),
        (StudyFilter(study_date_from="20260301"), StudyOrder.STUDY_DATE, "ix_study_study_date"),
        (StudyFilter(), StudyOrder.SCORE, "ix_revision_newest_score"),
    ],
)
def test_a_page_of_a_list_is_found_by_an_index(
    sqlite_logs: SqliteLogs, tmp_path: Path, which: StudyFilter, order: StudyOrder, index: str
) -> None:
    database = Database(sqlite_logs.fresh(tmp_path))
    asked: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, values, *_rest: asked.append((statement, values)),
    )

    with database.reading() as session:
        list_studies(session, which, order=order, limit=20)
        statement, values = asked[-1]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    database.close()

    steps = [step for *_, step in plan]
    assert any(index in step for step in steps), steps


def test_a_study_is_found_by_its_uid_or_by_an_ending_that_no_other_has(database: Database) -> None:
    with database.writing() as session:
        session.add_all(study_entry(number) for number in (1, 12))

    with database.reading() as session:
        whole = find_study_instance_uid(
            session, "1.2.826.0.1.3680043.8.498.55500000000000000000001"
        )

        assert whole == "1.2.826.0.1.3680043.8.498.55500000000000000000001"
        assert find_study_instance_uid(session, "…012").endswith("012")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9", "No study 9 in the log"),
        ("2", "2 studies end in 2; give more of the UID"),
        ("…", "No study"),
        ("%", "No study"),
    ],
)
def test_a_study_that_is_not_named_clearly_is_unknown(
    database: Database, text: str, message: str
) -> None:
    with database.writing() as session:
        session.add_all(study_entry(number) for number in (2, 12))

    with database.reading() as session, pytest.raises(UnknownStudy, match=message):
        find_study_instance_uid(session, text)


def test_a_study_that_is_not_there_cannot_be_read(database: Database) -> None:
    with database.reading() as session, pytest.raises(UnknownStudy):
        read_study(session, "1.2.3")
