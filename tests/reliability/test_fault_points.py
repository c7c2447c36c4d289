"""Every fsync, rename and commit of a reception fails once, and is the last thing once."""

from pathlib import Path

import pytest

from peers import SUCCESS
from reliability.fault_points import all_points

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.slow]


def test_whatever_fails_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    outcomes = all_points(tmp_path)

    assert [each for each in outcomes if each.findings] == []
    assert {each.point.split()[1] for each in outcomes} == {
        "fsync",
        "rename",
        "commit",
        "committed,",
    }
    # A point is reached before the answer, so that its failure is never a success.
    assert [each for each in outcomes if each.first == SUCCESS] == []
