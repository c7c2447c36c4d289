import re

import pytest
from score_tables import POINT, drawn_table, evaluation_of

from training.evaluation import plots
from training.evaluation.levels import LevelName

TABLE = drawn_table(patients=120)
MEASURED = evaluation_of(TABLE).measured


def texts(svg: str) -> list[str]:
    """Words that stand in a plot."""
    return re.findall(r">([^<>\n]+)</text>", svg)


@pytest.mark.parametrize("draw", [plots.roc_curves, plots.precision_recall_curves])
def test_a_curve_of_each_level_is_named_with_its_area(draw: object) -> None:
    assert callable(draw)

    words = texts(draw(MEASURED.levels))

    for level in LevelName:
        assert any(text.startswith(f"by {level}, ") for text in words)
    assert {"sensitivity", "precision"} & set(words)


def test_the_histogram_counts_both_classes_and_marks_the_operating_point() -> None:
    words = texts(plots.score_histogram(TABLE, POINT.threshold))

    assert {"no cancer (400)", "cancer (80)", "operating point"} <= set(words)


def test_the_axes_of_the_calibration_say_what_they_are() -> None:
    words = texts(plots.calibration_plot(MEASURED.level(LevelName.IMAGE)))

    assert {"mean score of the bin", "share of cancers in the bin"} <= set(words)


def test_each_subgroup_with_a_figure_has_a_line_with_its_counts() -> None:
    words = texts(plots.subgroup_plot(MEASURED.subgroups, MEASURED.level(LevelName.IMAGE)))

    assert "view CC  (40 of 240)" in words
    assert sum("density" in text for text in words) == 4


def test_without_a_subgroup_there_is_no_plot() -> None:
    assert plots.subgroup_plot([], MEASURED.level(LevelName.IMAGE)) == ""
