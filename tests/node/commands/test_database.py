"""``mammonode database``: what is upgraded, what is copied, and what is refused."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from command_line import run
from databases import PostgresqlLogs, make_tables
from log_entries import RECEIVED_AT, add_conflict, add_delivery, study_entry
from node.commands.options import ExitCode
from node.delivery.due import due_tries
from node.service.run_files import first_free_slot
from node.settings import Settings
from node.settings_loading import load_settings
from node.store import Store
from node.study_log.copy import copied_tables
from node.study_log.database import VERSION_TABLE, Database, database_url, newest_version
from node.study_log.queries import read_study
from node.study_log.tables import DeliveryState, Study, StudyState, Worker
from node.work_queue import WorkQueue, engine_table


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a data folder that the environment names; nothing is in it."""
    folder = tmp_path / "data"
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(folder))
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(
    request: pytest.FixtureRequest, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Give settings that the environment names; their database was never written to."""
    if request.param == "sqlite":
        yield load_settings(None)
        return
    logs: PostgresqlLogs = request.getfixturevalue("postgresql_logs")
    with logs.without_tables() as url:
        monkeypatch.setenv("MAMMONODE_DATABASE__URL", url)
        yield load_settings(None)


@pytest.fixture
def empty_target(postgresql_logs: PostgresqlLogs) -> Iterator[str]:
    """Give the URL of a PostgreSQL database that nothing was ever written to."""
    with postgresql_logs.without_tables() as url:
        yield url


@pytest.fixture
def log(data_dir: Path) -> Iterator[Database]:
    """Make a log in SQLite with studies in several states and one delivery that is due."""
    settings = Settings(data_dir=data_dir)
    data_dir.mkdir()
    make_tables(database_url(settings))
    database = Database(database_url(settings))
    studies = [
        study_entry(number, state=state, received_at=RECEIVED_AT + timedelta(hours=number))
        for number, state in enumerate(
            [StudyState.COMPLETED, StudyState.RECEIVING, StudyState.FAILED, StudyState.SKIPPED], 1
        )
    ]
    due = add_delivery(
        studies[0].revisions[0],
        "pacs",
        DeliveryState.PENDING,
        statuses=(0, 0xA700, None, None, None),
    )
    due.ended_at = None
    add_conflict(studies[0].instances[2])
    with database.writing() as session:
        session.add_all(studies)
        session.add(Worker(slot="worker-1", pid=1, beat_at=RECEIVED_AT))
    yield database
    database.close()


def enqueue(url: str) -> None:
    queue = WorkQueue(url)
    database = Database(url)
    with database.writing() as session:
        queue.enqueue_analysis(session, study_instance_uid="1.2.3", revision=1, attempt=1)
    database.close()
    queue.close()


def everything(session: Session) -> dict[str, list[tuple[object, ...]]]:
    """Give all rows of a log, by table."""
    return {
        table.name: sorted(tuple(row) for row in session.execute(table.select()))
        for table in copied_tables()
    }


def test_an_upgrade_is_due_until_it_has_been_done(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = run(capsys, "database", "upgrade", "--check")
    upgraded = run(capsys, "database", "upgrade")
    after = run(capsys, "database", "upgrade", "--check", "--json")

    assert (before.code, upgraded.code, after.code) == (ExitCode.FAILURE, 0, 0)
    answer = json.loads(after.out)
    assert answer["is_newest"] is True
    assert answer["after"]["study_log"] == newest_version()


def test_a_check_makes_nothing(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "database", "upgrade", "--check")

    assert not data_dir.exists()


def test_work_of_an_older_version_is_carried_over_and_told(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "database", "upgrade")
    enqueue(database_url(settings))
    database = Database(database_url(settings))
    table = engine_table(database.engine.dialect.name, "workflow_status")
    with database.writing() as session:
        session.execute(text(f"UPDATE {table} SET application_version = '0'"))

    checked = run(capsys, "database", "upgrade", "--check")
    upgraded = run(capsys, "database", "upgrade")

    with database.reading() as session:
        versions = session.scalars(text(f"SELECT application_version FROM {table}")).all()
    database.close()
    assert checked.code == ExitCode.FAILURE
    assert "work of another version: 1 to be carried over" in checked.out
    assert "work of another version: 1 carried over" in upgraded.out
    assert "0" not in versions


def test_the_database_of_a_newer_version_is_refused(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "database", "upgrade")
    database = Database(database_url(settings))
    with database.writing() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    database.close()

    ended = run(capsys, "database", "upgrade")

    assert ended.code == ExitCode.FAILURE
    assert "newer version of mammonode" in ended.err


@pytest.mark.parametrize("command", [["upgrade"], ["copy", "--to", "postgresql+psycopg://h/n"]])
@pytest.mark.parametrize("running", ["node", "worker"])
def test_nothing_is_changed_while_a_node_or_a_worker_runs(
    log: Database,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    running: str,
) -> None:
    runs = Store(data_dir).owned() if running == "node" else first_free_slot(data_dir, "worker")
    with runs:
        ended = run(capsys, "database", *command)

    assert ended.code == ExitCode.FAILURE
    assert "running node" in ended.err or "A worker still runs" in ended.err


def test_a_copy_holds_every_row_and_goes_on_where_the_log_was(
    log: Database, empty_target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run(capsys, "database", "copy", "--to", empty_target, "--json")

    copied = Database(empty_target)
    with log.reading() as before, copied.reading() as after:
        assert everything(after) == everything(before)
        assert due_tries(after, RECEIVED_AT + timedelta(days=1)) == due_tries(
            before, RECEIVED_AT + timedelta(days=1)
        )
        uid = study_entry(1).study_instance_uid
        assert read_study(after, uid) == read_study(before, uid)
        assert after.get(Worker, "worker-1") is None
    with copied.writing() as session:
        study = study_entry(9)
        session.add(study)
        session.flush()
        number = study.id
    copied.close()
    assert ended.code == 0
    assert json.loads(ended.out)["rows"]["study"] == 4
    assert number == 5


def test_a_log_is_copied_only_when_its_queue_is_drained(
    log: Database, data_dir: Path, empty_target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    enqueue(database_url(Settings(data_dir=data_dir)))

    ended = run(capsys, "database", "copy", "--to", empty_target)

    target = Database(empty_target)
    assert ended.code == ExitCode.FAILURE
    assert "queue without work, found 1" in ended.err
    assert target.version() is None
    target.close()


def test_a_target_that_holds_a_log_is_left_as_it_is(
    log: Database, empty_target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tables(empty_target)
    target = Database(empty_target)
    with target.writing() as session:
        session.add(study_entry(7))

    ended = run(capsys, "database", "copy", "--to", empty_target)

    with target.reading() as session:
        uids = session.scalars(Study.__table__.select()).all()
    target.close()
    assert ended.code == ExitCode.FAILURE
    assert "found rows in study" in ended.err
    assert len(uids) == 1


def test_a_copy_that_breaks_off_leaves_nothing_behind(
    log: Database, empty_target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last table to be copied has a row that the target does not take."""
    make_tables(empty_target)
    target = Database(empty_target)
    with target.writing() as session:
        session.execute(text("ALTER TABLE delivery_object ADD CHECK (status IS NULL)"))

    ended = run(capsys, "database", "copy", "--to", empty_target)

    with target.reading() as session:
        rows = everything(session)
    target.close()
    assert ended.code == ExitCode.TRY_AGAIN
    assert not any(rows.values())


@pytest.mark.parametrize("url", ["sqlite:///other.sqlite", "", "mysql://u:SECRET@h/n"])
def test_another_target_than_postgresql_is_refused_without_repeating_its_password(
    log: Database, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    ended = run(capsys, "database", "copy", "--to", url)

    assert ended.code == ExitCode.USAGE
    assert "postgresql+psycopg://" in ended.err
    assert "SECRET" not in ended.err + ended.out
