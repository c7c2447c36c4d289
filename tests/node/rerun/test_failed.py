"""What failed and is tried again, and what is refused."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from log_entries import RECEIVED_AT, add_delivery, study_entry
from node.errors import PermanentError, UnknownStudy
from node.rerun.analysis import reanalyse
from node.rerun.failed import retry
from node.study_log.answers import StudyAnswer
from node.study_log.database import Database
from node.study_log.queries import read_study
from node.study_log.tables import (
    CloseReason,
    DeliveryState,
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


def test_a_study_that_is_not_in_the_log_is_unknown(database: Database, queue: WorkQueue) -> None:
    with pytest.raises(UnknownStudy):
        retry(database, queue, study_instance_uid="1.2.3", at=NOW)


def test_nothing_is_written_where_nothing_can_be_queued(database: Database) -> None:
    write(database, study_entry(1, state=StudyState.FAILED, reason="why"))

    with pytest.raises(PermanentError, match="the queue is broken"):
        retry(database, FailingQueue(""), study_instance_uid=UID, at=NOW)

    answer = read(database)
    assert answer.summary.state is StudyState.FAILED
    assert answer.revisions[0].reason == "why"
    assert answer.events[-1].event != "retry_requested"
