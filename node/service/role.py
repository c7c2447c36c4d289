"""One role in a process of its own, as the supervisor starts it.

``python -m node.service ROLE`` reads one line from standard input: the settings as JSON, with
the worker slot. The pipe then stays open as long as the supervisor lives. When it is gone the role
ends at once, whatever it is doing: all of it can be taken up again, and another node may be about
to take over the data folder.
"""

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from enum import IntEnum, StrEnum

from node import logs
from node.errors import NodeError
from node.settings import Settings

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


class Role(StrEnum):
    """The kinds of process that the node consists of."""

    RECEIVE = "receive"
    WORK = "work"


class RoleExit(IntEnum):
    """How a role's process ends."""

    DONE = 0
    CANNOT_START = 78
    """As ``EX_CONFIG`` of sysexits: starting it again would not help."""
    SUPERVISOR_GONE = 79
    SLOT_LOST = 80


def main(arguments: list[str]) -> int:
    """Run one role until it is told to stop."""
    role = Role(arguments[0])
    _die_with_parent()
    # Ctrl+C reaches every process of the terminal; the supervisor says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    logs.configure()
    run = _load(role)
    line = sys.stdin.readline()
    if not line:
        return RoleExit.SUPERVISOR_GONE
    fields = json.loads(line)
    threading.Thread(target=_end_with_supervisor, name="supervisor watch", daemon=True).start()
    settings = Settings.model_validate(fields["settings"])
    try:
        run(settings, fields["slot"], stop)
    except NodeError as error:
        logger.error(
            "Role cannot start",
            extra={"event": "role_cannot_start", "role": role.value, "reason": str(error)},
        )
        return RoleExit.CANNOT_START
    return RoleExit.DONE


def _load(role: Role) -> Callable[[Settings, str, threading.Event], None]:
    """Import what the role needs and nothing else; the supervisor is busy meanwhile."""
    if role is Role.RECEIVE:
        from node.service.receive_role import run_receive

        return lambda settings, _slot, stop: run_receive(settings, stop)
    from node.service.work_role import run_work

    return run_work


def _die_with_parent() -> None:
    """Ask the kernel, where it can (Linux), to end this process with its parent."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_supervisor() -> None:
    """Wait for the end of the pipe, then end the process without a last word to anybody."""
    while sys.stdin.readline():
        pass
    os._exit(RoleExit.SUPERVISOR_GONE)
