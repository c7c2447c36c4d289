"""The last view at the very moment of close-out; the long count is ``two_closings.py``."""

from pathlib import Path

from bench import Bench
from closings import ClosingRace

ROUNDS = 30


def test_no_study_is_analysed_without_a_view_that_was_acknowledged_before_its_closing(
    tmp_path: Path, either_database: str
) -> None:
    bench = Bench(tmp_path, url=either_database)
    race = ClosingRace(bench, seed=20)

    figures = race.run(ROUNDS)

    race.close()
    bench.close()
    assert not figures.violations
    assert figures.rounds == ROUNDS
    # Else the two never met, and nothing was shown.
    assert figures.with_last_view
    assert figures.before_last_view
