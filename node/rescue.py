"""Work that nobody does any more, given to whoever is there, under its next attempt."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from node.analysis.rescue import analyse_anew
from node.delivery.due import deliver_anew
from node.study_log.database import Database
from node.work_queue import AnalysisWork, Work, WorkQueue

logger = logging.getLogger(__name__)

FORSAKEN_S = 30
"""So long work may be with a worker before it begins; it takes a moment, and a thread."""


def give_anew(database: Database, queue: WorkQueue, work: Work, at: datetime) -> None:
    """Queue the next attempt in place of one that will not end; nothing if the log has moved on.

    From then on nobody may write who still works on the old one.
    """
    with database.writing() as session:
        if isinstance(work, AnalysisWork):
            analyse_anew(session, queue, work, at)
        else:
            deliver_anew(session, queue, work, at)


class ForsakenWork:
    """What a worker's slot has taken and the worker does not know of.

    A database that breaks in the moment of a commit may have written that work was taken, and have
    said that it was not. Nobody begins it then, the worker that has it is alive, and as long as it
    is with it the lane to its destination is held.

    Parameters
    ----------
    database
        The study log.
    queue
        That the worker runs.
    slot
        Of the worker.
    now
        The clock, giving aware UTC.
    steady
        Gives seconds by a clock that nobody sets.
    """

    def __init__(
        self,
        *,
        database: Database,
        queue: WorkQueue,
        slot: str,
        now: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queue = queue
        self._slot = slot
        self._now = now
        self._steady = steady
        self._since_s: dict[Work, float] = {}

    def give_anew(self) -> None:
        """Give others what has been forsaken for `FORSAKEN_S`; to be called again and again."""
        at_s = self._steady()
        self._since_s = {
            work: self._since_s.get(work, at_s) for work in self._queue.not_begun_by(self._slot)
        }
        for work, since_s in self._since_s.items():
            if at_s - since_s < FORSAKEN_S:
                continue
            logger.warning(
                "Work was taken and never begun; it is queued anew",
                extra={
                    "event": "work_forsaken",
                    "slot": self._slot,
                    "workflow_id": work.workflow_id,
                },
            )
            give_anew(self._database, self._queue, work, self._now())
            self._queue.cancel(work)
