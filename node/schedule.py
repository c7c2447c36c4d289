"""The clock: what runs when, beside the receiver.

Every job looks at the study log and does what is due, and none waits for another. The system clock
may be set while they run: the scheduler goes by it, so that its jobs would stand still for as long
as it was set back. Whether a worker is alive is seen by its giving signs of life, whatever moments
they claim: its machine has a clock of its own.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler

from node.analysis.rescue import analyses_under_way
from node.clocks import ClockWatch
from node.delivery.commitment_log import CommitmentLog
from node.delivery.due import due_tries, enqueue_try, tries_under_way
from node.keeping.passing_time import mark_time
from node.keeping.remove import remove_given_up
from node.keeping.retention import held_back, let_go_of_old
from node.rescue import give_anew
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.workers import last_beats, take_away
from node.work_queue import Work, WorkQueue

logger = logging.getLogger(__name__)

CLOSE_OUT_INTERVAL_S = 0.5
DELIVERY_INTERVAL_S = 1
COMMITMENT_INTERVAL_S = 5
STALLED_INTERVAL_S = 15
LOST_INTERVAL_S = 60
DISK_INTERVAL_S = 30
REMOVAL_INTERVAL_S = 60
RETENTION_INTERVAL_S = 600
FORGET_INTERVAL_S = 3600
AT_ONCE = 100
"""Deliveries that are queued in one transaction; the others follow with the next tick."""
KEEP_FINISHED_DAYS = 30
"""Finished work stays in the queue's own tables for so long; the study log keeps its story."""
FAILURE_REPEATED_S = 60
"""A job that goes on failing is spoken of so often, however often it runs."""
WORKER_SILENCE_S = 120
"""A worker that gives no sign of life for so long has lost its slot."""
CLOCK_LOOK_S = 1.0
"""Between two looks at whether the system clock was set."""


class Clock:
    """Runs the jobs of one data folder, in threads.

    Parameters
    ----------
    settings
        For the watermark of the disk, how long files are kept, and the time-outs of storage
        commitment.
    database
        The study log.
    store
        The data folder.
    queue
        Of durable work.
    close_out
        Closes every study that is complete, and queues its analysis.
    now
        The time, as aware UTC.
    steady
        Seconds by a clock that nobody sets.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        store: Store,
        queue: WorkQueue,
        close_out: Callable[[], object],
        now: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retention = settings.retention
        self._low_watermark_bytes = settings.receive.low_watermark_bytes
        self._database = database
        self._store = store
        self._queue = queue
        self._now = now
        self._steady = steady
        self._clock_watch = ClockWatch(now, steady)
        self._set_at_s: float | None = None
        self._beats: dict[str, tuple[datetime, float]] = {}
        policies = (settings.delivery, *map(settings.delivery_to, settings.destinations))
        self._longest_wait = timedelta(seconds=max(each.longest_retry_s for each in policies))
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch_clock, name="clock-watch", daemon=True)
        self._commitment = CommitmentLog(settings=settings, database=database, now=now)
        self._is_disk_low = False
        self._told_at: dict[str, datetime] = {}
        # It warns of every tick that a longer one swallowed; that is what `coalesce` is for.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._tell, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
        for name, job, seconds in (
            ("close_out", close_out, CLOSE_OUT_INTERVAL_S),
            ("queue_deliveries", self.queue_deliveries, DELIVERY_INTERVAL_S),
            ("give_up_commitment", self.give_up_commitment, COMMITMENT_INTERVAL_S),
            ("rescue_stalled", self.rescue_stalled, STALLED_INTERVAL_S),
            ("rescue_lost", self.rescue_lost, LOST_INTERVAL_S),
            ("watch_disk", self.watch_disk, DISK_INTERVAL_S),
            ("let_go_of_old", self.let_go_of_old, RETENTION_INTERVAL_S),
            ("remove_given_up", self.remove_given_up, REMOVAL_INTERVAL_S),
            ("forget_finished", self.forget_finished, FORGET_INTERVAL_S),
        ):
            self._scheduler.add_job(job, "interval", seconds=seconds, id=name, name=name)

    def start(self) -> None:
        """Start the jobs; the first of each comes after its interval."""
        self._queue.end_delays()  # the clock may have been set back while nobody was there
        self._scheduler.start()
        self._watcher.start()

    def stop(self) -> None:
        """Start no job any more, and wait for those that run."""
        self._stopping.set()
        self._watcher.join()
        self._scheduler.shutdown(wait=True)

    def _watch_clock(self) -> None:
        while not self._stopping.wait(CLOCK_LOOK_S):
            self.heed_clock()

    def heed_clock(self) -> None:
        """See whether the system clock was set; if so, run every job now, and judge nobody yet."""
        set_by = self._clock_watch.set_by()
        if not set_by:
            return
        self._set_at_s = self._steady()
        logger.warning(
            "The system clock was set; waits that it would have changed begin anew",
            extra={"event": "clock_set", "set_by_s": round(set_by.total_seconds(), 1)},
        )
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))
        self._queue.end_delays()

    def queue_deliveries(self) -> None:
        """Queue the next try of every delivery that is due."""
        with self._database.reading() as session:
            due = due_tries(session, self._now(), longest_wait=self._longest_wait)
        if not due:
            return
        # What waits for a slow destination is due and queued: it takes no write lock here.
        known = self._queue.waiting_or_running()
        new = [work for work in due if work.workflow_id not in known]
        if new:
            with self._database.writing() as session:
                for work in new[:AT_ONCE]:
                    enqueue_try(session, self._queue, work)

    def give_up_commitment(self) -> None:
        """End the wait for reports on storage commitment that did not come in time."""
        self._commitment.give_up_waiting()

    def rescue_stalled(self) -> None:
        """Take the slot from workers that have fallen silent, and give their work to others."""
        for slot, beat_at in self._silent_workers():
            held = self._queue.held_by(slot)
            logger.error(
                "Worker fell silent; its work is given to others. Look after its machine",
                extra={"event": "worker_stalled", "slot": slot, "work": len(held)},
            )
            for work in held:
                # From here on the silent worker may not write, whatever it still does.
                give_anew(self._database, self._queue, work, self._now())
                self._queue.cancel(work)
            # Last, so that a crash in between leaves a silent slot to be found again.
            with self._database.writing() as session:
                take_away(session, slot=slot, beat_at=beat_at)

    def _silent_workers(self) -> list[tuple[str, datetime]]:
        """List the slots whose last sign of life has been the same for too long, and which."""
        with self._database.reading() as session:
            beats = last_beats(session)
        now_s, before = self._steady(), self._beats
        self._beats = {}
        for slot, beat_at in beats.items():
            seen_at, seen_at_s = before.get(slot, (None, now_s))
            self._beats[slot] = (beat_at, seen_at_s if seen_at == beat_at else now_s)
        return [
            (slot, beat_at)
            for slot, (beat_at, seen_at_s) in self._beats.items()
            if now_s - seen_at_s > WORKER_SILENCE_S
        ]

    def rescue_lost(self) -> None:
        """Queue anew what the log holds to be under way and the queue does not know."""
        self.heed_clock()
        if self._set_at_s is not None and self._steady() - self._set_at_s < LOST_INTERVAL_S:
            return  # a try that became due just now, because of that, is not lost
        now = self._now()
        with self._database.reading() as session:
            expected: set[Work] = {
                *analyses_under_way(session),
                *tries_under_way(session, now - timedelta(seconds=LOST_INTERVAL_S)),
            }
        if not expected:
            return
        # Asked after the log: what ends in between is seen to have ended when the row is locked.
        known = self._queue.waiting_or_running()
        for work in expected:
            if work.workflow_id not in known:
                give_anew(self._database, self._queue, work, self._now())

    def forget_finished(self) -> None:
        """Take work that ended long ago out of the queue's tables."""
        self._queue.forget_finished(self._now() - timedelta(days=KEEP_FINISHED_DAYS))

    def let_go_of_old(self) -> None:
        """Give up the files of some studies that are old and delivered."""
        now = self._now()
        is_marked = mark_time(self._database, now)
        let_go_of_old(self._database, self._retention, now)
        if is_marked and (count := held_back(self._database, self._retention, now)):
            logger.warning(
                "Studies are old by the clock, but the node has not lived through that time; their "
                "files are kept. See whether the clock is right",
                extra={"event": "retention_held_back", "count": count},
            )

    def remove_given_up(self) -> None:
        """Delete the files that were given up, and that no analysis reads any more."""
        remove_given_up(self._database, self._store)

    def watch_disk(self) -> None:
        """Say when free disk space falls below the watermark, and when it is back."""
        free_bytes = self._store.free_bytes()
        is_low = free_bytes < self._low_watermark_bytes
        if is_low == self._is_disk_low:
            return
        self._is_disk_low = is_low
        fields = {"free_bytes": free_bytes, "low_watermark_bytes": self._low_watermark_bytes}
        if is_low:
            logger.error(
                "Disk space is low: nothing more is received until there is room",
                extra={"event": "disk_low", **fields},
            )
        else:
            logger.info("Disk space is back", extra={"event": "disk_back", **fields})

    def _tell(self, event: JobExecutionEvent) -> None:
        """Tell when a job begins to fail, now and then while it does, and when it is over."""
        job = event.job_id
        if event.exception is None:
            if self._told_at.pop(job, None):
                logger.info(
                    "Scheduled job works again", extra={"event": "job_recovered", "job": job}
                )
            return
        now, told_at = self._now(), self._told_at.get(job)
        if told_at and now - told_at < timedelta(seconds=FAILURE_REPEATED_S):
            return
        self._told_at[job] = now
        logger.error(
            "Scheduled job failed; it runs again",
            extra={"event": "job_failed", "job": job},
            exc_info=event.exception,
        )
