"""Fixtures for every test, and the quiet that they run in."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from databases import PostgresqlLogs, SqliteLogs
    from node.study_log.database import Database
    from node.work_queue import WorkQueue

# Read by TensorFlow when it is first imported: no chatter, no search for a GPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the command line of the tests has beside pytest's own."""
    parser.addoption(
        "--write-golden",
        action="store_true",
        help="write the texts in tests/node/report/golden anew; then read what changed",
    )


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tester's own MAMMONODE_ variables out of the settings under test."""
    for name in tuple(os.environ):
        if name.startswith("MAMMONODE_") and name != "MAMMONODE_REQUIRE_PEERS":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def untrained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with small seeded weights of the real network, for whoever needs only a score."""
    from networks import write_untrained_weights  # TensorFlow takes seconds to load

    return write_untrained_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def sqlite_logs(tmp_path_factory: pytest.TempPathFactory) -> "SqliteLogs":
    """Source of empty study logs in SQLite."""
    from databases import SqliteLogs

    return SqliteLogs(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql_logs() -> "Iterator[PostgresqlLogs]":
    """Source of empty study logs in a PostgreSQL that is started for this run."""
    from databases import PostgresqlLogs, running_postgresql

    with running_postgresql() as url:
        logs = PostgresqlLogs(url)
        yield logs
        logs.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Make empty study logs with all their tables, each with a URL; on either database."""
    if request.param == "sqlite":
        sqlite_logs: SqliteLogs = request.getfixturevalue("sqlite_logs")
        yield lambda: sqlite_logs.fresh(tmp_path)
        return
    postgresql_logs: PostgresqlLogs = request.getfixturevalue("postgresql_logs")
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(postgresql_logs.fresh())


@pytest.fixture
def log_url(fresh_log: Callable[[], str]) -> str:
    """URL of an empty study log: the test runs on SQLite and on PostgreSQL."""
    return fresh_log()


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database that nothing was ever written to, for tests of how its tables are made."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bare.sqlite'}"
        return
    postgresql_logs: PostgresqlLogs = request.getfixturevalue("postgresql_logs")
    with postgresql_logs.without_tables() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """`[database] url` of an empty log, once of each sort; empty: SQLite in the data folder."""
    if request.param == "sqlite":
        yield ""
        return
    postgresql_logs: PostgresqlLogs = request.getfixturevalue("postgresql_logs")
    with postgresql_logs.fresh() as url:
        yield url


@pytest.fixture
def database(log_url: str) -> "Iterator[Database]":
    """Open the study log of `log_url`."""
    from node.study_log.database import Database

    database = Database(log_url)
    yield database
    database.close()


@pytest.fixture
def queue(log_url: str) -> "Iterator[WorkQueue]":
    """Open the queue of `log_url`."""
    from node.work_queue import WorkQueue

    queue = WorkQueue(log_url)
    yield queue
    queue.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped where every peer must be there, whoever skipped it and why."""
    report = yield
    must_run = os.environ.get("MAMMONODE_REQUIRE_PEERS") == "1"
    if report.skipped and must_run:
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped under MAMMONODE_REQUIRE_PEERS=1: {call.excinfo}"
        )
    return report
