"""A short run of the load; `reliability.load` is the command for the whole of it."""

from pathlib import Path

import pytest

from reliability.load import load

pytestmark = pytest.mark.integration


def test_many_associations_beside_idle_connections_lose_nothing(tmp_path: Path) -> None:
    # More idle ones than associations may be open.
    outcome = load(tmp_path, associations=10, objects=60, idle=110)

    assert outcome.findings == []
    assert len(outcome.latencies_s) == 60
