"""``mammonode serve``: prepares the data folder, runs each role as a process, keeps them alive.

A role that dies is started again, with growing waits. On SIGTERM or Ctrl+C they are stopped in
order: first the receiver, so that nothing new comes in, then the worker. Should this process be
killed, its roles end by themselves (`node.service.role`).
"""

import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Literal

from node import __version__
from node.errors import PermanentError
from node.service.role import Role, RoleExit
from node.service.run_files import RECEIVE_FILE, first_free_slot, remove_state
from node.settings import Settings
from node.store import Store

logger = logging.getLogger(__name__)

FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 30.0
STEADY_S = 60.0
"""A role that ran for so long is started again without a wait that earlier deaths added up to."""
STOP_S = {Role.RECEIVE: 30.0, Role.WORK: 30.0}
"""How long a role may take to stop before it is killed."""
PREDECESSOR_S = 10.0
"""How long a node that was stopped a moment ago may take to leave the data folder."""
_POLL_S = 0.1


class RoleProcess:
    """One role: its process, and when to start it again.

    Parameters
    ----------
    role
        Which one.
    settings
        Handed over through a pipe: they may hold a password, and a command line is public.
    slot
        Worker slot; only the worker looks at it.
    """

    def __init__(self, role: Role, settings: Settings, slot: str) -> None:
        self.role = role
        self._line = json.dumps({"settings": settings.model_dump(mode="json"), "slot": slot})
        self._process: subprocess.Popen[str] | None = None
        self._is_released = False
        self._deaths = 0
        self._begun_s = 0.0
        self._restart_s = 0.0

    def start(self) -> None:
        """Start the process; it imports what it needs and waits for `release`."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "node.service", self.role.value],
            stdin=subprocess.PIPE,
            text=True,
        )
        self._is_released = False
        self._begun_s = time.monotonic()

    def release(self) -> None:
        """Hand over the settings: the role begins."""
        self._is_released = True
        pipe = self._running().stdin
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # died already; `watch` finds that out
                pipe.write(self._line + "\n")
                pipe.flush()

    def watch(self) -> None:
        """Start the role again if it has died and its wait is over.

        Raises
        ------
        PermanentError
            If the role says that it cannot start.
        """
        if self._process is None:
            if time.monotonic() >= self._restart_s:
                self.start()
                self.release()
            return
        status = self._process.poll()
        if status is None:
            return
        self._close()
        if status == RoleExit.CANNOT_START:
            raise PermanentError(
                reason=f"The role {self.role.value} cannot start; the log line above says why"
            )
        is_steady = time.monotonic() - self._begun_s > STEADY_S
        self._deaths = 1 if is_steady else self._deaths + 1
        wait_s = min(FIRST_RESTART_S * 2 ** min(self._deaths - 1, 10), LONGEST_RESTART_S)
        self._restart_s = time.monotonic() + wait_s
        logger.error(
            "Role died and is started again",
            extra={
                "event": "role_died",
                "role": self.role.value,
                "status": status,
                "restart_in_s": wait_s,
            },
        )

    def stop(self) -> None:
        """Tell the role to stop, and kill it if it does not."""
        if self._process is None:
            return
        if not self._is_released and self._process.stdin is not None:
            # It waits for its settings and hears no signal; it ends when none come.
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_S[self.role])
        except subprocess.TimeoutExpired:
            logger.warning(
                "Role did not stop and is killed; what it did is resumed at the next start",
                extra={"event": "role_killed", "role": self.role.value},
            )
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        process = self._running()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        self._process = None

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            raise RuntimeError("the role's process has not been started")
        return self._process


def serve(settings: Settings, role: Literal["receive", "work", "all"] = "all") -> None:
    """Run the node, or one role of it, until SIGTERM or Ctrl+C.

    Parameters
    ----------
    settings
        Of the node.
    role
        ``all``, or the one role that this machine has.

    Raises
    ------
    WeightsError
        If the weights are not there or not those of their manifest; nothing has been started then.
    PermanentError
        If another node owns the data folder, the database is of a newer version, or a role cannot
        start.
    """
    stop = threading.Event()
    roles = list(Role) if role == "all" else [Role(role)]
    if Role.WORK in roles:
        _check_weights(settings)
    store = Store(settings.data_dir)
    store.prepare()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_stopped_by_signals(stop))
        if Role.RECEIVE in roles:
            stack.enter_context(_owned(store))
            remove_state(settings.data_dir, RECEIVE_FILE)
        slot = ""
        if Role.WORK in roles:
            prefix = _slot_prefix(settings)
            slot = stack.enter_context(first_free_slot(settings.data_dir, prefix))
        processes = [RoleProcess(each, settings, slot) for each in roles]
        try:
            # The receiver imports its libraries while the tables are brought up to date; the
            # worker, which needs a processor for seconds, comes when the receiver is on its way.
            processes[0].start()
            # Imported here, for the roles import this module too and must be quick.
            from node.upgrade import migrate

            migrate(settings)
            processes[0].release()
            for process in processes[1:]:
                process.start()
                process.release()
            logger.info(
                "Node started",
                extra={
                    "event": "node_started",
                    "version": __version__,
                    "roles": [each.value for each in roles],
                },
            )
            while not stop.wait(_POLL_S):
                for process in processes:
                    process.watch()
        finally:
            for process in processes:
                process.stop()
            logger.info("Node stopped", extra={"event": "node_stopped"})


def _check_weights(settings: Settings) -> None:
    """Make sure, without TensorFlow, that the worker will be able to load its network."""
    from model.manifest import SHIPPED_WEIGHTS, read_manifest
    from model.preprocess import PREPROCESS_VERSION

    folder = Path(settings.model.weights) if settings.model.weights else SHIPPED_WEIGHTS
    read_manifest(folder).require_preprocessing(PREPROCESS_VERSION)


@contextlib.contextmanager
def _owned(store: Store) -> Iterator[None]:
    """Own the data folder; a node that is just ending is given a moment."""
    end_s = time.monotonic() + PREDECESSOR_S
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(store.owned())
            except PermanentError:
                if time.monotonic() >= end_s:
                    raise
                time.sleep(_POLL_S)
            else:
                break
        yield


def _slot_prefix(settings: Settings) -> str:
    """Name the machine: with SQLite there is one, whatever a container calls it today."""
    return socket.gethostname() if settings.database.url else "worker"


@contextlib.contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and Ctrl+C stop the node in order; give the handlers back afterwards."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
