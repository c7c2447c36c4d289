"""What a running node says of itself in small files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import PermanentError
from node.service.run_files import (
    RECEIVE_FILE,
    RoleState,
    first_free_slot,
    held_lock,
    read_port,
    read_state,
    remove_state,
    write_state,
)


def test_the_port_is_known_as_long_as_the_receiver_runs(tmp_path: Path) -> None:
    before = read_port(tmp_path)
    write_state(tmp_path, RECEIVE_FILE, RoleState(pid=os.getpid(), port=11112))
    meanwhile = read_port(tmp_path)
    remove_state(tmp_path, RECEIVE_FILE)
    after = read_port(tmp_path)

    assert (before, meanwhile, after) == (None, 11112, None)


def test_the_file_of_a_process_that_is_gone_counts_as_none(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_state(tmp_path, "worker-1.json", RoleState(pid=ended.pid, slot="worker-1"))

    assert read_state(tmp_path, "worker-1.json") is None


def test_each_worker_on_a_machine_has_a_slot_of_its_own_and_a_free_one_is_taken_again(
    tmp_path: Path,
) -> None:
    with first_free_slot(tmp_path, "worker") as first:
        with first_free_slot(tmp_path, "worker") as second:
            pass
        with first_free_slot(tmp_path, "worker") as second_again:
            pass
    with first_free_slot(tmp_path, "worker") as first_again:
        pass

    assert (first, first_again) == ("worker-1", "worker-1")
    assert (second, second_again) == ("worker-2", "worker-2")


def test_a_lock_that_is_held_is_waited_for_and_then_told(tmp_path: Path) -> None:
    with (
        held_lock(tmp_path, "receive.lock", wait_s=0, holder="Another receiver"),
        pytest.raises(PermanentError, match="Another receiver still runs"),
        held_lock(tmp_path, "receive.lock", wait_s=0.1, holder="Another receiver"),
    ):
        pass
    with held_lock(tmp_path, "receive.lock", wait_s=0, holder="Another receiver"):
        pass
