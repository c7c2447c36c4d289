"""Fixtures for every test, and the quiet that they run in."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

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
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL that runs as long as the tests."""
    from postgresql import running_postgresql

    with running_postgresql() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """URL of an empty PostgreSQL database."""
    from postgresql import new_database

    return new_database(postgresql_server)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def either_database(request: pytest.FixtureRequest) -> str:
    """`[database] url` of an empty database, once of each sort; empty: SQLite in the folder."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))


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
