"""Transactions that see everything, and migrations that lead to the tables of the code."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from node.errors import PermanentError
from node.settings import Settings
from node.study_log.database import VERSION_TABLE, Database, _alembic_config, newest_version
from node.study_log.tables import Base, Event, Study, Worker

NOW = datetime(2026, 3, 1, tzinfo=UTC)


AT = "2026-03-01 00:00:00+00:00"
FIRST_ROWS = {
    "study": {
        "id": 1,
        "study_instance_uid": "1.2.3",
        "state": "COMPLETED",
        **dict.fromkeys(
            (
                "patient_id",
                "issuer_of_patient_id",
                "patient_name",
                "patient_birth_date",
                "patient_sex",
                "accession_number",
                "study_date",
                "study_time",
                "study_description",
                "calling_ae_title",
                "called_ae_title",
            ),
            "",
        ),
        "first_received_at": AT,
        "last_received_at": AT,
        "quiet_from_at": AT,
    },
    "instance": {
        "id": 1,
        "study_id": 1,
        "sop_instance_uid": "1.2.3.4",
        "sop_class_uid": "1.2",
        "series_instance_uid": "1.2.3.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "kind": "image",
        "modality": "MG",
        "triage_detail": "",
        "path": "a.dcm",
        "size_bytes": 1,
        "dataset_sha256": "aa",
        "calling_ae_title": "A",
        "received_at": AT,
    },
    "conflict": {
        "id": 1,
        "instance_id": 1,
        "state": "OPEN",
        "path": "c.dcm",
        "size_bytes": 1,
        "dataset_sha256": "bb",
        "differing_keywords": "",
        "calling_ae_title": "A",
        "received_at": AT,
    },
    "revision": {
        "id": 1,
        "study_id": 1,
        "number": 1,
        "state": "COMPLETED",
        "close_reason": "",
        "closed_at": AT,
        "weights": "",
        "attempt": 1,
        "interruptions": 0,
        "reason": "",
    },
    "result": {
        "id": 1,
        "revision_id": 1,
        "kind": "score_report",
        "index": 0,
        "sop_class_uid": "1.2",
        "sop_instance_uid": "1.2.3.5",
        "series_instance_uid": "1.2.3.6",
        "path": "r.dcm",
        "size_bytes": 1,
        "created_at": AT,
    },
}
"""Rows as version 0001 wrote them."""


@pytest.fixture
def migrated(bare_url: str) -> Iterator[Database]:
    database = Database(bare_url)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(Settings(data_dir=tmp_path / "data"))
    database.migrate()
    yield database
    database.close()


def _migrate_to(database: Database, version: str) -> None:
    """Make the tables as an older version of the node made them."""
    config = _alembic_config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)


def worker(slot: str) -> Worker:
    return Worker(slot=slot, pid=1, beat_at=NOW)


def test_the_migrations_lead_to_the_tables_of_the_code(migrated: Database) -> None:
    with migrated.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )

        assert context.get_current_revision() == newest_version()
        assert compare_metadata(context, Base.metadata) == []


def test_the_first_tables_become_those_of_the_code_with_their_rows(
    bare_url: str,
) -> None:
    database = Database(bare_url)
    _migrate_to(database, "0001")
    with database.writing() as session:
        for table, rows in FIRST_ROWS.items():
            columns = ", ".join(f'"{name}"' for name in rows)
            values = ", ".join(f":{name}" for name in rows)
            session.execute(text(f'INSERT INTO "{table}" ({columns}) VALUES ({values})'), rows)

    database.migrate()

    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    with database.reading() as session:
        (study,) = session.scalars(select(Study)).all()
        assert (study.study_instance_uid, study.state) == ("1.2.3", "COMPLETED")
        assert study.deleted_at is None
        assert [(i.path, i.removed_at) for i in study.instances] == [("a.dcm", None)]
        (revision,) = study.revisions
        assert [(r.path, r.file_sha256, r.removed_at) for r in revision.results] == [
            ("r.dcm", None, None)
        ]
        assert [c.decided_by for c in study.instances[0].conflicts] == [None]
    assert database.version() == newest_version()
    database.close()


def test_migrating_again_changes_nothing(migrated: Database) -> None:
    with migrated.writing() as session:
        session.add(worker("a"))

    migrated.migrate()

    with migrated.reading() as session:
        assert session.get(Worker, "a") is not None


def test_a_database_of_a_newer_version_is_left_alone(migrated: Database) -> None:
    with migrated.writing() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    with pytest.raises(PermanentError, match="newer version of mammonode"):
        migrated.migrate()


def test_a_crash_of_the_machine_costs_no_committed_row(sqlite: Database) -> None:
    with sqlite.reading() as session:
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
    sqlite: Database, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "mammonode.sqlite"

    with (
        sqlite.writing() as session,
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
    sqlite: Database, tmp_path: Path
) -> None:
    """Read, then write what was read plus one: only safe if nobody came in between."""
    with sqlite.writing() as session:
        session.add(Worker(slot="a", pid=0, beat_at=NOW))
    databases = [sqlite, Database(f"sqlite:///{tmp_path / 'data' / 'mammonode.sqlite'}")]

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

    with sqlite.reading() as session:
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
