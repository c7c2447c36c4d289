"""What a person can ask to be done again, and what is refused."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from log_entries import RECEIVED_AT, add_delivery, revision_entry, study_entry
from model.errors import WeightsError
from node.errors import PermanentError, UnknownStudy
from node.rerun import reanalyse, retry, retry_deliveries
from node.study_log.answers import StudyAnswer
from node.study_log.database import Database
from node.study_log.queries import read_study
from node.study_log.tables import (
    CloseReason,
    Delivery,
    DeliveryState,
    Event,
    InstanceKind,
    Result,
    Revision,
    Study,
    StudyState,
)
from node.work_queue import WorkQueue

NOW = RECEIVED_AT + timedelta(days=1)
UID = study_entry(1).study_instance_uid


class FailingQueue(WorkQueue):
    """A queue that cannot take work."""

    def enqueue_analysis(self, session: Session, **_ids: object) -> None:
        raise PermanentError(reason="the queue is broken")


def write(database: Database, study: Study) -> None:
    with database.writing() as session:
        session.add(study)


def read(database: Database) -> StudyAnswer:
    with database.reading() as session:
        return read_study(session, UID)


def test_a_failed_analysis_is_queued_again_under_the_next_attempt(
    database: Database, queue: WorkQueue
) -> None:
    write(database, study_entry(1, state=StudyState.FAILED, reason="no space left"))

    rerun = retry(database, queue, study_instance_uid=UID, at=NOW)

    answer = read(database)
    assert (rerun.revision, rerun.attempt) == (1, 2)
    assert queue.waiting_or_running() == {f"analysis/{UID}/1/2"}
    assert answer.summary.state is StudyState.SCHEDULED
    assert answer.revisions[0].state is StudyState.SCHEDULED
    assert answer.revisions[0].reason == ""
    assert answer.events[-1].event == "retry_requested"
    assert answer.events[-1].at == NOW


def test_a_failure_that_was_reported_is_followed_by_another_revision_of_the_same_images(
    database: Database, queue: WorkQueue
) -> None:
    study = study_entry(1, state=StudyState.FAILED, reason="no space left")
    (failed,) = study.revisions
    failed.weights = "/weights"
    failed.results.append(
        Result(
            kind="score_report",
            index=0,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
            sop_instance_uid="2.25.1",
            series_instance_uid="2.25.2",
            path="studies/x/results/1/2.25.1.dcm",
            size_bytes=10,
            created_at=RECEIVED_AT,
        )
    )
    images = {outcome.instance.sop_instance_uid for outcome in failed.outcomes}
    write(database, study)

    rerun = retry(database, queue, study_instance_uid=UID, at=NOW)

    assert (rerun.revision, rerun.attempt) == (2, 1)
    assert queue.waiting_or_running() == {f"analysis/{UID}/2/1"}
    with database.reading() as session:
        first, second = session.scalars(select(Revision).order_by(Revision.number)).all()
        assert (first.state, first.reason) == (StudyState.FAILED, "no space left")
        assert (second.state, second.close_reason) == (StudyState.SCHEDULED, CloseReason.RETRY)
        assert (second.closed_at, second.weights) == (NOW, "/weights")
        assert {one.instance.sop_instance_uid for one in second.outcomes} == images


def test_failed_deliveries_become_due_and_others_stay_as_they_are(
    database: Database, queue: WorkQueue
) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.COMPLETED)
    add_delivery(study.revisions[0], "viewer", DeliveryState.FAILED, reason="rejected")
    write(database, study)

    rerun = retry(database, queue, study_instance_uid=UID, at=NOW)

    pacs, viewer = read(database).deliveries
    assert rerun.attempt is None
    assert rerun.destinations == ("viewer",)
    assert pacs.state is DeliveryState.COMPLETED
    assert (viewer.state, viewer.due_at, viewer.reason) == (DeliveryState.PENDING, NOW, "")
    assert read(database).summary.state is StudyState.COMPLETED
    assert queue.waiting_or_running() == frozenset()


def test_all_that_failed_to_go_to_a_destination_becomes_due_at_once(database: Database) -> None:
    studies = [study_entry(number) for number in (1, 2, 3)]
    add_delivery(studies[0].revisions[0], "pacs", DeliveryState.FAILED, reason="unreachable")
    add_delivery(studies[0].revisions[0], "viewer", DeliveryState.FAILED, reason="rejected")
    add_delivery(studies[1].revisions[0], "pacs", DeliveryState.FAILED, reason="unreachable")
    add_delivery(studies[2].revisions[0], "pacs", DeliveryState.COMPLETED)
    with database.writing() as session:
        session.add_all(studies)

    reruns = retry_deliveries(database, destination="pacs", at=NOW)

    assert [rerun.study_instance_uid for rerun in reruns] == [
        study.study_instance_uid for study in studies[:2]
    ]
    with database.reading() as session:
        deliveries = session.scalars(select(Delivery).order_by(Delivery.id)).all()
        assert [(row.destination, row.state) for row in deliveries] == [
            ("pacs", DeliveryState.PENDING),
            ("viewer", DeliveryState.FAILED),
            ("pacs", DeliveryState.PENDING),
            ("pacs", DeliveryState.COMPLETED),
        ]
        assert deliveries[0].due_at == NOW
        events = session.scalars(select(Event).where(Event.event == "retry_requested")).all()
        assert [event.fields["destinations"] for event in events] == [["pacs"], ["pacs"]]


def test_what_a_newer_revision_has_taken_the_place_of_is_not_sent_any_more(
    database: Database,
) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.FAILED)
    study.revisions.append(revision_entry(study, number=2, state=StudyState.COMPLETED))
    add_delivery(study.revisions[1], "pacs", DeliveryState.COMPLETED)
    write(database, study)

    assert retry_deliveries(database, destination="pacs", at=NOW) == ()


def test_results_of_a_study_that_is_received_again_wait_for_the_newer_ones(
    database: Database,
) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.FAILED)
    study.state = StudyState.RECEIVING
    write(database, study)

    assert retry_deliveries(database, destination="pacs", at=NOW) == ()


@pytest.mark.parametrize("state", [StudyState.COMPLETED, StudyState.SKIPPED])
def test_what_has_not_failed_is_not_tried_again(
    database: Database, queue: WorkQueue, state: StudyState
) -> None:
    write(database, study_entry(1, state=state))

    with pytest.raises(PermanentError, match=r"Nothing of study .* failed"):
        retry(database, queue, study_instance_uid=UID, at=NOW)


@pytest.mark.parametrize("state", [StudyState.SCHEDULED, StudyState.IN_PROGRESS])
def test_what_is_under_way_is_left_alone(
    database: Database, queue: WorkQueue, state: StudyState
) -> None:
    write(database, study_entry(1, state=state))

    with pytest.raises(PermanentError, match=f"is {state.value}: wait until it has ended"):
        retry(database, queue, study_instance_uid=UID, at=NOW)
    with pytest.raises(PermanentError, match=f"is {state.value}: wait until it has ended"):
        reanalyse(database, queue, study_instance_uid=UID, weights="", at=NOW)

    assert read(database).summary.state is state


def test_a_study_that_is_still_received_has_nothing_to_analyse_again(
    database: Database, queue: WorkQueue
) -> None:
    write(database, study_entry(1, state=StudyState.RECEIVING))

    with pytest.raises(PermanentError, match="has no image to analyse yet"):
        reanalyse(database, queue, study_instance_uid=UID, weights="", at=NOW)


def test_a_study_that_is_not_in_the_log_is_unknown(database: Database, queue: WorkQueue) -> None:
    with pytest.raises(UnknownStudy):
        retry(database, queue, study_instance_uid="1.2.3", at=NOW)


def test_reanalysis_is_a_new_revision_of_all_images(database: Database, queue: WorkQueue) -> None:
    study = study_entry(1)
    study.instances[4].kind = InstanceKind.OWN_RESULT.value
    write(database, study)

    rerun = reanalyse(database, queue, study_instance_uid=UID, weights="", at=NOW)

    answer = read(database)
    assert (rerun.revision, rerun.attempt) == (2, 1)
    assert queue.waiting_or_running() == {f"analysis/{UID}/2/1"}
    assert answer.summary.state is StudyState.SCHEDULED
    first, second = answer.revisions
    assert first.state is StudyState.COMPLETED
    assert (second.state, second.closed_at, second.score) == (StudyState.SCHEDULED, NOW, None)
    with database.reading() as session:
        rows = session.get_one(Study, 1).revisions[1].outcomes
        assert [row.instance.view_position for row in rows] == ["CC", "CC", "MLO", "MLO"]


def test_weights_that_cannot_be_used_queue_nothing(
    database: Database, queue: WorkQueue, tmp_path: Path
) -> None:
    write(database, study_entry(1))

    with pytest.raises(WeightsError):
        reanalyse(database, queue, study_instance_uid=UID, weights=str(tmp_path / "no"), at=NOW)

    assert len(read(database).revisions) == 1
    assert queue.waiting_or_running() == frozenset()


def test_nothing_is_written_where_nothing_can_be_queued(database: Database) -> None:
    write(database, study_entry(1, state=StudyState.FAILED, reason="why"))

    with pytest.raises(PermanentError, match="the queue is broken"):
        retry(database, FailingQueue(""), study_instance_uid=UID, at=NOW)

    answer = read(database)
    assert answer.summary.state is StudyState.FAILED
    assert answer.revisions[0].reason == "why"
    assert answer.events[-1].event != "retry_requested"
