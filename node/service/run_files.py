"""What runs at this moment, for whoever starts the node: small JSON files in ``data_dir/run``.

A role writes one when it is ready. A test or a demo that let the system choose the port reads it
there; a file of a process that is gone counts as none.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.errors import PermanentError
from node.store import Store

RECEIVE_FILE = "receive.json"
_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleState:
    """A role that is ready.

    Attributes
    ----------
    pid
        Of its process.
    port
        TCP port that it listens at; None for a worker.
    slot
        Worker slot that it holds; None for the receiver.
    """

    pid: int
    port: int | None = None
    slot: str | None = None


def run_folder(data_dir: Path) -> Path:
    """Give the folder, and make it if it is not there."""
    folder = data_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_state(data_dir: Path, name: str, state: RoleState) -> None:
    """Write a role's file, whole or not at all."""
    path = run_folder(data_dir) / name
    part = path.with_name(f"{name}.{state.pid}.part")
    part.write_text(json.dumps(asdict(state)), encoding="utf-8")
    part.replace(path)


def read_state(data_dir: Path, name: str) -> RoleState | None:
    """Read a role's file; None if the role is not ready or not running."""
    try:
        fields: dict[str, Any] = json.loads((data_dir / "run" / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    state = RoleState(**fields)
    try:
        os.kill(state.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return state


def remove_state(data_dir: Path, name: str) -> None:
    """Remove a role's file, if it is there."""
    (data_dir / "run" / name).unlink(missing_ok=True)


def read_port(data_dir: Path) -> int | None:
    """Give the TCP port that the node on a data folder listens at; None if it does not listen."""
    state = read_state(data_dir, RECEIVE_FILE)
    return state.port if state else None


@contextmanager
def held_lock(data_dir: Path, name: str, *, wait_s: float, holder: str) -> Iterator[None]:
    """Hold a lock file as long as the block lasts; the system frees it when the process ends.

    Parameters
    ----------
    data_dir
        The data folder.
    name
        Of the lock file in its ``run`` folder.
    wait_s
        How long another process is given to end.
    holder
        What that process is, for the message.

    Raises
    ------
    PermanentError
        If another process still holds it then.
    """
    end_s = time.monotonic() + wait_s
    with (run_folder(data_dir) / name).open("a") as lock:
        while not _try_lock(lock.fileno()):
            if time.monotonic() >= end_s:
                raise PermanentError(
                    reason=f"{holder} still runs on the data folder {data_dir}: stop it first"
                )
            time.sleep(_POLL_S)
        yield


@contextmanager
def first_free_slot(data_dir: Path, prefix: str) -> Iterator[str]:
    """Hold the first worker slot that no other process holds, and give its stable name.

    Raises
    ------
    PermanentError
        If no worker may run on the data folder now.
    """
    with Store(data_dir).worked_on():
        number = 1
        while True:
            slot = f"{prefix}-{number}"
            with (run_folder(data_dir) / f"{slot}.slot").open("a") as lock:
                if _try_lock(lock.fileno()):
                    yield slot
                    return
            number += 1


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
