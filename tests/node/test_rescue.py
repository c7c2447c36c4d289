"""Work that a worker has taken and does not know of, with the real engine on both databases."""

import threading
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from log_entries import add_delivery, study_entry
from node.rescue import FORSAKEN_S, ForsakenWork
from node.study_log.database import Database
from node.study_log.tables import DeliveryState, StudyState
from node.work_queue import AnalysisWork, Checkpoint, DeliveryWork, Work, WorkQueue, engine_table
from peers import wait_until

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SLOT = "worker-1"


class Handlers:
    """Take down what they are given, and hold it until the test lets go."""

    def __init__(self) -> None:
        self.begun: list[Work] = []
        self.may_end = threading.Event()

    def analyse(self, work: AnalysisWork, _checkpoint: Checkpoint) -> None:
        self._hold(work)

    def deliver(self, work: DeliveryWork) -> None:
        self._hold(work)

    def failed(self, work: Work, error: Exception) -> None:
        raise AssertionError from error

    def _hold(self, work: Work) -> None:
        self.begun.append(work)
        assert self.may_end.wait(30)


def _add_study(database: Database, state: StudyState) -> str:
    study = study_entry(state=state)
    if state is StudyState.COMPLETED:
        delivery = add_delivery(
            study.revisions[0], "pacs", DeliveryState.PENDING, statuses=(None,) * 5
        )
        delivery.due_at, delivery.ended_at, delivery.attempt = START, None, 0
    with database.writing() as session:
        session.add(study)
    return study.study_instance_uid


def _take_without_beginning(session: Session, work: Work) -> None:
    """Commit what a worker commits that takes work, as if it heard that it failed."""
    table = engine_table(session.get_bind().dialect.name, "workflow_status")
    session.execute(
        sa.text(
            f"UPDATE {table} SET status = 'PENDING', executor_id = :slot WHERE workflow_uuid = :id"
        ),
        {"slot": SLOT, "id": work.workflow_id},
    )


def test_an_analysis_that_was_taken_and_never_begun_is_given_anew(
    database: Database, queue: WorkQueue
) -> None:
    uid = _add_study(database, StudyState.SCHEDULED)
    first = AnalysisWork(study_instance_uid=uid, revision=1, attempt=1)
    at_s = 0.0
    forsaken = ForsakenWork(
        database=database, queue=queue, slot=SLOT, now=lambda: START, steady=lambda: at_s
    )
    handlers = Handlers()
    handlers.may_end.set()
    with queue.running(SLOT, handlers, stop_timeout_s=0):
        with database.writing() as session:
            queue.enqueue_analysis(session, study_instance_uid=uid, revision=1, attempt=1)
            _take_without_beginning(session, first)
        forsaken.give_anew()
        at_s += FORSAKEN_S - 1
        forsaken.give_anew()
        early = queue.held_by(SLOT)
        at_s += 1
        forsaken.give_anew()
        wait_until(lambda: bool(handlers.begun), "the next attempt")

    assert early == (first,)
    assert handlers.begun == [AnalysisWork(study_instance_uid=uid, revision=1, attempt=2)]


def test_a_delivery_that_was_taken_and_never_begun_holds_its_lane_no_longer(
    database: Database, queue: WorkQueue
) -> None:
    uid = _add_study(database, StudyState.COMPLETED)
    first = DeliveryWork(study_instance_uid=uid, revision=1, destination="pacs", attempt=1)
    at_s = 0.0
    forsaken = ForsakenWork(
        database=database, queue=queue, slot=SLOT, now=lambda: START, steady=lambda: at_s
    )
    handlers = Handlers()
    handlers.may_end.set()
    with queue.running(SLOT, handlers, stop_timeout_s=0):
        with database.writing() as session:
            queue.enqueue_delivery(
                session, study_instance_uid=uid, revision=1, destination="pacs", attempt=1
            )
            _take_without_beginning(session, first)
        forsaken.give_anew()
        at_s += FORSAKEN_S
        forsaken.give_anew()
        wait_until(lambda: bool(handlers.begun), "the next try")

    assert [work.attempt for work in handlers.begun] == [2]


def test_work_that_is_being_done_is_left_alone_however_long_it_takes(
    database: Database, queue: WorkQueue
) -> None:
    uid = _add_study(database, StudyState.SCHEDULED)
    at_s = 0.0
    forsaken = ForsakenWork(
        database=database, queue=queue, slot=SLOT, now=lambda: START, steady=lambda: at_s
    )
    handlers = Handlers()
    with database.writing() as session:
        queue.enqueue_analysis(session, study_instance_uid=uid, revision=1, attempt=1)
    with queue.running(SLOT, handlers, stop_timeout_s=0):
        wait_until(lambda: bool(handlers.begun), "the first attempt")
        forsaken.give_anew()
        at_s += 3600
        forsaken.give_anew()
        held = queue.held_by(SLOT)
        waiting = queue.waiting_or_running()
        handlers.may_end.set()

    assert [work.workflow_id for work in held] == list(waiting)
    assert len(handlers.begun) == 1
