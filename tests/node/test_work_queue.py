"""The queue of durable work, with the real engine on a real SQLite file."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from node.errors import PermanentError, TransientError
from node.work_queue import (
    AnalysisWork,
    Checkpoint,
    DeliveryWork,
    Work,
    WorkQueue,
    engine_table,
)

STUDY = "1.2.3"


@pytest.fixture
def engine(log_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(log_url)
    yield engine
    engine.dispose()


class RecordingHandlers:
    """Remembers what it was given; an event tells when the expected number has come."""

    def __init__(self, expected: int) -> None:
        self.done: list[Work] = []
        self.all_done = threading.Event()
        self._expected = expected

    def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
        self._record(work)

    def deliver(self, work: DeliveryWork) -> None:
        self._record(work)

    def failed(self, work: Work, error: Exception) -> None:
        pytest.fail(f"{work} failed: {error}")

    def _record(self, work: Work) -> None:
        self.done.append(work)
        if len(self.done) >= self._expected:
            self.all_done.set()


def analysis(attempt: int = 1) -> AnalysisWork:
    return AnalysisWork(study_instance_uid=STUDY, revision=1, attempt=attempt)


def test_work_queued_in_a_committed_transaction_is_done(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
        queue.enqueue_delivery(
            session, study_instance_uid=STUDY, revision=1, destination="pacs", attempt=1
        )
    handlers = RecordingHandlers(expected=2)

    with queue.running("worker-1", handlers, stop_timeout_s=0):
        is_done = handlers.all_done.wait(20)

    assert is_done
    assert set(handlers.done) == {
        analysis(),
        DeliveryWork(study_instance_uid=STUDY, revision=1, destination="pacs", attempt=1),
    }


def test_work_queued_in_a_transaction_that_is_rolled_back_is_never_done(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    with Session(engine) as session:
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
        session.rollback()
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=2)
    handlers = RecordingHandlers(expected=1)

    with queue.running("worker-1", handlers, stop_timeout_s=0):
        handlers.all_done.wait(20)

    assert handlers.done == [analysis(attempt=2)]


def test_an_attempt_that_was_queued_before_is_an_error(queue: WorkQueue, engine: sa.Engine) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)

    with Session(engine) as session, pytest.raises(PermanentError, match="never queued"):
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)


def test_a_delivery_may_be_asked_for_again_and_is_tried_once(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    for destination in ("pacs", "pacs", "archive"):
        with Session(engine) as session, session.begin():
            queue.enqueue_delivery(
                session, study_instance_uid=STUDY, revision=1, destination=destination, attempt=1
            )
    handlers = RecordingHandlers(expected=2)

    with queue.running("worker-1", handlers, stop_timeout_s=0):
        handlers.all_done.wait(20)

    tried = [work.destination for work in handlers.done if isinstance(work, DeliveryWork)]
    assert sorted(tried) == ["archive", "pacs"]


def test_a_destination_that_hangs_delays_no_other(queue: WorkQueue, engine: sa.Engine) -> None:
    with Session(engine) as session, session.begin():
        for attempt in (1, 2):
            queue.enqueue_delivery(
                session, study_instance_uid=STUDY, revision=1, destination="slow", attempt=attempt
            )
        queue.enqueue_delivery(
            session, study_instance_uid=STUDY, revision=1, destination="quick", attempt=1
        )
    slow_begun = threading.Event()
    slow_may_end = threading.Event()
    quick_done = threading.Event()
    slow_tries: list[int] = []
    slow_done = threading.Event()

    class Handlers(RecordingHandlers):
        def deliver(self, work: DeliveryWork) -> None:
            if work.destination == "quick":
                quick_done.set()
                return
            slow_tries.append(work.attempt)
            slow_begun.set()
            slow_may_end.wait(20)
            if work.attempt == 2:
                slow_done.set()

    with queue.running("worker-1", Handlers(expected=0), stop_timeout_s=0):
        is_quick_done = slow_begun.wait(20) and quick_done.wait(20)
        tries_meanwhile = list(slow_tries)
        slow_may_end.set()
        is_slow_done = slow_done.wait(20)

    assert is_quick_done
    assert is_slow_done
    assert tries_meanwhile == [1], "one destination is sent to by one try at a time"


def test_as_many_tries_run_at_once_as_a_destination_takes_associations(
    log_url: str, queue: WorkQueue, engine: sa.Engine
) -> None:
    wide = WorkQueue(log_url, associations={"wide": 3})
    with Session(engine) as session, session.begin():
        for number in range(12):
            for destination in ("wide", "narrow"):
                wide.enqueue_delivery(
                    session,
                    study_instance_uid=f"1.2.{number}",
                    revision=1,
                    destination=destination,
                    attempt=1,
                )
    wide.close()
    lock = threading.Lock()
    running = {"wide": 0, "narrow": 0}
    most = {"wide": 0, "narrow": 0}

    class Handlers(RecordingHandlers):
        def deliver(self, work: DeliveryWork) -> None:
            with lock:
                running[work.destination] += 1
                most[work.destination] = max(most[work.destination], running[work.destination])
            threading.Event().wait(0.3)
            with lock:
                running[work.destination] -= 1
                self._record(work)

    handlers = Handlers(expected=24)
    with queue.running("worker-1", handlers, stop_timeout_s=0):
        are_all_done = handlers.all_done.wait(60)

    assert are_all_done
    assert most == {"wide": 3, "narrow": 1}


def test_what_a_killed_worker_had_under_way_is_resumed_from_its_last_finished_step(
    queue: WorkQueue, engine: sa.Engine, log_url: str, tmp_path: Path
) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
    steps = tmp_path / "steps.txt"
    script = dedent(
        f"""
        import os, pathlib, signal, threading
        from node.work_queue import WorkQueue
        steps = pathlib.Path({str(steps)!r})
        def note(line):
            with steps.open("a") as file:
                file.write(line + "\\n")
        class Handlers:
            def analyse(self, work, checkpoint):
                def first():
                    note("first")
                    return "done"
                def second():
                    if "second" not in steps.read_text():
                        note("second")
                        os.kill(os.getpid(), signal.SIGKILL)
                    note("second again")
                    return "done"
                checkpoint("first", first)
                checkpoint("second", second)
                ended.set()
            def deliver(self, work):
                raise NotImplementedError
            def failed(self, work, error):
                raise error
        ended = threading.Event()
        with WorkQueue({log_url!r}).running("worker-1", Handlers(), stop_timeout_s=0):
            assert ended.wait(20)
        """
    )

    killed = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    held = queue.held_by("worker-1")
    resumed = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)

    assert killed.returncode == -9
    assert held == (analysis(),)
    assert resumed.returncode == 0
    assert steps.read_text().splitlines() == ["first", "second", "second again"]


def test_work_that_was_given_anew_is_not_taken_up_under_its_old_attempt(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=2)
    queue.cancel(analysis(attempt=1))
    handlers = RecordingHandlers(expected=1)

    with queue.running("worker-1", handlers, stop_timeout_s=0):
        handlers.all_done.wait(20)

    assert handlers.done == [analysis(attempt=2)]


def test_a_step_that_fails_is_told_once_and_ends_its_workflow(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
    told: list[tuple[Work, Exception]] = []
    told_once = threading.Event()
    second_step_ran = threading.Event()

    class Handlers(RecordingHandlers):
        def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
            def first() -> str:
                raise TransientError(reason="disk full")

            checkpoint("first", first)
            second_step_ran.set()

        def failed(self, work: Work, error: Exception) -> None:
            told.append((work, error))
            told_once.set()

    with queue.running("worker-1", Handlers(expected=0), stop_timeout_s=2):
        told_once.wait(20)

    assert [(work, type(error)) for work, error in told] == [(analysis(), TransientError)]
    assert not second_step_ran.is_set()
    assert queue.waiting_or_running() == frozenset()


def test_work_that_waits_is_listed(queue: WorkQueue, engine: sa.Engine) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
        queue.enqueue_analysis(
            session, study_instance_uid=STUDY, revision=2, attempt=1, delay_s=3600
        )

    ids = queue.waiting_or_running()

    assert ids == {"analysis/1.2.3/1/1", "analysis/1.2.3/2/1"}


def test_work_that_ended_long_ago_is_forgotten_and_what_waits_is_not(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
        queue.enqueue_analysis(
            session, study_instance_uid=STUDY, revision=2, attempt=1, delay_s=3600
        )
    handlers = RecordingHandlers(expected=1)
    with queue.running("worker-1", handlers, stop_timeout_s=2):
        handlers.all_done.wait(20)

    too_early = queue.forget_finished(datetime.now(UTC) - timedelta(days=1))
    forgotten = queue.forget_finished(datetime.now(UTC) + timedelta(days=1))

    assert (too_early, forgotten) == (0, 1)
    assert queue.waiting_or_running() == {"analysis/1.2.3/2/1"}


def restamp(engine: sa.Engine, version: str) -> None:
    """Let all work be that of another version of the workflows."""
    table = engine_table(engine.dialect.name, "workflow_status")
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"UPDATE {table} SET application_version = :version"),
            {"version": version},
        )


def test_work_that_an_older_version_queued_is_done_after_migrating(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
        queue.enqueue_delivery(
            session, study_instance_uid=STUDY, revision=1, destination="pacs", attempt=1
        )
    restamp(engine, "0")
    handlers = RecordingHandlers(expected=2)

    waiting = queue.count_of_other_versions()
    carried_over = queue.migrate()
    with queue.running("worker-1", handlers, stop_timeout_s=0):
        is_done = handlers.all_done.wait(20)

    assert is_done
    assert waiting == carried_over == 2
    assert queue.count_of_other_versions() == 0
    assert queue.migrate() == 0


def test_work_that_an_older_version_had_under_way_begins_again_at_its_first_step(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    """What a finished step returned means nothing to another version of the steps."""
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
    steps: list[str] = []

    def step(name: str) -> str:
        steps.append(name)
        return name

    second_begun, third_done, may_end = threading.Event(), threading.Event(), threading.Event()

    class Handlers(RecordingHandlers):
        def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
            checkpoint("of old", lambda: step("of old"))
            second_begun.set()
            may_end.wait(20)

    class NewerHandlers(RecordingHandlers):
        def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
            checkpoint("of today", lambda: step("of today"))
            third_done.set()

    with queue.running("worker-1", Handlers(expected=0), stop_timeout_s=0):
        assert second_begun.wait(20)
    may_end.set()
    restamp(engine, "0")

    carried_over = queue.migrate()
    with queue.running("worker-1", NewerHandlers(expected=0), stop_timeout_s=2):
        is_done = third_done.wait(20)

    assert carried_over == 1
    assert is_done
    assert steps == ["of old", "of today"]


def test_work_that_has_ended_stays_with_the_version_that_did_it(
    queue: WorkQueue, engine: sa.Engine
) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)
    queue.cancel(analysis())
    restamp(engine, "0")

    assert queue.migrate() == 0


def test_no_argument_is_stored_as_a_pickle(queue: WorkQueue, engine: sa.Engine) -> None:
    with Session(engine) as session, session.begin():
        queue.enqueue_analysis(session, study_instance_uid=STUDY, revision=1, attempt=1)

    table = engine_table(engine.dialect.name, "workflow_input")
    with engine.connect() as connection:
        stored = connection.scalar(sa.text(f"SELECT inputs FROM {table}"))

    assert '"study_instance_uid":"1.2.3"' in stored
