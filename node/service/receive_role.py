"""The receiver and the clock, in one process that never loads TensorFlow."""

import os
import threading
from datetime import UTC, datetime

from node.intake.close_out import CloseOut
from node.intake.receive import Receiver
from node.query.serve import query_handlers
from node.service.run_files import (
    RECEIVE_FILE,
    RoleState,
    held_lock,
    remove_state,
    write_state,
)
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database, database_url
from node.work_queue import WorkQueue

PREDECESSOR_S = 20
"""How long a receiver of a node that was killed may take to end."""


def run_receive(settings: Settings, stop: threading.Event) -> None:
    """Receive, close out and let the clock run until `stop` is set.

    Parameters
    ----------
    settings
        Of the node; the schemas are up to date.
    stop
        Set by SIGTERM.

    Raises
    ------
    PermanentError
        If the address cannot be listened at, or another receiver runs on the data folder.
    """
    with held_lock(
        settings.data_dir, "receive.lock", wait_s=PREDECESSOR_S, holder="Another receiver"
    ):
        database = Database.open(settings)
        store = Store(settings.data_dir)
        receiver = Receiver(
            settings, database, store, _now, query=query_handlers(settings, database, store)
        )
        queue = WorkQueue(database_url(settings), associations=settings.associations_by_destination)
        close_out = CloseOut(
            database,
            settings.study,
            enqueue_analysis=queue.enqueue_analysis,
            open_studies=receiver.open_studies,
            clock=_now,
        )
        close_out.start()
        receiver.start()
        write_state(settings.data_dir, RECEIVE_FILE, RoleState(pid=os.getpid(), port=receiver.port))
        # The clock is loaded late: the receiver answers meanwhile.
        from node.schedule import Clock

        clock = Clock(
            settings=settings,
            database=database,
            store=store,
            queue=queue,
            close_out=close_out.close_due,
            now=_now,
        )
        clock.start()
        stop.wait()
        receiver.stop()
        remove_state(settings.data_dir, RECEIVE_FILE)
        clock.stop()
        queue.close()
        database.close()


def _now() -> datetime:
    return datetime.now(UTC)
