"""A steady stream of studies into a node, and the account of what has become of them.

A finding is: an acknowledged instance that is not there in full, a result that the PACS has under
two SOP Instance UIDs or not at all, a study or delivery in no final state, a process or spool file
that was left, or something that ``mammonode fsck`` finds.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from node.service import read_port
from node.study_log.tables import DeliveryState, StudyState
from peers import SUCCESS, LoopbackPACS, association_to
from phantoms import screening_study
from reliability.node_watch import faults, incoming, is_running, rows

FINAL_STATES = {StudyState.COMPLETED, StudyState.FAILED, StudyState.SKIPPED}
PEACE_S = 900
"""How long all that was begun may take to end once the node is left in peace."""
RETRY_S = 0.5
TO_DELIVER = """
    SELECT result.sop_instance_uid FROM result
    JOIN delivery_object ON delivery_object.result_id = result.id
"""


@dataclass(slots=True, kw_only=True)
class Account:
    """What was sent, and what came of it."""

    studies: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    sent_again: int = 0
    results: int = 0
    delivered_again: int = 0
    findings: list[str] = field(default_factory=list)


class Stream:
    """Sends one study after the other until it is told to stop.

    Parameters
    ----------
    data_dir
        Of the node: its port changes whenever its receiver starts.
    first_seed
        Of the first study.
    pause_s
        Between two studies.
    """

    def __init__(self, data_dir: Path, *, first_seed: int, pause_s: float, account: Account):
        self._data_dir = data_dir
        self._seed = first_seed
        self._pause_s = pause_s
        self._account = account
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream")
        self.count = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Come to the end of the study that is being sent."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._send(screening_study(seed=self._seed, rows=64, columns=48))
            self._seed += 1
            self.count += 1
            self._stop.wait(self._pause_s)

    def _send(self, study: list[Dataset]) -> None:
        """Send what is not acknowledged yet, again and again."""
        left = study
        while left:
            port = read_port(self._data_dir)
            if port is not None:
                left = self._send_once(port, left)
            if left:
                self._account.sent_again += 1
                time.sleep(RETRY_S)

    def _send_once(self, port: int, study: list[Dataset]) -> list[Dataset]:
        left = list(study)
        with association_to(port, study) as assoc:
            for ds in study:
                if not assoc.is_established:
                    break
                # A connection that breaks within the request leaves no answer, or no association.
                with contextlib.suppress(RuntimeError):
                    if assoc.send_c_store(ds).get("Status") == SUCCESS:
                        self._account.acknowledged.add(str(ds.SOPInstanceUID))
                        left.remove(ds)
        return left


def becomes_true(is_so: Callable[[], object], deadline_s: float) -> bool:
    """Look again and again until something is so; False if it is not in time."""
    end_s = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.1)
    return True


def let_it_end(data_dir: Path, studies: int, account: Account) -> None:
    """Leave the node in peace until every study and every delivery has ended."""

    def has_ended() -> bool:
        states = [state for (state,) in rows(data_dir, "SELECT state FROM study")]
        deliveries = [state for (state,) in rows(data_dir, "SELECT state FROM delivery")]
        return (
            len(states) == studies
            and set(states) <= FINAL_STATES
            and not set(deliveries) & {DeliveryState.PENDING, DeliveryState.IN_PROGRESS}
            and len(deliveries) >= studies
        )

    if not becomes_true(has_ended, PEACE_S):
        account.findings.append(f"not everything had ended after {PEACE_S} s")


def examine(data_dir: Path, pacs: LoopbackPACS, family: set[int], account: Account) -> None:
    """Compare what was acknowledged, what is there, and what the PACS has."""
    found = account.findings
    instances = {uid for (uid,) in rows(data_dir, "SELECT sop_instance_uid FROM instance")}
    found += [f"lost: {uid}" for uid in sorted(account.acknowledged - instances)]
    account.studies.update(state for (state,) in rows(data_dir, "SELECT state FROM study"))
    deliveries = Counter(state for (state,) in rows(data_dir, "SELECT state FROM delivery"))
    found += [
        f"{count} studies are {state}"
        for state, count in account.studies.items()
        if state not in FINAL_STATES
    ]
    found += [
        f"{count} deliveries are {state}"
        for state, count in deliveries.items()
        if state != DeliveryState.COMPLETED
    ]
    results = {uid for (uid,) in rows(data_dir, TO_DELIVER)}
    filed = Counter(uid for uid, status in pacs.requests if status == SUCCESS)
    account.results = len(results)
    account.delivered_again = sum(count - 1 for count in filed.values())
    found += [f"not in the PACS: {uid}" for uid in sorted(results - set(filed))]
    found += [f"in the PACS, and no result of ours: {uid}" for uid in sorted(set(filed) - results)]
    found += [f"process {pid} is left" for pid in sorted(family) if is_running(pid)]
    found += [f"left in incoming: {path.name}" for path in incoming(data_dir)]
    found += faults(data_dir, is_alone=True)
