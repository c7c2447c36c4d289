"""Processes that have a fault, forked from one that has imported all that they need."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reliability.fault import STRUCK

IMPORTED = ("reliability.faulty_node", "reliability.faulty_receiver", "peers", "phantoms")

STOP_S = 60
"""How long it may take to end, once it is told."""
HANGS = -1


class Driver:
    """The other end, as the process with the fault sees it."""

    def __init__(self, connection: "Connection[str, str]") -> None:
        self._connection = connection

    def tell(self, line: str) -> None:
        """Say something; it is heard even if the process dies at once."""
        self._connection.send(line)

    def wait_for_the_end(self) -> None:
        """Wait until the driver says that it is enough, or is gone."""
        try:
            self._connection.recv()
        except EOFError:
            return


class Faulty:
    """A process that has a fault, for the length of a block.

    Parameters
    ----------
    run
        Called in it with a `Driver`, the point, the way and the arguments.
    point, way
        See `reliability.fault.Fault`.
    arguments
        Passed on.
    log_file
        For its standard error.
    """

    def __init__(
        self,
        run: Callable[..., None],
        point: str,
        way: str,
        *,
        log_file: Path,
        **arguments: Any,
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        # The server that is forked from is started with the first process, and finds tests by it.
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        self._connection, other_end = context.Pipe()
        self._process = context.Process(
            target=_run, args=(other_end, log_file, run, point, way), kwargs=arguments
        )
        self._process.start()
        other_end.close()
        self.points: list[str] = []
        self.struck = ""

    def __enter__(self) -> "Faulty":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def hear(self) -> str:
        """Wait for what it says next."""
        return str(self._connection.recv())

    def has_ended(self) -> bool:
        """Whether it is there no more."""
        return not self._process.is_alive()

    def stop(self) -> int:
        """Let it end, take down the points that it met, and give its exit status."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._connection.send("enough")
        self._take_down()
        self._process.join(STOP_S)
        return HANGS if self._process.exitcode is None else self._process.exitcode

    def _take_down(self) -> None:
        while True:
            try:
                if not self._connection.poll(STOP_S):
                    return
                line = str(self._connection.recv())
            except ConnectionResetError:  # it died and had not read our word; its own are here
                continue
            except EOFError:
                return
            name = line.removeprefix(STRUCK)
            self.points.append(name)
            if name != line:
                self.struck = name


def _run(
    connection: "Connection[str, str]",
    log_file: Path,
    run: Callable[..., None],
    point: str,
    way: str,
    **arguments: Any,
) -> None:
    with log_file.open("ab") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    run(Driver(connection), point, way, **arguments)
