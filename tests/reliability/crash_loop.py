"""``kill -9`` at random moments, under a steady stream of studies: nothing is lost or done twice.

    PYTHONPATH=tests python -m reliability.crash_loop --kills 200

Receiver, worker and supervisor of a real node are killed in turn, each at a moment of its own; a
supervisor is started anew as an init system would. A study is sent again until every instance of it
is acknowledged. Afterwards the node is left in peace until all has ended. A finding is: an
acknowledged instance that is not there in full, a result that the PACS has under two SOP Instance
UIDs or not at all, a study or delivery in no final state, a process or spool file that was left,
or something that ``mammonode fsck`` finds.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import dedent

from pydicom.dataset import Dataset

from node.service import read_port
from node.service.run_files import RECEIVE_FILE, remove_state
from node.study_log.tables import DeliveryState, StudyState
from peers import SUCCESS, LoopbackPACS, association_to, loopback_pacs
from phantoms import screening_study
from reliability.node_watch import (
    children_of,
    descendants_of,
    faults,
    incoming,
    is_running,
    rows,
)
from serving import RunningNode, delivering_settings, running_node

ROLES = ("receive", "work", "supervisor")
FINAL_STATES = {StudyState.COMPLETED, StudyState.FAILED, StudyState.SKIPPED}
PEACE_S = 900
"""How long all that was begun may take to end once nobody is killed any more."""
BACK_S = 120
"""How long a role that was killed may take to be there again."""
RETRY_S = 0.5
TO_DELIVER = """
    SELECT result.sop_instance_uid FROM result
    JOIN delivery_object ON delivery_object.result_id = result.id
"""
RETRIES = """
    [work]
    max_attempts = 5
    [delivery]
    first_retry_s = 1
    longest_retry_s = 5
"""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    kills: Counter[str] = field(default_factory=Counter)
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

    def __init__(self, data_dir: Path, *, first_seed: int, pause_s: float, outcome: Outcome):
        self._data_dir = data_dir
        self._seed = first_seed
        self._pause_s = pause_s
        self._outcome = outcome
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
                self._outcome.sent_again += 1
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
                        self._outcome.acknowledged.add(str(ds.SOPInstanceUID))
                        left.remove(ds)
        return left


def crash_loop(
    folder: Path,
    *,
    kills: int,
    seed: int,
    weights: Path,
    pause_s: float = 10.0,
    longest_wait_s: float = 12.0,
) -> Outcome:
    """Run a node in a folder, kill at it, and look at what is there in the end.

    Parameters
    ----------
    kills
        How many.
    seed
        Decides who is killed, and how long after all were there again.
    weights
        Folder of the weights.
    pause_s
        Between two studies.
    longest_wait_s
        Between two kills, beside the time that the role takes to come back.
    """
    rng = random.Random(seed)
    outcome = Outcome()
    family: set[int] = set()
    with loopback_pacs() as pacs:
        settings = dedent(
            delivering_settings(weights=weights, pacs_ae_title="PACS", pacs_port=pacs.port)
        ) + dedent(RETRIES)
        stream = Stream(folder / "data", first_seed=seed * 1000, pause_s=pause_s, outcome=outcome)
        with contextlib.ExitStack() as nodes:
            node = nodes.enter_context(running_node(folder, settings))
            stream.start()
            try:
                for number in range(kills):
                    time.sleep(rng.uniform(0, longest_wait_s))
                    role = ROLES[number % len(ROLES)]
                    family.update(descendants_of(node.process.pid), [node.process.pid])
                    _kill(node, role, family, outcome)
                    if role == "supervisor":
                        node = nodes.enter_context(running_node(folder, settings))
                    elif not _wait(partial(children_of, node.process.pid, role), BACK_S):
                        outcome.findings.append(f"{role} was not started again in {BACK_S} s")
            finally:
                stream.stop()
            _let_it_end(folder / "data", stream.count, outcome)
            family.update(descendants_of(node.process.pid), [node.process.pid])
    _examine(folder / "data", pacs, family, outcome)
    return outcome


def _kill(node: RunningNode, role: str, family: set[int], outcome: Outcome) -> None:
    pids = [node.process.pid] if role == "supervisor" else children_of(node.process.pid, role)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if role == "supervisor":
        node.process.wait()
        if not _wait(lambda: not any(map(is_running, family)), BACK_S):
            outcome.findings.append("roles outlived their supervisor")
        # What it says of the port is true no more, and the next node is waited for by it.
        remove_state(node.data_dir, RECEIVE_FILE)
    outcome.kills[role] += len(pids)


def _wait(is_so: Callable[[], object], deadline_s: float) -> bool:
    end_s = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.1)
    return True


def _let_it_end(data_dir: Path, studies: int, outcome: Outcome) -> None:
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

    if not _wait(has_ended, PEACE_S):
        outcome.findings.append(f"not everything had ended after {PEACE_S} s")


def _examine(data_dir: Path, pacs: LoopbackPACS, family: set[int], outcome: Outcome) -> None:
    """Compare what was acknowledged, what is there, and what the PACS has."""
    found = outcome.findings
    instances = {uid for (uid,) in rows(data_dir, "SELECT sop_instance_uid FROM instance")}
    found += [f"lost: {uid}" for uid in sorted(outcome.acknowledged - instances)]
    outcome.studies.update(state for (state,) in rows(data_dir, "SELECT state FROM study"))
    deliveries = Counter(state for (state,) in rows(data_dir, "SELECT state FROM delivery"))
    found += [
        f"{count} studies are {state}"
        for state, count in outcome.studies.items()
        if state not in FINAL_STATES
    ]
    found += [
        f"{count} deliveries are {state}"
        for state, count in deliveries.items()
        if state != DeliveryState.COMPLETED
    ]
    results = {uid for (uid,) in rows(data_dir, TO_DELIVER)}
    filed = Counter(uid for uid, status in pacs.requests if status == SUCCESS)
    outcome.results = len(results)
    outcome.delivered_again = sum(count - 1 for count in filed.values())
    found += [f"not in the PACS: {uid}" for uid in sorted(results - set(filed))]
    found += [f"in the PACS, and no result of ours: {uid}" for uid in sorted(set(filed) - results)]
    found += [f"process {pid} is left" for pid in sorted(family) if is_running(pid)]
    found += [f"left in incoming: {path.name}" for path in incoming(data_dir)]
    found += faults(data_dir, is_alone=True)


def main() -> int:
    """Run the loop, print what came of it, and end with 1 on a finding."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=10.0, help="seconds between two studies")
    parser.add_argument("--folder", type=Path, help="keep data and log there")
    options = parser.parse_args()
    from networks import write_untrained_weights  # TensorFlow takes seconds to load

    begun_at_s = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        weights = folder / "weights"
        weights.mkdir()
        outcome = crash_loop(
            folder,
            kills=options.kills,
            seed=options.seed,
            weights=write_untrained_weights(weights),
            pause_s=options.pause,
        )
    for name, value in (
        ("kills", ", ".join(f"{role} {count}" for role, count in outcome.kills.items())),
        ("studies", ", ".join(f"{state} {count}" for state, count in outcome.studies.items())),
        ("instances acknowledged", len(outcome.acknowledged)),
        ("associations tried again", outcome.sent_again),
        ("results in the PACS", outcome.results),
        ("of them sent again", outcome.delivered_again),
        ("seconds", round(time.monotonic() - begun_at_s)),
    ):
        print(f"{name:26} {value}")
    for finding in outcome.findings:
        print(f"FINDING {finding}")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
