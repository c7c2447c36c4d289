"""A fault at one named point of a process: the call there fails, or is the last thing it does.

Points are the writes, fsyncs, renames and deletions of files below the data folder, the commits
that change something, and what is asked of a peer. Each has a name, and a number from the second
time on that the process is there. Every point that is met is printed, so that one run without a
fault lists them all.
"""

import errno
import inspect
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from sqlalchemy.engine.default import DefaultDialect

DIED = 9
FAILS = "fails"
DIES = "dies"
STRUCK = "! "
"""Before the name of the point where the fault is."""
_FOLDERS = ("incoming", "studies", "instances", "results")
_CHANGES = "reliability_changes"
_CLOSED_PORT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one fault.

    Attributes
    ----------
    point
        Which call it was.
    way
        ``fails`` or ``dies``.
    at_once
        What was seen of it: the answer to a sender, or whether the process went on.
    in_the_end
        What it came to.
    """

    point: str
    way: str
    at_once: str
    in_the_end: str
    findings: tuple[str, ...]


class Fault:
    """Lets one call fail or end the process, from the moment on that it is armed.

    Parameters
    ----------
    point
        Its name; empty: nothing fails.
    way
        ``fails`` or ``dies``.
    tell
        Gets the name of each point that is met, after `STRUCK` where the fault is.
    """

    def __init__(self, point: str, way: str, tell: Callable[[str], None]) -> None:
        self._point = point
        self._way = way
        self._tell = tell
        self._met: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.is_armed = False

    def strikes(self, what: str) -> bool:
        """Be at a point; True if the call is to fail."""
        if not self.is_armed:
            return False
        with self._lock:
            self._met[what] += 1
            name = what if self._met[what] == 1 else f"{what} ({self._met[what]})"
            is_here = name == self._point
            self._tell(f"{STRUCK if is_here else ''}{name}")
            if is_here and self._way == DIES:
                os._exit(DIED)
        return is_here

    def meet(self, what: str) -> None:
        """Be at a point where a failure is one of the disk.

        Raises
        ------
        OSError
            If the call is to fail.
        """
        if self.strikes(what):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def install(fault: Fault) -> None:
    """Let every point of this process meet the fault."""
    _install_in_files(fault)
    _install_in_commits(fault)
    _install_in_sending(fault)


def _install_in_files(fault: Fault) -> None:
    os.fsync = _before(fault, "fsync", os.fsync)
    for name, what in (("replace", "rename"), ("unlink", "deletion")):
        setattr(Path, name, _before(fault, what, getattr(Path, name)))
    really_open = Path.open

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = really_open(path, mode, *arguments, **options)
        where = _name_of(path)
        return _HalfWritten(file, fault, where) if mode == "wb" and where else file

    Path.open = opened  # type: ignore[assignment, method-assign]


def _before(fault: Fault, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Make a call that meets the fault first, if it is about a file of the data folder."""

    def met(*arguments: Any, **options: Any) -> Any:
        subject = arguments[0]
        if isinstance(subject, int):
            subject = Path(f"/proc/self/fd/{subject}").readlink()
        where = _name_of(Path(subject))
        if where:
            fault.meet(f"{what} of {where}")
        return call(*arguments, **options)

    return met


class _HalfWritten:
    """A file whose first write is where the fault is: half of it has been written then."""

    def __init__(self, file: Any, fault: Fault, where: str) -> None:
        self._file = file
        self._fault = fault
        self._where = where
        self._is_first = True

    def write(self, content: Any) -> int:
        """Write, and be at the point if it is the first time."""
        view = memoryview(content)
        half = len(view) // 2 if self._is_first else 0
        if self._is_first:
            self._is_first = False
            self._file.write(view[:half])
            self._file.flush()
            self._fault.meet(f"write of {self._where}")
        self._file.write(view[half:])
        return len(view)

    def __enter__(self) -> "_HalfWritten":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _name_of(path: Path) -> str:
    """Say what a path is, without its UIDs; nothing if it lies outside what is kept."""
    names = [name for name in path.parts if name in _FOLDERS]
    if path.is_dir() and not names and (path / "studies").is_dir():
        return "the data folder"
    if not names:
        return ""
    if "analysis.npz" in path.name:
        return "the outcome file"
    return f"a {'folder' if path.is_dir() else 'file'} in {'/'.join(names)}"


def _install_in_commits(fault: Fault) -> None:
    """Have a point before and one after each commit of a transaction that changed something."""

    really_commit: Any = DefaultDialect.do_commit
    really_roll_back: Any = DefaultDialect.do_rollback

    def commit(self: Any, connection: Any) -> None:
        if not _has_changed(connection):
            really_commit(self, connection)
            return
        whose = _whose()
        if fault.strikes(f"commit of {whose}"):
            raise sqlite3.OperationalError("disk I/O error")
        really_commit(self, connection)
        if fault.strikes(f"after the commit of {whose}"):
            raise sqlite3.OperationalError("disk I/O error")

    def roll_back(self: Any, connection: Any) -> None:
        _has_changed(connection)
        really_roll_back(self, connection)

    DefaultDialect.do_commit = commit  # type: ignore[method-assign]
    DefaultDialect.do_rollback = roll_back  # type: ignore[method-assign]


def _has_changed(connection: Any) -> bool:
    """Say whether a connection has changed a row since the last time it was asked."""
    try:
        seen, connection.info[_CHANGES] = (
            connection.info.get(_CHANGES, 0),
            connection.dbapi_connection.total_changes,
        )
    except NotImplementedError:  # the very first connection of an engine, which only looks around
        return False
    return bool(connection.info[_CHANGES] != seen)


def _whose() -> str:
    """Name the innermost function of the node, or of its durable engine, that is being done."""
    frame = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        name = frame.f_code.co_name
        if module.startswith("node.") and module != "node.study_log.database":
            return f"{module.removeprefix('node.')}.{name}"
        if module.startswith("dbos.") and not name.endswith(("wrapper", "_begin")):
            return f"the engine's {name}"
        frame = frame.f_back
    return "somebody"


def _install_in_sending(fault: Fault) -> None:
    """Have points before each request to a peer, and between the peer's answer and the node."""
    really_associate = AE.associate

    def associate(self: AE, address: str, port: int, *arguments: Any, **options: Any) -> Any:
        if fault.strikes("association request"):
            port = _CLOSED_PORT
        return really_associate(self, address, port, *arguments, **options)

    AE.associate = associate  # type: ignore[assignment, method-assign]
    _install_in_request(fault, "send_c_store", "C-STORE", Dataset())
    _install_in_request(fault, "send_n_action", "N-ACTION", (Dataset(), None))
    _install_in_request(fault, "send_c_find", "C-FIND", iter(()))


def _install_in_request(fault: Fault, method: str, name: str, no_answer: Any) -> None:
    really_send = getattr(Association, method)

    def send(self: Association, *arguments: Any, **options: Any) -> Any:
        if fault.strikes(f"{name} request"):
            self.abort()
        answer = really_send(self, *arguments, **options)
        if fault.strikes(f"{name} response"):
            self.abort()
            return no_answer
        return answer

    setattr(Association, method, send)
