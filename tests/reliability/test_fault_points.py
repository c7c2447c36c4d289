"""Writes, fsyncs, renames, commits and requests fail once, and are the last thing once.

`reliability.fault_points` is the command for all of them.
"""

from pathlib import Path

import pytest

from reliability.analysis_points import all_points_of_analysis
from reliability.reception_points import all_points_of_reception

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.slow]

SELECTION = frozenset(
    {
        "after the commit of intake.close_out._close",
        "commit of analysis.worker._claim",
        "fsync of the outcome file",
        "rename of a file in studies/results (2)",
        "commit of analysis.worker._report",
        "after the commit of analysis.worker._report",
        "deletion of the outcome file",
        "commit of delivery.deliver._begin",
        "C-STORE response",
        "after the commit of delivery.deliver._record (2)",
        "N-ACTION response",
        "commit of delivery.commitment_log.take_report",
    }
)


def test_whatever_fails_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    outcomes = list(all_points_of_reception(tmp_path))

    assert [each for each in outcomes if each.findings] == []
    assert {each.point.split()[0] for each in outcomes} == {"fsync", "rename", "commit", "after"}
    # A point is reached before the answer, so that its failure is never a success.
    assert {each.at_once for each in outcomes} == {"0xA700", "no answer"}


def test_whatever_fails_a_study_is_analysed_and_its_results_are_delivered_once(
    tmp_path: Path, untrained_weights: Path
) -> None:
    outcomes = list(
        all_points_of_analysis(tmp_path, untrained_weights, lambda name: name in SELECTION)
    )

    assert [each for each in outcomes if each.findings] == []
    assert {each.point for each in outcomes} == SELECTION
