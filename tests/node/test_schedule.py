"""The clock's jobs on a real log and queue, with the time passed in."""

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from sqlalchemy import select

from log_entries import add_delivery, study_entry
from node.schedule import LOST_INTERVAL_S, WORKER_SILENCE_S, Clock
from node.settings import ReceiveSettings, RetentionSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import (
    Delivery,
    DeliveryState,
    Event,
    Instance,
    Revision,
    StudyState,
    Worker,
)
from node.study_log.workers import beat, give_up_slot, take_slot
from node.work_queue import AnalysisWork, Checkpoint, DeliveryWork, Work, WorkQueue
from peers import wait_until

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class Node:
    """A data folder and its clock; the time stands still until a test moves it."""

    database: Database
    queue: WorkQueue
    clock: Clock = field(init=False)
    now: datetime = START
    set_by: timedelta = timedelta()
    study_instance_uid: str = ""

    def steady_s(self) -> float:
        return (self.now - self.set_by - START).total_seconds()

    def set_clock(self, by: timedelta) -> None:
        self.now += by
        self.set_by += by

    def add_study(self, state: StudyState, delivery: DeliveryState | None = None) -> None:
        study = study_entry(state=state)
        self.study_instance_uid = study.study_instance_uid
        if delivery is not None:
            row = add_delivery(study.revisions[0], "pacs", delivery, statuses=(None,) * 5)
            row.due_at = START
            row.ended_at = None
        with self.database.writing() as session:
            session.add(study)

    def analysis(self, attempt: int) -> AnalysisWork:
        return AnalysisWork(study_instance_uid=self.study_instance_uid, revision=1, attempt=attempt)

    def enqueue_analysis(self, attempt: int) -> None:
        with self.database.writing() as session:
            self.queue.enqueue_analysis(
                session,
                study_instance_uid=self.study_instance_uid,
                revision=1,
                attempt=attempt,
            )

    def enqueue_delivery(self, attempt: int) -> None:
        with self.database.writing() as session:
            self.queue.enqueue_delivery(
                session,
                study_instance_uid=self.study_instance_uid,
                revision=1,
                destination="pacs",
                attempt=attempt,
            )

    def delivery_id(self, attempt: int) -> str:
        return f"delivery/{self.study_instance_uid}/1/pacs/{attempt}"

    def run_worker_that_hangs(self, slot: str) -> None:
        """Let a worker take what is queued, and die with it."""
        taken = threading.Event()
        may_end = threading.Event()

        class Handlers:
            def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
                taken.set()
                may_end.wait(30)

            def deliver(self, work: DeliveryWork) -> None:
                taken.set()
                may_end.wait(30)

            def failed(self, work: Work, error: Exception) -> None:
                raise AssertionError from error

        with self.queue.running(slot, Handlers(), stop_timeout_s=0):
            assert taken.wait(30)
        # The engine is gone; what the thread still does is not written down any more.
        may_end.set()


@pytest.fixture
def node(tmp_path: Path, database: Database, queue: WorkQueue) -> Node:
    settings = Settings(
        data_dir=tmp_path,
        receive=ReceiveSettings(low_watermark_bytes=0),
        retention=RetentionSettings(instances_days=30),
    )
    store = Store(tmp_path)
    store.prepare()
    node = Node(database, queue)
    node.clock = Clock(
        settings=settings,
        database=database,
        store=store,
        queue=queue,
        close_out=lambda: None,
        now=lambda: node.now,
        steady=node.steady_s,
    )
    return node


def test_a_delivery_is_queued_when_it_is_due_and_not_before(node: Node) -> None:
    node.add_study(StudyState.COMPLETED, DeliveryState.PENDING)

    node.now = START - timedelta(seconds=1)
    node.clock.queue_deliveries()
    before = node.queue.waiting_or_running()
    node.now = START
    node.clock.queue_deliveries()
    node.clock.queue_deliveries()

    assert before == frozenset()
    assert node.queue.waiting_or_running() == {node.delivery_id(2)}


@pytest.mark.parametrize(
    "state", [DeliveryState.IN_PROGRESS, DeliveryState.COMPLETED, DeliveryState.FAILED]
)
def test_a_delivery_that_waits_for_nothing_is_not_queued(node: Node, state: DeliveryState) -> None:
    node.add_study(StudyState.COMPLETED, state)

    node.clock.queue_deliveries()

    assert node.queue.waiting_or_running() == frozenset()


def test_the_work_of_a_silent_worker_is_given_to_others_under_the_next_attempt(
    node: Node,
) -> None:
    node.add_study(StudyState.IN_PROGRESS)
    node.enqueue_analysis(attempt=1)
    node.run_worker_that_hangs("far-1")
    with node.database.writing() as session:
        take_slot(session, slot="far-1", pid=1, at=START)
    node.clock.rescue_stalled()

    node.now = START + timedelta(seconds=WORKER_SILENCE_S - 1)
    node.clock.rescue_stalled()
    while_it_may_live = node.queue.waiting_or_running()
    node.now = START + timedelta(seconds=WORKER_SILENCE_S + 1)
    node.clock.rescue_stalled()

    assert while_it_may_live == {node.analysis(1).workflow_id}
    assert node.queue.waiting_or_running() == {node.analysis(2).workflow_id}
    with node.database.reading() as session:
        assert session.scalars(select(Revision.attempt)).one() == 2
        assert session.scalars(select(Worker)).all() == []
        assert "analysis_rescued" in session.scalars(select(Event.event)).all()


def test_a_delivery_of_a_silent_worker_is_tried_anew(node: Node) -> None:
    node.add_study(StudyState.COMPLETED, DeliveryState.IN_PROGRESS)
    node.enqueue_delivery(attempt=1)
    node.run_worker_that_hangs("far-1")
    with node.database.writing() as session:
        take_slot(session, slot="far-1", pid=1, at=START)
    node.clock.rescue_stalled()

    node.now = START + timedelta(seconds=WORKER_SILENCE_S + 1)
    node.clock.rescue_stalled()

    assert node.queue.waiting_or_running() == {node.delivery_id(2)}
    with node.database.reading() as session:
        delivery = session.scalars(select(Delivery)).one()
        assert (delivery.state, delivery.attempt) == (DeliveryState.PENDING, 1)


def test_a_worker_that_lost_its_slot_is_told_with_its_next_sign_of_life(node: Node) -> None:
    with node.database.writing() as session:
        take_slot(session, slot="far-1", pid=7, at=START)
    with node.database.writing() as session:
        is_holder_before = beat(session, slot="far-1", pid=7, at=START)
    node.clock.rescue_stalled()

    node.now = START + timedelta(seconds=WORKER_SILENCE_S + 1)
    node.clock.rescue_stalled()

    with node.database.writing() as session:
        is_holder_after = beat(session, slot="far-1", pid=7, at=node.now)
    assert is_holder_before
    assert not is_holder_after


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_worker_that_gives_signs_of_life_is_not_dead_whatever_the_clocks_say(
    node: Node, hours: int
) -> None:
    """The clock of the receiver's machine is set; the worker's is on another one."""
    with node.database.writing() as session:
        take_slot(session, slot="far-1", pid=7, at=START)
    for step in range(2 * WORKER_SILENCE_S // 10):
        if step == 3:
            node.set_clock(timedelta(hours=hours))
        node.now += timedelta(seconds=10)
        with node.database.writing() as session:
            is_holder = beat(
                session, slot="far-1", pid=7, at=START + timedelta(seconds=10 * step + 10)
            )
        node.clock.rescue_stalled()

        assert is_holder


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_a_silent_worker_is_found_though_the_clock_was_set(node: Node, hours: int) -> None:
    with node.database.writing() as session:
        take_slot(session, slot="far-1", pid=7, at=START)
    node.clock.rescue_stalled()

    node.set_clock(timedelta(hours=hours))
    node.now += timedelta(seconds=WORKER_SILENCE_S - 1)
    node.clock.rescue_stalled()
    with node.database.reading() as session:
        before = list(session.scalars(select(Worker.slot)))
    node.now += timedelta(seconds=2)
    node.clock.rescue_stalled()

    with node.database.reading() as session:
        assert before == ["far-1"]
        assert list(session.scalars(select(Worker.slot))) == []


def test_a_try_that_waits_does_not_wait_for_longer_because_the_clock_was_set_back(
    node: Node,
) -> None:
    node.add_study(StudyState.COMPLETED, DeliveryState.PENDING)

    node.set_clock(timedelta(hours=-5))
    node.clock.queue_deliveries()

    assert node.queue.waiting_or_running() == {node.delivery_id(2)}


def test_a_try_that_is_due_because_the_clock_was_set_forward_is_not_taken_for_lost(
    node: Node,
) -> None:
    node.add_study(StudyState.COMPLETED, DeliveryState.PENDING)
    node.now = START - timedelta(seconds=1)

    node.set_clock(timedelta(hours=5))
    node.clock.rescue_lost()
    node.clock.queue_deliveries()
    node.now += timedelta(seconds=LOST_INTERVAL_S + 1)
    node.clock.rescue_lost()

    assert node.queue.waiting_or_running() == {node.delivery_id(2)}


def test_an_attempt_that_waits_is_made_though_the_clock_was_set_back(node: Node) -> None:
    node.add_study(StudyState.SCHEDULED)
    with node.database.writing() as session:
        node.queue.enqueue_analysis(
            session,
            study_instance_uid=node.study_instance_uid,
            revision=1,
            attempt=1,
            delay_s=5 * 3600,
        )

    node.set_clock(timedelta(hours=-5))
    node.clock.heed_clock()

    node.run_worker_that_hangs("far-1")


@pytest.mark.parametrize("hours", [-5, 5])
def test_jobs_go_on_when_the_system_clock_is_set(
    node: Node,
    tmp_path: Path,
    hours: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    by = timedelta()

    class SystemClock(datetime):
        """What the scheduler reads."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "SystemClock":
            return cls.fromtimestamp(time.time(), tz) + by

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", SystemClock)
    monkeypatch.setattr("node.schedule.datetime", SystemClock)
    runs: list[int] = []
    clock = Clock(
        settings=Settings(data_dir=tmp_path),
        database=node.database,
        store=Store(tmp_path),
        queue=node.queue,
        close_out=lambda: runs.append(1),
        now=lambda: SystemClock.now(UTC),
    )
    with caplog.at_level(logging.INFO):
        clock.start()
        wait_until(lambda: len(runs) > 1, "the job to run")
        by = timedelta(hours=hours)
        before = len(runs)
        wait_until(lambda: len(runs) > before + 3, "the job to go on", deadline_s=20)
        clock.stop()

    told = [r.__dict__ for r in caplog.records if r.__dict__.get("event") == "clock_set"]
    assert [round(each["set_by_s"] / 3600) for each in told] == [hours]


def test_a_worker_that_left_in_good_order_is_not_missed(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    with node.database.writing() as session:
        take_slot(session, slot="far-1", pid=7, at=START)
        give_up_slot(session, slot="far-1", pid=7)

    node.now = START + timedelta(days=1)
    with caplog.at_level(logging.INFO):
        node.clock.rescue_stalled()

    assert caplog.records == []


def test_an_analysis_that_the_queue_does_not_know_is_queued_anew(node: Node) -> None:
    node.add_study(StudyState.SCHEDULED)

    node.clock.rescue_lost()

    assert node.queue.waiting_or_running() == {node.analysis(2).workflow_id}


def test_an_analysis_that_waits_for_a_worker_is_left_alone(node: Node) -> None:
    node.add_study(StudyState.SCHEDULED)
    node.enqueue_analysis(attempt=1)

    node.clock.rescue_lost()

    assert node.queue.waiting_or_running() == {node.analysis(1).workflow_id}


def test_a_try_that_ended_without_a_word_is_followed_by_another(node: Node) -> None:
    node.add_study(StudyState.COMPLETED, DeliveryState.PENDING)
    node.enqueue_delivery(attempt=2)
    node.queue.cancel(
        DeliveryWork(
            study_instance_uid=node.study_instance_uid, revision=1, destination="pacs", attempt=2
        )
    )

    node.clock.rescue_lost()
    at_once = node.queue.waiting_or_running()
    node.now = START + timedelta(seconds=LOST_INTERVAL_S + 1)
    node.clock.rescue_lost()

    assert at_once == frozenset()
    assert node.queue.waiting_or_running() == {node.delivery_id(3)}


def test_the_disk_is_spoken_of_when_it_fills_up_and_when_there_is_room_again(
    tmp_path: Path, node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path, receive=ReceiveSettings(low_watermark_bytes=1000))
    store = Store(tmp_path)
    clock = Clock(
        settings=settings,
        database=node.database,
        store=store,
        queue=node.queue,
        close_out=lambda: None,
        now=lambda: START,
        steady=lambda: 0.0,
    )
    with caplog.at_level(logging.INFO):
        for free_bytes in (2000, 999, 998, 1000, 2000):
            monkeypatch.setattr(store, "free_bytes", lambda free=free_bytes: free)
            clock.watch_disk()

    assert [record.__dict__["event"] for record in caplog.records] == ["disk_low", "disk_back"]


def test_a_job_that_fails_runs_again_and_is_spoken_of_once_and_when_it_works_again(
    node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    def close_out() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise ConnectionError

    clock = Clock(
        settings=Settings(data_dir=tmp_path),
        database=node.database,
        store=Store(tmp_path),
        queue=node.queue,
        close_out=close_out,
        now=lambda: START,
        steady=lambda: 0.0,
    )

    def told() -> list[logging.LogRecord]:
        return [r for r in caplog.records if r.__dict__.get("job") == "close_out"]

    with caplog.at_level(logging.INFO):
        clock.start()
        wait_until(lambda: len(told()) >= 2, "the job has failed and recovered")
        clock.stop()

    assert [r.__dict__["event"] for r in told()] == ["job_failed", "job_recovered"]
    assert told()[0].exc_info is not None
    assert len(runs) >= 3


def test_files_whose_time_is_over_are_given_up_and_deleted(node: Node, tmp_path: Path) -> None:
    node.add_study(StudyState.SKIPPED)
    with node.database.reading() as session:
        places = list(session.scalars(select(Instance.path)))
    for place in places:
        Store(tmp_path).keep_bytes(b"content", place)

    node.now = START + timedelta(days=31)
    node.clock.let_go_of_old()
    node.clock.remove_given_up()

    assert [place for place in places if (tmp_path / place).exists()] == []


def test_a_clock_that_is_set_years_ahead_deletes_nothing_and_is_spoken_of(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.clock.let_go_of_old()
    node.add_study(StudyState.SKIPPED)

    node.set_clock(timedelta(days=1000))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            node.clock.let_go_of_old()
            node.now += timedelta(minutes=10)

    with node.database.reading() as session:
        assert set(session.scalars(select(Instance.removed_at))) == {None}
    told = [r.__dict__ for r in caplog.records if r.__dict__.get("event") == "retention_held_back"]
    assert [each["count"] for each in told] == [1]
