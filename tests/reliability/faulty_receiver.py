"""A receiver whose n-th fsync, rename or commit fails, or is its last; see `fault_points`.

Run with a data folder, the number (0: none) and ``fails`` or ``dies``; prints its port, then the
point that it met; ends when its standard input is closed.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database

DIED = 9


class Fault:
    """Counts the calls from `arm` on, and lets one of them fail or end the process."""

    def __init__(self, number: int, way: str) -> None:
        self._left = number
        self._number = number
        self._way = way
        self.is_armed = False

    def meet(self, what: str) -> None:
        """Be at a point."""
        if not self.is_armed:
            return
        self._left -= 1
        if self._left != 0:
            return
        print(f"{self._number}: {what}", flush=True)
        if self._way == "dies":
            os._exit(DIED)
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def before(fault: Fault, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Make a call that meets the fault first."""

    def met(*arguments: Any) -> Any:
        subject = arguments[0]
        if isinstance(subject, int):
            subject = Path(f"/proc/self/fd/{subject}").readlink()
        kind = "a folder" if Path(subject).is_dir() else "a file"
        fault.meet(f"{what} of {kind} in {_folder_of(Path(subject))}")
        return call(*arguments)

    return met


def _folder_of(path: Path) -> str:
    names = [name for name in path.parts if name in ("incoming", "studies", "instances")]
    return "/".join(names) or "the data folder"


def main() -> None:
    """Receive until standard input is closed."""
    data_dir, number, way = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    logging.disable(logging.CRITICAL)  # tracebacks are what is wanted here
    fault = Fault(number, way)
    settings = Settings(data_dir=data_dir, receive=ReceiveSettings(port=0, low_watermark_bytes=0))
    database = Database.open(settings)
    database.migrate()

    @event.listens_for(Connection, "commit")
    def _before_commit(_connection: Connection) -> None:
        fault.meet("commit")

    @event.listens_for(Session, "after_commit")
    def _after_commit(_session: Session) -> None:
        fault.meet("committed, not answered")

    os.fsync = before(fault, "fsync", os.fsync)
    replace = before(fault, "rename", Path.replace)
    Path.replace = replace  # type: ignore[method-assign]
    receiver = Receiver(settings, database, Store(data_dir))
    receiver.start()
    print(receiver.port, flush=True)
    fault.is_armed = number > 0
    sys.stdin.read()
    fault.is_armed = False
    receiver.stop(deadline_s=5)
    database.close()


if __name__ == "__main__":
    main()
