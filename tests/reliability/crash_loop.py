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
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import dedent

from node.service.run_files import RECEIVE_FILE, remove_state
from peers import loopback_pacs
from reliability.node_watch import children_of, descendants_of, is_running
from reliability.steady_stream import Account, Stream, becomes_true, examine, let_it_end
from serving import RunningNode, delivering_settings, running_node

ROLES = ("receive", "work", "supervisor")
BACK_S = 120
"""How long a role that was killed may take to be there again."""
RETRIES = """
    [work]
    max_attempts = 5
    [delivery]
    first_retry_s = 1
    longest_retry_s = 5
"""


@dataclass(slots=True, kw_only=True)
class Outcome(Account):
    """What came of a run."""

    kills: Counter[str] = field(default_factory=Counter)


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
        stream = Stream(folder / "data", first_seed=seed * 1000, pause_s=pause_s, account=outcome)
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
                    elif not becomes_true(partial(children_of, node.process.pid, role), BACK_S):
                        outcome.findings.append(f"{role} was not started again in {BACK_S} s")
            finally:
                stream.stop()
            let_it_end(folder / "data", stream.count, outcome)
            family.update(descendants_of(node.process.pid), [node.process.pid])
    examine(folder / "data", pacs, family, outcome)
    return outcome


def _kill(node: RunningNode, role: str, family: set[int], outcome: Outcome) -> None:
    pids = [node.process.pid] if role == "supervisor" else children_of(node.process.pid, role)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if role == "supervisor":
        node.process.wait()
        if not becomes_true(lambda: not any(map(is_running, family)), BACK_S):
            outcome.findings.append("roles outlived their supervisor")
        # What it says of the port is true no more, and the next node is waited for by it.
        remove_state(node.data_dir, RECEIVE_FILE)
    outcome.kills[role] += len(pids)


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
