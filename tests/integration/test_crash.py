"""``kill -9``, again and again: what was acknowledged is there, and each study ends once."""

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.service import read_port
from node.settings import Settings
from node.study_log.database import SQLITE_FILE, Database
from node.study_log.tables import Instance, Result, Revision, Study, StudyState
from peers import LoopbackPACS, association_to, echo, loopback_pacs, send
from phantoms import mammogram, screening_study
from reliability.node_watch import children_of, descendants_of, events, is_running
from serving import RunningNode, running_node, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

STUDY_DEADLINE_S = 240
"""Of a study whose worker starts anew: TensorFlow's start is most of it."""


@pytest.fixture
def pacs() -> Iterator[LoopbackPACS]:
    with loopback_pacs() as pacs:
        yield pacs


@pytest.fixture
def settings(pacs: LoopbackPACS, untrained_weights: Path) -> str:
    return f"""
        [receive]
        port = 0
        low_watermark_bytes = 1000000
        [study]
        view_set_quiet_s = 0.5
        [model]
        weights = {json.dumps(str(untrained_weights))}
        [[destinations]]
        name = "pacs"
        ae_title = "PACS"
        host = "127.0.0.1"
        port = {pacs.port}
        profile = "everything"
    """


def test_a_worker_killed_in_the_middle_of_a_study_costs_nothing(
    tmp_path: Path, settings: str, pacs: LoopbackPACS
) -> None:
    study = screening_study(seed=31)
    with running_node(tmp_path, settings) as node:
        assert send(node.port, study) == [0, 0, 0, 0]
        # The first step has left its outcome: the second is at work.
        wait_for_file(node, "studies/*/results/1/analysis.npz")
        killed = children_of(node.process.pid, "work")
        family = [*killed, *descendants_of(killed[0])]
        kill(killed)
        wait_for_event(node, "delivery_completed")

        results = results_of(node)
        log = events(node.log_file)

    assert study_states(node) == [StudyState.COMPLETED]
    assert interruptions(node) == [1]
    assert_each_result_came_once(results, pacs)
    assert [line["status"] for line in log if line["event"] == "role_died"] == [-9]
    assert len(family) > 1  # it has children that decode
    assert_nobody_is_left(node, family)


def test_a_receiver_killed_in_the_middle_of_an_object_keeps_what_it_had_acknowledged(
    tmp_path: Path, settings: str
) -> None:
    *first, last = screening_study(seed=33)
    with running_node(tmp_path, settings, role="receive") as node:
        assert send(node.port, first) == [0, 0, 0]
        killed = children_of(node.process.pid, "receive")

        answers = send_while(
            node.port,
            # Large enough that the reception takes a while.
            mammogram(seed=33, rows=6000, columns=6000, instance_number=9),
            lambda: kill_once_something_arrives(node, killed),
        )
        wait_until(lambda: answers_again(node), deadline_s=60, what="the receiver is back")
        left_in_incoming = list((node.data_dir / "incoming").iterdir())
        port = read_port(node.data_dir)
        assert port is not None
        assert send(port, [last]) == [0]
        wait_for_event(node, "study_closed")

    assert answers == [None]
    assert left_in_incoming == []
    assert stored_uids(node) == {str(ds.SOPInstanceUID) for ds in (*first, last)}
    assert study_states(node) == [StudyState.SCHEDULED]
    assert_nobody_is_left(node, killed)


def test_a_supervisor_killed_takes_its_roles_along_and_the_next_one_finishes_the_study(
    tmp_path: Path, settings: str, pacs: LoopbackPACS
) -> None:
    study = screening_study(seed=34)
    with running_node(tmp_path, settings) as node:
        send(node.port, study)
        wait_for_event(node, "analysis_started")
        roles = children_of(node.process.pid, "receive") + children_of(node.process.pid, "work")
        family = descendants_of(node.process.pid)
        os.kill(node.process.pid, signal.SIGKILL)
        wait_until(
            lambda: not any(is_running(pid) for pid in family),
            deadline_s=10,
            what="no process is left behind",
        )

    with running_node(tmp_path, settings) as node:
        wait_for_event(node, "delivery_completed")
        results = results_of(node)

    assert len(roles) == 2
    assert stored_uids(node) == {str(ds.SOPInstanceUID) for ds in study}
    assert study_states(node) == [StudyState.COMPLETED]
    assert_each_result_came_once(results, pacs)
    assert_nobody_is_left(node, family)


def wait_for_event(node: RunningNode, event: str) -> None:
    """Wait for an event that became durable, whichever process it happened in."""
    end_s = time.monotonic() + STUDY_DEADLINE_S
    # A look that costs nothing: the node needs the processor for itself.
    with contextlib.closing(sqlite3.connect(node.data_dir / SQLITE_FILE)) as log:
        while not log.execute("SELECT 1 FROM event WHERE event = ?", (event,)).fetchone():
            is_over = time.monotonic() > end_s or node.process.poll() is not None
            assert not is_over, f"no {event}: {node.log_file.read_text()[-3000:]}"
            time.sleep(0.1)


def wait_for_file(node: RunningNode, pattern: str) -> None:
    """Wait until a file is there, and waste no time: what made it goes on."""
    end_s = time.monotonic() + STUDY_DEADLINE_S
    while not any(node.data_dir.glob(pattern)):
        is_over = time.monotonic() > end_s or node.process.poll() is not None
        assert not is_over, f"no {pattern}: {node.log_file.read_text()[-3000:]}"
        time.sleep(0.01)


@contextlib.contextmanager
def study_log(node: RunningNode) -> Iterator[Database]:
    database = Database.open(Settings(data_dir=node.data_dir))
    try:
        yield database
    finally:
        database.close()


def results_of(node: RunningNode) -> list[Result]:
    with study_log(node) as database, database.reading() as session:
        results = list(session.scalars(select(Result)))
        session.expunge_all()
        return results


def study_states(node: RunningNode) -> list[str]:
    with study_log(node) as database, database.reading() as session:
        return list(session.scalars(select(Study.state)))


def interruptions(node: RunningNode) -> list[int]:
    with study_log(node) as database, database.reading() as session:
        return list(session.scalars(select(Revision.interruptions)))


def stored_uids(node: RunningNode) -> set[str]:
    """Give the instances of the log whose files are there in full."""
    with study_log(node) as database, database.reading() as session:
        return {
            row.sop_instance_uid
            for row in session.scalars(select(Instance))
            if (node.data_dir / row.path).stat().st_size >= row.size_bytes
        }


def assert_each_result_came_once(results: list[Result], pacs: LoopbackPACS) -> None:
    kinds = Counter(row.kind for row in results)
    assert kinds["score_report"] == 1
    assert kinds["heat_map"] == 4
    sent = Counter(uid for uid, _ in pacs.requests)
    assert sent == Counter(row.sop_instance_uid for row in results)
    assert set(sent.values()) == {1}


def assert_nobody_is_left(node: RunningNode, pids: list[int]) -> None:
    assert not is_running(node.process.pid)
    assert [pid for pid in pids if is_running(pid)] == []


def answers_again(node: RunningNode) -> bool:
    port = read_port(node.data_dir)
    return port is not None and echo(port)


def send_while(port: int, ds: Dataset, happening: Callable[[], None]) -> list[int | None]:
    """Send one data set, let something happen meanwhile, and give the status or None."""
    answers: list[int | None] = []

    def send_it() -> None:
        with association_to(port, [ds]) as assoc:
            response = assoc.send_c_store(ds)
            answers.append(response.get("Status"))

    sender = threading.Thread(target=send_it)
    sender.start()
    happening()
    sender.join(60)
    return answers


def kill_once_something_arrives(node: RunningNode, pids: list[int]) -> None:
    incoming = node.data_dir / "incoming"
    wait_until(
        lambda: any(path.stat().st_size > 0 for path in incoming.iterdir()),
        deadline_s=30,
        what="a part of the object has arrived",
    )
    kill(pids)


def kill(pids: list[int]) -> None:
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
