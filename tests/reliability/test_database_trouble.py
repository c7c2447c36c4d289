"""A database that is locked, read-only or corrupted: never a false success, and a clear word."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from command_line import run
from node.check import Verdict, run_checks
from node.commands.options import ExitCode
from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log import database as database_module
from node.study_log.database import SQLITE_FILE, Database
from peers import send
from phantoms import mammogram

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
IMAGE = mammogram(rows=64, columns=48)
OTHER = mammogram(rows=64, columns=48, laterality="L")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path / "data"))
    return Settings(
        data_dir=tmp_path / "data", receive=ReceiveSettings(port=0, low_watermark_bytes=0)
    )


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    database = Database.open(settings)
    database.migrate()
    receiver = Receiver(settings, database, Store(settings.data_dir))
    receiver.start()
    yield receiver
    receiver.stop(deadline_s=5)
    database.close()


def test_while_it_is_locked_nothing_is_acknowledged_and_then_it_goes_on(
    settings: Settings, receiver: Receiver
) -> None:
    path = settings.data_dir / SQLITE_FILE
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        while_locked = send(receiver.port, [IMAGE])
        other.execute("ROLLBACK")
    afterwards = send(receiver.port, [IMAGE])

    assert while_locked == [OUT_OF_RESOURCES]
    assert afterwards == [SUCCESS]


def test_while_it_cannot_be_written_nothing_is_acknowledged(
    settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root every file can be written: SQLite itself is told not to."""
    set_up = database_module._set_up_sqlite

    def set_up_read_only(connection: sqlite3.Connection, entry: object) -> None:
        set_up(connection, entry)  # type: ignore[arg-type]
        connection.execute("PRAGMA query_only = ON")

    monkeypatch.setattr(database_module, "_set_up_sqlite", set_up_read_only)
    read_only = Receiver(settings, Database.open(settings), Store(settings.data_dir))
    read_only.start()
    try:
        while_read_only = send(read_only.port, [IMAGE])
    finally:
        read_only.stop(deadline_s=5)

    assert while_read_only == [OUT_OF_RESOURCES]
    assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_a_corrupted_database_acknowledges_nothing_and_is_told_of(
    settings: Settings, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    send(receiver.port, [IMAGE])
    path = settings.data_dir / SQLITE_FILE
    receiver.stop(deadline_s=5)
    for name in (f"{SQLITE_FILE}-wal", f"{SQLITE_FILE}-shm"):
        (settings.data_dir / name).unlink(missing_ok=True)
    path.write_bytes(b"no database" * 1000)
    again = Receiver(settings, Database.open(settings), Store(settings.data_dir))
    again.start()
    try:
        status = send(again.port, [OTHER])
    finally:
        again.stop(deadline_s=5)

    listed = run(capsys, "studies", "list")
    (verdict,) = [c.verdict for c in run_checks(settings) if c.name == "database"]
    assert status == [OUT_OF_RESOURCES]
    assert verdict is Verdict.FAIL
    assert listed.code == ExitCode.TRY_AGAIN
    assert "file is not a database" in listed.err
