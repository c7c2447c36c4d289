"""Transactions that see everything, and migrations that lead to the tables of the code."""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from node.errors import PermanentError
from node.settings import Settings
from node.study_log.database import VERSION_TABLE, Database, newest_version
from node.study_log.tables import Base, Event, Worker

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database.open(Settings(data_dir=tmp_path / "data"))
    database.migrate()
    return database


def worker(slot: str) -> Worker:
    return Worker(slot=slot, pid=1, beat_at=NOW)


def test_the_migrations_lead_to_the_tables_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )

        assert context.get_current_revision() == newest_version()
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        session.add(worker("a"))

    database.migrate()

    with database.reading() as session:
        assert session.get(Worker, "a") is not None


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.writing() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608

    with pytest.raises(PermanentError, match="newer version of mammonode"):
        database.migrate()


def test_a_crash_of_the_machine_costs_no_committed_row(database: Database) -> None:
    with database.reading() as session:
        settings = {
            name: session.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    full = 2
    assert settings == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_an_error_in_a_transaction_leaves_nothing_behind(database: Database) -> None:
    class Broken(Exception):
        pass

    def write_and_break() -> None:
        with database.writing() as session:
            session.add(worker("a"))
            session.flush()
            raise Broken

    with pytest.raises(Broken):
        write_and_break()

    with database.reading() as session:
        assert session.get(Worker, "a") is None


def test_a_writing_transaction_holds_the_lock_before_it_has_read_anything(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "mammonode.sqlite"

    with (
        database.writing() as session,
        closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
    ):
        session.execute(text("SELECT 1"))

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.writing() as writing:
        writing.add(worker("a"))
        writing.flush()

        with database.reading() as reading:
            assert reading.get(Worker, "a") is None


def test_no_increment_is_lost_between_threads_and_connections(
    database: Database, tmp_path: Path
) -> None:
    """Read, then write what was read plus one: only safe if nobody came in between."""
    with database.writing() as session:
        session.add(Worker(slot="a", pid=0, beat_at=NOW))
    databases = [database, Database(f"sqlite:///{tmp_path / 'data' / 'mammonode.sqlite'}")]

    def count(own: Database) -> None:
        for _ in range(15):
            with own.writing() as session:
                row = session.get_one(Worker, "a")
                row.pid = row.pid + 1

    threads = [threading.Thread(target=count, args=(d,)) for d in databases for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.reading() as session:
        assert session.get_one(Worker, "a").pid == 60


def test_a_row_cannot_name_a_study_that_is_not_there(database: Database) -> None:
    def write() -> None:
        with database.writing() as session:
            session.add(Event(study_id=7, at=NOW, event="made_up", fields={}))

    with pytest.raises(IntegrityError):
        write()


def test_the_text_of_an_error_quotes_no_value(database: Database) -> None:
    def write() -> None:
        with database.writing() as session:
            session.add(Event(study_id=7, at=NOW, event="DOE^JANE", fields={}))

    with pytest.raises(IntegrityError) as caught:
        write()

    assert "DOE^JANE" not in str(caught.value)
