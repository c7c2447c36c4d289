"""What can be seen of a running node from outside: its processes, its log, its data folder."""

import contextlib
import json
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.keeping.whole import Examiner
from node.service.run_files import RECEIVE_FILE, read_state
from node.settings import Settings
from node.store import Store
from node.study_log.database import SQLITE_FILE, Database

MIB = 1024**2
_TENSORFLOW = ("I0000 ", "W0000 ", "WARNING: All log messages before absl::InitializeLog()")
"""How lines begin that TensorFlow writes while it loads, before anybody can ask it to be quiet."""


def receiver_pid(data_dir: Path) -> int | None:
    """Give the process that receives; None while there is none."""
    state = read_state(data_dir, RECEIVE_FILE)
    return None if state is None else state.pid


def memory_bytes(pid: int) -> int:
    """Give the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    message = f"process {pid} has no memory"
    raise ProcessLookupError(message)


def thread_count(pid: int) -> int:
    """Count the threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def descriptor_count(pid: int) -> int:
    """Count the open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def descendants_of(pid: int) -> list[int]:
    """List children, their children, and so on, as the kernel knows them."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants_of(child)]
    return found


def command_of(pid: int) -> list[str]:
    """Give the command line of a process; nothing if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    return []


def children_of(pid: int, role: str) -> list[int]:
    """Find the processes of one role that a supervisor has started."""
    return [
        child
        for child in descendants_of(pid)
        if command_of(child)[-3:] == ["-m", "node.service", role]
    ]


def is_running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be collected."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    return False


def events(log_file: Path) -> list[dict[str, Any]]:
    """Give the lines of a node's log that are events."""
    lines = log_file.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def complaints(log_file: Path) -> list[str]:
    """Give what the log has that must not be: roles that died, and tracebacks by their error."""
    unexpected = Counter(
        f"{line['event']}: {str(line.get('exception', ''))[-400:]}"
        for line in events(log_file)
        # pynetdicom speaks of every broken PDU as an error; what counts is what becomes of it.
        if line["level"] in ("ERROR", "CRITICAL") and not line["logger"].startswith("pynetdicom")
    )
    plain = [
        line
        for line in log_file.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("{", *_TENSORFLOW))
    ]
    return [f"{count} x {text}" for text, count in unexpected.most_common()] + plain[:10]


def rows(data_dir: Path, statement: str) -> list[tuple[Any, ...]]:
    """Ask the study log's SQLite file: a look that costs the node nothing."""
    with contextlib.closing(sqlite3.connect(data_dir / SQLITE_FILE, timeout=30)) as log:
        return list(log.execute(statement))


def incoming(data_dir: Path) -> list[Path]:
    """List what is being received, or was left behind."""
    return list((data_dir / "incoming").iterdir())


def faults(data_dir: Path, *, is_alone: bool) -> list[str]:
    """Say what ``mammonode fsck`` finds.

    Parameters
    ----------
    is_alone
        Whether no node runs, so that nothing is passed over.
    """
    settings = Settings(data_dir=data_dir)
    database = Database.open(settings)
    try:
        examiner = Examiner(
            database, Store(data_dir), now=lambda: datetime.now(UTC), is_alone=is_alone
        )
        return [f"{each.fault}: {each.path}: {each.detail}" for each in examiner.examine()]
    finally:
        database.close()
