"""The large log of benchmarks is a log as the node keeps it."""

from sqlalchemy import func, select

from large_logs import fill_log, patient_id, study_instance_uid
from log_entries import study_entry
from node.study_log.database import Database
from node.study_log.queries import count_studies, list_studies, read_study
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import DeliveryState, Instance, Revision, StudyState


def test_a_large_log_has_studies_in_every_condition(database: Database) -> None:
    fill_log(database, 600)

    with database.reading() as session:
        assert count_studies(session) == 600
        assert count_studies(session, StudyFilter(patient_id=patient_id(7))) == 2
        for state in StudyState:
            expected = state not in (StudyState.CANCELED, StudyState.DELETED)
            assert bool(count_studies(session, StudyFilter(states=[state]))) == expected
        assert 0 < count_studies(session, StudyFilter(is_suspicious=True)) < 300
        assert 2400 < (session.scalar(select(func.count(Instance.id))) or 0) < 3000
        assert session.scalar(select(func.max(Revision.number))) == 2
        study = read_study(session, study_instance_uid(300))
        (newest,) = list_studies(session, limit=1)

    assert newest.study_instance_uid == study_instance_uid(600)
    assert {delivery.state for delivery in study.deliveries} <= {
        DeliveryState.COMPLETED,
        DeliveryState.FAILED,
    }
    assert {result.kind for result in study.results} >= {"score_report", "summary_page"}
    assert [event.at for event in study.events] == sorted(event.at for event in study.events)


def test_the_node_can_go_on_writing_to_a_large_log(database: Database) -> None:
    fill_log(database, 20)

    with database.writing() as session:
        session.add(study_entry(1))

    with database.reading() as session:
        assert count_studies(session) == 21
