"""Many associations at once, while others connect and never say a word.

    PYTHONPATH=tests python -m reliability.load

All associations are open before the first object is sent. An idle connection that the node ends
is opened again at once, so that there are always as many. A finding is: an association or object
that is refused, one that is acknowledged and not there, or something that ``mammonode fsck`` finds.
"""

import argparse
import contextlib
import socket
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from peers import SUCCESS, association_to
from phantoms import mammogram, uid
from reliability.node_watch import (
    MIB,
    descriptor_count,
    faults,
    incoming,
    memory_bytes,
    receiver_pid,
    rows,
    thread_count,
)
from serving import running_node

SETTINGS = """
    [receive]
    port = 0
    low_watermark_bytes = 0
"""
START_S = 120


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a run.

    Attributes
    ----------
    latencies_s
        From the request to the answer of each object, as its sender sees it.
    """

    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    memory_mib: float = 0.0
    threads: int = 0
    descriptors: int = 0
    idle: int = 0
    opened_again: int = 0
    findings: list[str] = field(default_factory=list)


class IdleConnections:
    """Connections that ask for nothing, as many as there are to be, for the length of a block."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._connections = [self._open() for _ in range(count)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="idle")
        self.opened_again = 0

    def __enter__(self) -> "IdleConnections":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _open(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        connection.setblocking(False)
        return connection

    def _keep(self) -> None:
        while not self._stop.wait(0.2):
            for index, connection in enumerate(self._connections):
                try:
                    is_ended = not connection.recv(100)
                except BlockingIOError:
                    continue
                except ConnectionResetError:
                    is_ended = True
                if is_ended:
                    connection.close()
                    self._connections[index] = self._open()
                    self.opened_again += 1


def load(folder: Path, *, associations: int, objects: int, idle: int) -> Outcome:
    """Run a receiver in a folder, send to it from all sides, and look at what is there.

    Parameters
    ----------
    associations
        Open at once; each sends one study.
    objects
        In all.
    idle
        Connections that ask for nothing.
    """
    outcome = Outcome(idle=idle)
    ready = threading.Barrier(associations + 1, timeout=START_S)
    with running_node(folder, SETTINGS, role="receive") as node:
        pid = receiver_pid(node.data_dir)
        assert pid is not None
        senders = [
            threading.Thread(
                target=_send, args=(node.port, number, objects // associations, ready, outcome)
            )
            for number in range(associations)
        ]
        with IdleConnections(node.port, idle) as silent:
            for sender in senders:
                sender.start()
            with contextlib.suppress(threading.BrokenBarrierError):
                ready.wait()
            begun_at_s = time.monotonic()
            outcome.memory_mib = memory_bytes(pid) / MIB
            outcome.threads, outcome.descriptors = thread_count(pid), descriptor_count(pid)
            for sender in senders:
                sender.join()
            outcome.seconds = time.monotonic() - begun_at_s
            outcome.memory_mib = max(outcome.memory_mib, memory_bytes(pid) / MIB)
            outcome.opened_again = silent.opened_again
    sent = associations * (objects // associations)
    ((stored,),) = rows(node.data_dir, "SELECT count(*) FROM instance")
    if stored != sent or len(outcome.latencies_s) != sent:
        outcome.findings.append(
            f"{sent} were sent, {len(outcome.latencies_s)} acknowledged, {stored} are there"
        )
    outcome.findings += [f"left in incoming: {path.name}" for path in incoming(node.data_dir)]
    outcome.findings += faults(node.data_dir, is_alone=True)
    return outcome


def _send(port: int, number: int, count: int, ready: threading.Barrier, outcome: Outcome) -> None:
    ds = mammogram(seed=7000 + number, rows=64, columns=48)
    with association_to(port, [ds]) as assoc:
        if not assoc.is_established:
            outcome.findings.append(f"association {number} was not accepted")
            ready.abort()
            return
        try:
            ready.wait()
        except threading.BrokenBarrierError:
            outcome.findings.append(f"association {number} did not see all others open")
        for index in range(count):
            ds.SOPInstanceUID = uid("load", number, index)
            begun_at_s = time.monotonic()
            status = assoc.send_c_store(ds).get("Status")
            if status == SUCCESS:
                outcome.latencies_s.append(time.monotonic() - begun_at_s)
            else:
                outcome.findings.append(f"object {index} of association {number}: {status}")


def main() -> int:
    """Load a receiver, print the figures, and end with 1 on a finding."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--associations", type=int, default=50)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--idle", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = load(
            Path(folder),
            associations=options.associations,
            objects=options.objects,
            idle=options.idle,
        )
    latencies_ms = sorted(1000 * each for each in outcome.latencies_s) or [0.0]
    for name, value in (
        ("objects acknowledged", len(outcome.latencies_s)),
        ("seconds", f"{outcome.seconds:.1f}"),
        ("latency, median", f"{statistics.median(latencies_ms):.0f} ms"),
        ("latency, 95 of 100", f"{latencies_ms[int(0.95 * (len(latencies_ms) - 1))]:.0f} ms"),
        ("latency, longest", f"{latencies_ms[-1]:.0f} ms"),
        ("idle connections", f"{outcome.idle}, opened again {outcome.opened_again} times"),
        ("receiver's memory", f"{outcome.memory_mib:.0f} MiB"),
        ("its threads", outcome.threads),
        ("its file descriptors", outcome.descriptors),
    ):
        print(f"{name:22} {value}")
    for finding in outcome.findings:
        print(f"FINDING {finding}")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
