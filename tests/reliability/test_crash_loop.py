"""A short run of the crash loop; `reliability.crash_loop` is the command for a long one."""

from pathlib import Path

import pytest

from reliability.crash_loop import ROLES, crash_loop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_killed_again_and_again_the_node_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, untrained_weights: Path
) -> None:
    outcome = crash_loop(tmp_path, kills=6, seed=3, weights=untrained_weights)

    assert outcome.findings == []
    assert set(outcome.kills) == set(ROLES)
    assert outcome.acknowledged
