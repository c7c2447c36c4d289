"""The receive role as the supervisor runs it, but in a thread."""

import threading
from pathlib import Path

from log_entries import study_entry
from node.service.receive_role import run_receive
from node.service.run_files import RECEIVE_FILE, read_state
from node.settings import ReceiveSettings, Settings
from node.study_log.database import Database
from node.work_queue import WorkQueue
from peers import echo, wait_until
from querying import find, keys, querying


def test_the_receive_role_answers_queries(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, receive=ReceiveSettings(port=0, low_watermark_bytes=0))
    database = Database.open(settings)
    database.migrate()
    queue = WorkQueue(f"sqlite:///{tmp_path / 'mammonode.sqlite'}")
    queue.migrate()
    queue.close()
    with database.writing() as session:
        session.add(study_entry())
    stop = threading.Event()
    role = threading.Thread(target=run_receive, args=(settings, stop))
    role.start()
    try:
        wait_until(lambda: read_state(tmp_path, RECEIVE_FILE) is not None, "the receiver")
        state = read_state(tmp_path, RECEIVE_FILE)
        assert state is not None
        assert state.port is not None
        with querying(state.port) as assoc:
            answers = find(assoc, keys(PatientID="SECRET-ID"))
        is_alive = echo(state.port)
    finally:
        stop.set()
        role.join()
        database.close()

    assert len(answers.pending) == 1
    assert is_alive
