"""A worker: takes durable work and does it; the network is loaded while it already delivers."""

import logging
import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from model.errors import WeightsError
from node.analysis.worker import AnalysisWorker
from node.delivery.deliver import Deliverer
from node.errors import PermanentError
from node.rescue import ForsakenWork
from node.service.role import RoleExit
from node.service.run_files import RoleState, held_lock, remove_state, write_state
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database, database_url
from node.study_log.workers import beat, give_up_slot, take_slot
from node.work_queue import AnalysisWork, Checkpoint, DeliveryWork, Work, WorkQueue

if TYPE_CHECKING:
    from node.analysis.pipeline import Analyser

logger = logging.getLogger(__name__)

PREDECESSOR_S = 60
"""How long a worker of a node that was killed may take to end."""
BEAT_INTERVAL_S = 5
STOP_TIMEOUT_S = 15
"""How long work under way may go on after SIGTERM; what is left is resumed later."""
NETWORKS_KEPT = 2
"""Networks in memory: the node's own, and one that somebody asked a reanalysis with."""


class WorkHandlers:
    """Both kinds of work, each with the one that does it."""

    def __init__(self, analysis: AnalysisWorker, deliverer: Deliverer) -> None:
        self._analysis = analysis
        self._deliverer = deliverer

    def analyse(self, work: AnalysisWork, checkpoint: Checkpoint) -> None:
        """Take one revision from its instances to stored results."""
        self._analysis.analyse(work, checkpoint)

    def deliver(self, work: DeliveryWork) -> None:
        """Try once to send one revision to one destination."""
        self._deliverer.deliver(work)

    def failed(self, work: Work, error: Exception) -> None:
        """Write the failure into the study log."""
        if isinstance(work, AnalysisWork):
            self._analysis.failed(work, error)
        else:
            self._deliverer.failed(work, error)


def run_work(settings: Settings, slot: str, stop: threading.Event) -> None:
    """Do durable work until `stop` is set.

    Parameters
    ----------
    settings
        Of the node; the schemas are up to date.
    slot
        Stable name of this worker.
    stop
        Set by SIGTERM.
    """
    with held_lock(
        settings.data_dir, f"{slot}.lock", wait_s=PREDECESSOR_S, holder=f"Worker {slot}"
    ):
        database = Database.open(settings)
        store = Store(settings.data_dir)
        queue = WorkQueue(database_url(settings), associations=settings.associations_by_destination)
        with database.writing() as session:
            take_slot(session, slot=slot, pid=os.getpid(), at=_now())
        analysers = Analysers(settings)
        threading.Thread(
            target=_warm_up, args=(settings, slot, analysers), name="warm-up", daemon=True
        ).start()
        worker = AnalysisWorker(
            settings=settings,
            database=database,
            store=store,
            queue=queue,
            analyser_for=analysers.get,
            now=_now,
        )
        deliverer = Deliverer(settings=settings, database=database, store=store, now=_now)
        handlers = WorkHandlers(worker, deliverer)
        forsaken = ForsakenWork(database=database, queue=queue, slot=slot, now=_now)
        with queue.running(slot, handlers, stop_timeout_s=STOP_TIMEOUT_S):
            while not stop.wait(BEAT_INTERVAL_S):
                _beat(database, slot, forsaken)
        worker.release()
        remove_state(settings.data_dir, f"{slot}.json")
        if not queue.held_by(slot):
            with database.writing() as session:
                give_up_slot(session, slot=slot, pid=os.getpid())
        analysers.close()
        queue.close()
        database.close()


class Analysers:
    """The networks in memory, each loaded when it is asked for first.

    Parameters
    ----------
    settings
        The node's own weights, and the limits of decoding.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: dict[str, Analyser] = {}
        self._lock = threading.Lock()

    def get(self, weights: str) -> "Analyser":
        """Give the analyser for a folder of weights; empty: the node's own.

        Whoever comes while a network is being loaded waits for it.

        Raises
        ------
        PermanentError
            If the weights cannot be used.
        """
        from node.analysis.pipeline import Analyser

        folder = weights or self._settings.model.weights
        with self._lock:
            if folder not in self._loaded:
                try:
                    analyser = Analyser.load(self._settings, weights=folder)
                except WeightsError as error:
                    raise PermanentError(reason=str(error)) from error
                if len(self._loaded) == NETWORKS_KEPT:
                    oldest = next(name for name in self._loaded if name != self._own)
                    self._loaded.pop(oldest).close()
                self._loaded[folder] = analyser
            return self._loaded[folder]

    def close(self) -> None:
        """End the processes that read pixels; not waiting for a network that is being loaded."""
        if self._lock.acquire(blocking=False):
            for analyser in self._loaded.values():
                analyser.close()
            self._loaded.clear()
            self._lock.release()

    @property
    def _own(self) -> str:
        return self._settings.model.weights


def _warm_up(settings: Settings, slot: str, analysers: Analysers) -> None:
    """Load the network before the first study asks for it."""
    begun_at = _now()
    try:
        analysers.get("")
    except PermanentError as error:
        logger.error(
            "Network cannot be loaded: every analysis will fail",
            extra={"event": "network_not_loaded", "slot": slot, "reason": error.reason},
        )
        return
    duration_ms = round((_now() - begun_at).total_seconds() * 1000)
    write_state(settings.data_dir, f"{slot}.json", RoleState(pid=os.getpid(), slot=slot))
    logger.info(
        "Worker is ready",
        extra={"event": "worker_ready", "slot": slot, "duration_ms": duration_ms},
    )


def _beat(database: Database, slot: str, forsaken: ForsakenWork) -> None:
    """Give a sign of life, and others what was never begun; end if the slot is with others."""
    try:
        with database.writing() as session:
            is_holder = beat(session, slot=slot, pid=os.getpid(), at=_now())
        if is_holder:
            forsaken.give_anew()
    except OperationalError:
        logger.warning(
            "No sign of life could be given; the next one follows",
            extra={"event": "beat_failed", "slot": slot},
        )
        return
    if not is_holder:
        logger.error(
            "This worker was silent for too long; its work is with others, and it ends",
            extra={"event": "worker_slot_lost", "slot": slot},
        )
        logging.shutdown()
        os._exit(RoleExit.SLOT_LOST)


def _now() -> datetime:
    return datetime.now(UTC)
