from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from score_tables import drawn_table, evaluation_of

from training.errors import RunError
from training.evaluation.compare import Comparison, Difference, compare
from training.evaluation.figures import TITLES
from training.evaluation.levels import LevelName
from training.evaluation.report import write_evaluation
from training.evaluation.scores import ScoreTable

GOOD = drawn_table(patients=120, skill=1.0)
NOISE = np.random.default_rng(9).normal(0, 0.25, len(GOOD.images))


def shifted(table: ScoreTable, log_odds: np.ndarray) -> ScoreTable:
    """The same images with other scores."""
    logits = np.log(table.scores / (1 - table.scores)) + log_odds
    return replace(table, scores=1 / (1 + np.exp(-logits)))


def written(table: ScoreTable, folder: Path) -> Path:
    write_evaluation(evaluation_of(table), table, (), folder)
    return folder


def found(comparison: Comparison, figure: str, level: LevelName) -> Difference:
    return next(
        each for each in comparison.differences if (each.figure, each.level) == (figure, level)
    )


def test_the_difference_is_that_of_the_figures_at_every_level(tmp_path: Path) -> None:
    better = shifted(GOOD, 1.0 * GOOD.is_cancer + NOISE)

    comparison = compare(written(GOOD, tmp_path / "a"), written(better, tmp_path / "b"))

    assert (comparison.patients, comparison.images) == (120, 480)
    for level in LevelName:
        row = found(comparison, "auc", level)
        own = evaluation_of(GOOD).measured.level(level).figures["auc"]
        assert own is not None
        assert row.difference is not None
        assert row.one == pytest.approx(own.value)
        assert row.other is not None
        assert row.difference.value == pytest.approx(row.other - own.value)
        assert row.difference.low > 0
        assert row.draws_above_zero == 1.0
    assert {each.figure for each in comparison.differences} == {
        name for name in TITLES if "macro" not in name
    }


def test_paired_draws_find_what_the_intervals_alone_do_not(tmp_path: Path) -> None:
    slightly_better = shifted(GOOD, 0.4 * GOOD.is_cancer + 0.2 * NOISE)

    row = found(
        compare(written(GOOD, tmp_path / "a"), written(slightly_better, tmp_path / "b")),
        "auc",
        LevelName.IMAGE,
    )

    one, other = (
        evaluation_of(each).measured.level(LevelName.IMAGE).figures["auc"]
        for each in (GOOD, slightly_better)
    )
    assert one is not None
    assert other is not None
    assert other.low < one.high
    assert row.difference is not None
    assert row.difference.low > 0


def test_an_evaluation_does_not_differ_from_itself_in_another_order(tmp_path: Path) -> None:
    turned = GOOD.taken(list(range(len(GOOD.images)))[::-1])

    comparison = compare(written(GOOD, tmp_path / "a"), written(turned, tmp_path / "b"))

    for row in comparison.differences:
        assert row.difference is not None
        assert row.difference.value == pytest.approx(0.0, abs=1e-12)
        assert row.difference.low == pytest.approx(0.0, abs=1e-12)


def test_evaluations_of_other_images_are_refused_with_how_many_they_share(tmp_path: Path) -> None:
    half = GOOD.taken(range(240))

    with pytest.raises(RunError, match="480 and 240 images, 240 of them in both"):
        compare(written(GOOD, tmp_path / "a"), written(half, tmp_path / "b"))


def test_evaluations_that_disagree_about_the_labels_are_refused(tmp_path: Path) -> None:
    other = replace(GOOD, labels=GOOD.labels[::-1])

    with pytest.raises(RunError, match="the same patient, breast and label"):
        compare(written(GOOD, tmp_path / "a"), written(other, tmp_path / "b"))
