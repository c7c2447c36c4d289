"""Fixtures for every test, and the quiet that they run in."""

import os
from collections.abc import Generator
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
