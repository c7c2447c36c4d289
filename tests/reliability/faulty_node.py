"""A whole node in one process, with a fault; see `fault_points`.

All is real but the network, in which there is nothing to fail that is kept: what it makes of the
study is read from a file that the real one has left, so that TensorFlow need not be loaded for
every fault.
"""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import dbos  # noqa: F401  # imported late by the node; here before the fork

from node import logs, rescue, schedule
from node.analysis import record, worker
from node.analysis.sources import SourceInstance
from node.errors import PermanentError, TransientError
from node.results import Predecessor, StudyResult
from node.service import receive_role, work_role
from node.settings import Settings
from reliability.fault import Fault, install
from reliability.faulty import Driver

logger = logging.getLogger(__name__)

Stumbling = type[PermanentError | TransientError] | None

ROLE_ENDED = 3
SLOT = "worker-1"


class RecordedAnalysers:
    """In place of `node.service.work_role.Analysers`: gives back what was found before."""

    outcome_file = Path()
    stumbling: Stumbling = None

    def __init__(self, _settings: Settings) -> None:
        pass

    def get(self, _weights: str) -> "RecordedAnalysers":
        """Give an analyser."""
        return self

    def analyse(
        self,
        *,
        study_instance_uid: str,
        revision: int,
        closed_at: datetime,
        sources: Sequence[SourceInstance],
        predecessors: Sequence[Predecessor],
    ) -> StudyResult:
        """Give what was found in the study; the first time, stumble if that is wanted."""
        if self.stumbling is not None:
            error, RecordedAnalysers.stumbling = self.stumbling, None
            raise error(reason="made to fail")
        found = record.load(self.outcome_file)
        assert (found.study_instance_uid, found.revision) == (study_instance_uid, revision)
        assert len(found.instances) == len(sources)
        return replace(found, closed_at=closed_at, predecessors=tuple(predecessors))

    def close(self) -> None:
        """Be done."""


def run_node(
    driver: Driver,
    point: str,
    way: str,
    settings: Settings,
    outcome_file: Path,
    stumbling: Stumbling,
) -> None:
    """Run both roles until the driver says that it is enough.

    The process ends with `ROLE_ENDED` where a role of a real node would end and be started again.
    """
    logs.configure()
    # What is rare in a node that serves has its turn within seconds here.
    schedule.LOST_INTERVAL_S = 4
    schedule.COMMITMENT_INTERVAL_S = 1
    worker.FIRST_RETRY_S = 1
    rescue.FORSAKEN_S = 4
    RecordedAnalysers.outcome_file = outcome_file
    RecordedAnalysers.stumbling = stumbling
    work_role.Analysers = RecordedAnalysers  # type: ignore[assignment, misc]
    fault = Fault(point, way, driver.tell)
    install(fault)
    fault.is_armed = True
    stop = threading.Event()
    roles = [
        threading.Thread(target=_run, args=(lambda: receive_role.run_receive(settings, stop),)),
        threading.Thread(target=_run, args=(lambda: work_role.run_work(settings, SLOT, stop),)),
    ]
    for role in roles:
        role.start()
    driver.wait_for_the_end()
    fault.is_armed = False
    stop.set()
    for role in roles:
        role.join()


def _run(role: Callable[[], None]) -> None:
    try:
        role()
    except Exception:  # as a role's process would end
        logger.exception("Role ends", extra={"event": "role_ends"})
        logging.shutdown()
        os._exit(ROLE_ENDED)
