"""The last view of a study at the very moment of its close-out, with two close-outs at once.

Round after round: three views are there and their quiet time is over; then two close-outs and the
receiver's admission of the fourth view begin at moments that lie a few milliseconds apart, each
with connections of its own, as processes would have. Afterwards the log says who came first.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom.dataset import Dataset
from sqlalchemy import select

from bench import Bench
from node.intake.admit import Admission, admit
from node.intake.close_out import ClosedStudy, CloseOut
from node.settings import StudySettings
from node.study_log.database import Database, database_url
from node.study_log.tables import Study, StudyState
from node.work_queue import AnalysisWork
from phantoms import screening_study, uid

VIEWS = 4
JOIN_S = 120


@dataclass(kw_only=True)
class Figures:
    """What came of all rounds.

    Attributes
    ----------
    with_last_view
        Rounds whose first revision holds the last view.
    before_last_view
        Rounds that were closed before it: it opened the study again, for a second revision.
    close_outs_met
        Rounds in which the second close-out began before the first had ended.
    violations
        What must never be, in words; empty.
    """

    rounds: int = 0
    with_last_view: int = 0
    before_last_view: int = 0
    close_outs_met: int = 0
    violations: list[str] | None = None

    def violated(self, study_instance_uid: str, what: str) -> None:
        """Write down what must never be."""
        self.violations = [*(self.violations or []), f"{study_instance_uid}: {what}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """One side of a round: when it began and ended, and what it gave."""

    begun_s: float
    ended_s: float
    gave: object


class ClosingRace:
    """Races on one study log.

    Parameters
    ----------
    bench
        A data folder whose log is empty; closed by whoever made it.
    seed
        Of the moments at which the sides begin.
    """

    def __init__(self, bench: Bench, *, seed: int) -> None:
        self._bench = bench
        self._queue = bench.queue
        self._databases = [Database(database_url(bench.settings)) for _ in range(2)]
        self._rng = random.Random(seed)
        self._spread_s = 0.02
        self._close_outs = [
            CloseOut(
                database,
                StudySettings(view_set_quiet_s=0, quiet_s=0, cap_s=1),
                enqueue_analysis=self._queue.enqueue_analysis,
                open_studies=frozenset,
                clock=lambda: datetime.now(UTC),
            )
            for database in self._databases
        ]
        self.figures = Figures()

    def run(self, rounds: int, *, told: Callable[[int], object] = lambda _: None) -> Figures:
        """Race so often; `told` hears the number of each round that is over."""
        for number in range(rounds):
            self._round(number)
            told(number + 1)
        return self.figures

    def close(self) -> None:
        """Give the connections back."""
        for database in self._databases:
            database.close()

    def _round(self, number: int) -> None:
        study_uid = uid("closing", number)
        study = screening_study(seed=number, study_instance_uid=study_uid, rows=32, columns=24)
        for ds in study[:-1]:
            self._bench.admit(ds, datetime.now(UTC))
        first, second, last = self._race(study[-1])
        closed = [c for done in (first, second) for c in _closed(done, study_uid)]
        with self._databases[0].reading() as session:
            row = session.scalars(select(Study).where(Study.study_instance_uid == study_uid)).one()
            sizes = [len(revision.outcomes) for revision in row.revisions]
            state = row.state
        self._judge(study_uid, sizes, state, closed, [first, second], last)
        # Whatever is open now is closed by the next look, as the clock has one twice a second.
        self._close_outs[0].close_due()
        self._judge_end(study_uid)
        self.figures.rounds += 1

    def _race(self, last_view: Dataset) -> tuple[_Done, _Done, _Done]:
        """Begin all three sides within a spread that follows how long an admission takes."""
        arrival = self._bench.arrival(last_view, datetime.now(UTC))
        sides: list[Callable[[], object]] = [
            self._close_outs[0].close_due,
            self._close_outs[1].close_due,
            lambda: admit(arrival, database=self._bench.database, store=self._bench.store),
        ]
        done: list[_Done | None] = [None] * len(sides)
        barrier = threading.Barrier(len(sides))

        def run(index: int, delay_s: float) -> None:
            barrier.wait()
            time.sleep(delay_s)
            begun_s = time.perf_counter()
            gave = sides[index]()
            done[index] = _Done(begun_s=begun_s, ended_s=time.perf_counter(), gave=gave)

        threads = [
            threading.Thread(target=run, args=(index, self._rng.uniform(0, self._spread_s)))
            for index in range(len(sides))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(JOIN_S)
        first, second, last = done
        assert first is not None
        assert second is not None
        assert last is not None
        self._spread_s += 0.1 * (2 * (last.ended_s - last.begun_s) - self._spread_s)
        return first, second, last

    def _judge(
        self,
        study_uid: str,
        sizes: list[int],
        state: str,
        closed: list[ClosedStudy],
        close_outs: list[_Done],
        last: _Done,
    ) -> None:
        """Hold the log after the race against what either side was told."""
        figures = self.figures
        earlier, later = sorted(close_outs, key=lambda done: done.begun_s)
        figures.close_outs_met += later.begun_s < earlier.ended_s
        if last.gave is not Admission.STORED:
            figures.violated(study_uid, f"the last view was {last.gave}")
        if sorted(c.image_count for c in closed) != sorted(sizes):
            figures.violated(study_uid, f"closed {closed}, in the log {sizes}")
        if sizes and sizes[0] == VIEWS:
            figures.with_last_view += 1
        elif sizes:
            figures.before_last_view += 1
            for done in close_outs:
                # It looked at the log after the sender had its answer.
                is_closer = any(c.revision == 1 for c in _closed(done, study_uid))
                if is_closer and last.ended_s < done.begun_s:
                    figures.violated(study_uid, "closed without a view acknowledged before")
            if len(sizes) == 1 and state != StudyState.RECEIVING:
                figures.violated(study_uid, f"the last view is in no revision and it is {state}")

    def _judge_end(self, study_uid: str) -> None:
        """Every view is in the newest revision, and each revision is queued once."""
        with self._databases[0].reading() as session:
            row = session.scalars(select(Study).where(Study.study_instance_uid == study_uid)).one()
            numbers = [revision.number for revision in row.revisions]
            newest = len(row.revisions[-1].outcomes)
            state = row.state
        if newest != VIEWS or state != StudyState.SCHEDULED:
            self.figures.violated(study_uid, f"ends {state} with {newest} views")
        if len(numbers) > 2:
            self.figures.violated(study_uid, f"{len(numbers)} revisions of two moments")
        expected = {
            AnalysisWork(study_instance_uid=study_uid, revision=n, attempt=1).workflow_id
            for n in numbers
        }
        queued = {i for i in self._queue.waiting_or_running() if f"/{study_uid}/" in i}
        if queued != expected:
            self.figures.violated(study_uid, f"queued {sorted(queued)}")
        for number in numbers:
            self._queue.cancel(
                AnalysisWork(study_instance_uid=study_uid, revision=number, attempt=1)
            )


def _closed(done: _Done, study_uid: str) -> list[ClosedStudy]:
    assert isinstance(done.gave, list)
    return [closed for closed in done.gave if closed.study_instance_uid == study_uid]
