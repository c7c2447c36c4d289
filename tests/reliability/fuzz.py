"""Broken data sets and broken PDUs to a real receiver: it answers or aborts, and stays as it was.

    PYTHONPATH=tests python -m reliability.fuzz --data-sets 10000 --pdus 2000

The receiver is a process of its own. A finding is: an answer that is not documented, none within
the time, a traceback in the log, a process that died, memory, threads or file descriptors that
grow, a file left in ``incoming/``, something that ``mammonode fsck`` finds, or a good study that
is refused afterwards.
"""

import argparse
import contextlib
import errno
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from node.intake.admit import OUT_OF_RESOURCES
from node.intake.answers import ANSWERS
from peers import send
from phantoms import screening_study
from reliability.mutations import (
    TRANSFER_SYNTAXES,
    DataSet,
    good_data_sets,
    mutated_data_sets,
    mutated_sessions,
)
from reliability.node_watch import (
    MIB,
    complaints,
    descriptor_count,
    faults,
    incoming,
    memory_bytes,
    receiver_pid,
    thread_count,
)
from serving import RunningNode, running_node, wait_until

NETWORK_TIMEOUT_S = 2
ANSWER_S = 60
"""A peer that hears nothing for so long speaks of a hang: twenty times what is agreed."""
MAX_GROWTH_BYTES = 16 * MIB
"""What the receiver may take more at the end than half-way, once its caches are full."""
SAMPLES = 10
FIRST_ANSWER_S = 1
STEADY_S = 3
PAUSE_S = 0.2
CLOCK_THREADS = 10
"""Of the scheduler's pool, which are started one by one as its jobs come."""
NO_ANSWER = -1
CONNECTIONS_AT_ONCE = 16

SETTINGS = f"""
    [receive]
    port = 0
    low_watermark_bytes = 0
    network_timeout_s = {NETWORK_TIMEOUT_S}
    max_object_bytes = 16777216
"""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a run.

    Attributes
    ----------
    answers
        How often each mutation was answered with each status, or how its association ended.
    findings
        What must not be; empty if all is well.
    """

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    longest_s: float = 0.0


def fuzz(folder: Path, *, data_sets: int, pdus: int, seed: int) -> Outcome:
    """Run a receiver in a folder, break things at it, and look at what it has become.

    Parameters
    ----------
    data_sets, pdus
        How many broken data sets, and how many sessions with broken PDUs.
    seed
        Decides all of them.
    """
    outcome = Outcome()
    with running_node(folder, SETTINGS, role="receive") as node:
        pid = receiver_pid(node.data_dir)
        assert pid is not None
        recorded = record_session(node.port)
        # Only then has it all its own threads: the clock is loaded while it receives already.
        _wait_for_its_threads(pid)
        idle_threads, idle_descriptors = thread_count(pid), descriptor_count(pid)
        _send_data_sets(node, pid, mutated_data_sets(seed, data_sets), data_sets, outcome)
        _send_sessions(node, pid, list(mutated_sessions(seed, recorded, pdus)), outcome)
        with contextlib.suppress(AssertionError):
            wait_until(
                lambda: (
                    thread_count(pid) <= idle_threads + CLOCK_THREADS
                    and not incoming(node.data_dir)
                ),
                deadline_s=60,
                what="everybody has gone",
            )
        if thread_count(pid) > idle_threads + CLOCK_THREADS:
            outcome.findings.append(f"threads: {idle_threads} before, {thread_count(pid)} after")
        if descriptor_count(pid) > idle_descriptors + 8:
            outcome.findings.append(
                f"file descriptors: {idle_descriptors} before, {descriptor_count(pid)} after"
            )
        outcome.findings += [f"left behind: {path.name}" for path in incoming(node.data_dir)]
        statuses = send(node.port, screening_study(seed=seed + 77, rows=64, columns=48))
        if statuses != [0, 0, 0, 0]:
            outcome.findings.append(f"a good study was answered with {statuses}")
        if receiver_pid(node.data_dir) != pid:
            outcome.findings.append("the receiver is another process than before")
    outcome.findings += faults(node.data_dir, is_alone=True)
    outcome.findings += complaints(node.log_file)
    return outcome


def _wait_for_its_threads(pid: int) -> None:
    steady_since_s, count = time.monotonic(), 0
    while time.monotonic() - steady_since_s < STEADY_S:
        if thread_count(pid) != count:
            steady_since_s, count = time.monotonic(), thread_count(pid)
        time.sleep(0.1)


def record_session(port: int) -> list[bytes]:
    """Send a small mammogram and say good-bye; give the PDUs that were sent."""
    recorded: list[bytes] = []
    ae = AE(ae_title="TESTSCU")
    good = good_data_sets()[0]
    ae.add_requested_context(good.sop_class_uid, good.transfer_syntax_uid)
    association = ae.associate(
        "127.0.0.1",
        port,
        ae_title="MAMMONODE",
        evt_handlers=[(evt.EVT_DATA_SENT, lambda event: recorded.append(event.data))],
    )
    assert association.is_established
    assert send_raw(_listening(association), good) == 0
    _let_go(association)
    return recorded


def send_raw(association: Association, data_set: DataSet) -> int:
    """Send bytes as a C-STORE request, unchecked; give the status, `NO_ANSWER` for none.

    The association is `_listening`: ``Association.send_c_store`` would not let such a request out.
    """
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = data_set.sop_class_uid
    request.AffectedSOPInstanceUID = data_set.sop_instance_uid
    request.DataSet = BytesIO(data_set.data)
    (context_id,) = (
        context.context_id
        for context in association.accepted_contexts
        if context.transfer_syntax[0] == data_set.transfer_syntax_uid
    )
    assert context_id is not None
    association.dimse.send_msg(request, context_id)
    _, response = association.dimse.get_msg(block=True)
    status = getattr(response, "Status", None)
    return NO_ANSWER if status is None else int(status)


def _associate(port: int) -> Association:
    ae = AE(ae_title="TESTSCU")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ANSWER_S
    sop_class_uid = good_data_sets()[0].sop_class_uid
    for syntax in TRANSFER_SYNTAXES:
        ae.add_requested_context(sop_class_uid, syntax)
    association = ae.associate("127.0.0.1", port, ae_title="MAMMONODE", max_pdu=0)
    assert association.is_established, "a good association is accepted"
    return _listening(association)


def _listening(association: Association) -> Association:
    """Stop the association's own thread: it would take answers that are waited for here."""
    association._reactor_checkpoint.clear()
    time.sleep(PAUSE_S)  # it may be just past the checkpoint, and then is not for long
    wait_until(lambda: association._is_paused, deadline_s=ANSWER_S, what="its thread pauses")
    return association


def _let_go(association: Association) -> None:
    association._reactor_checkpoint.set()
    if association.is_established:
        association.release()


def _send_data_sets(
    node: RunningNode, pid: int, broken: Iterator[DataSet], count: int, outcome: Outcome
) -> None:
    documented = {answer.status for answer in ANSWERS} - {OUT_OF_RESOURCES}
    association = _associate(node.port)
    for number, data_set in enumerate(broken):
        begun_at_s = time.monotonic()
        status = send_raw(association, data_set) if data_set.data else 0xC000
        seconds = time.monotonic() - begun_at_s
        outcome.longest_s = max(outcome.longest_s, seconds)
        answer = "aborted" if status == NO_ANSWER else f"0x{status:04X}"
        outcome.answers[data_set.mutation, answer] += 1
        if status == NO_ANSWER:
            _let_go(association)
            association = _associate(node.port)
        if seconds >= ANSWER_S or status not in {*documented, NO_ANSWER}:
            outcome.findings.append(f"data set {number} ({data_set.mutation}): {answer}")
        if number % max(1, count // SAMPLES) == 0:
            outcome.memory_mib.append(memory_bytes(pid) / MIB)
    _let_go(association)
    _compare_memory(pid, outcome, "data sets")


def _send_sessions(
    node: RunningNode, pid: int, sessions: Sequence[tuple[str, list[bytes]]], outcome: Outcome
) -> None:
    outcome.memory_mib.append(memory_bytes(pid) / MIB)
    tenth = max(1, len(sessions) // SAMPLES)
    with ThreadPoolExecutor(CONNECTIONS_AT_ONCE) as pool:
        for begin in range(0, len(sessions), tenth):
            part = sessions[begin : begin + tenth]
            told = pool.map(
                lambda numbered: _say(
                    node.port,
                    numbered[1][1],
                    is_hasty=numbered[0] % 4 == 0,
                    waits=numbered[0] % 10 == 0,
                ),
                enumerate(part),
            )
            for number, ((name, _), (answer, seconds)) in enumerate(zip(part, told, strict=True)):
                outcome.answers[f"PDU: {name}", answer] += 1
                outcome.longest_s = max(outcome.longest_s, seconds)
                if answer == "hangs":
                    outcome.findings.append(f"session {begin + number} ({name}) hangs")
            outcome.memory_mib.append(memory_bytes(pid) / MIB)
    _compare_memory(pid, outcome, "PDUs")


def _say(port: int, pdus: list[bytes], *, is_hasty: bool, waits: bool) -> tuple[str, float]:
    """Say everything on one connection and listen to its end.

    Parameters
    ----------
    is_hasty
        Do not wait for what the node says to the first PDU.
    waits
        Leave it to the node to end a connection that it hears nothing more from.
    """
    begun_at_s = time.monotonic()
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S) as connection:
        try:
            with _whose_end_may_come():
                connection.sendall(pdus[0])
                if not is_hasty:
                    connection.settimeout(FIRST_ANSWER_S)
                    with contextlib.suppress(TimeoutError):
                        heard += connection.recv(65536)
                    connection.settimeout(ANSWER_S)
                connection.sendall(b"".join(pdus[1:]))
                if not waits:
                    connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    heard += piece
        except TimeoutError:
            return "hangs", time.monotonic() - begun_at_s
    return _last_of(heard), time.monotonic() - begun_at_s


@contextlib.contextmanager
def _whose_end_may_come() -> Iterator[None]:
    """Bear that the node ends the connection while it is still being spoken to."""
    try:
        yield
    except (BrokenPipeError, ConnectionResetError):
        pass
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


def _last_of(heard: bytes) -> str:
    """Name the last PDU that the node sent."""
    names = {2: "accepted", 3: "rejected", 4: "answered", 6: "released", 7: "aborted"}
    last = "closed"
    while len(heard) >= 6:
        kind, length = struct.unpack_from(">BxL", heard)
        last, heard = names.get(kind, f"PDU {kind}"), heard[6 + length :]
    return last


def _compare_memory(pid: int, outcome: Outcome, what: str) -> None:
    grown = memory_bytes(pid) / MIB - outcome.memory_mib[-SAMPLES // 2 :][0]
    if grown * MIB > MAX_GROWTH_BYTES:
        outcome.findings.append(f"memory grew by {grown:.0f} MiB while it was sent broken {what}")


def main() -> int:
    """Fuzz, print the table, and end with 1 on a finding."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--data-sets", type=int, default=10_000, help="broken data sets")
    parser.add_argument("--pdus", type=int, default=2_000, help="sessions with broken PDUs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep data and log there")
    options = parser.parse_args()
    begun_at_s = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        outcome = fuzz(
            options.folder or Path(temporary),
            data_sets=options.data_sets,
            pdus=options.pdus,
            seed=options.seed,
        )
    for (mutation, answer), count in sorted(outcome.answers.items()):
        if " and " not in mutation:
            print(f"{mutation:30} {answer:10} {count:6}")
    print(f"receiver's memory, MiB: {', '.join(f'{each:.0f}' for each in outcome.memory_mib)}")
    print(f"longest: {outcome.longest_s:.1f} s; in all {time.monotonic() - begun_at_s:.0f} s")
    for finding in outcome.findings:
        print(f"FINDING {finding}")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
