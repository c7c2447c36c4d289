import time
from dataclasses import replace

import numpy as np
import pytest
from score_tables import POINT, RULES, drawn_table
from sklearn import metrics

from training.evaluation.figures import TITLES, Measured
from training.evaluation.levels import LevelName
from training.evaluation.measure import measure


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measure(drawn_table(patients=120), RULES, POINT, seed=1)


def test_every_figure_lies_in_its_interval_at_every_level(measured: Measured) -> None:
    assert [figures.level for figures in measured.levels] == list(LevelName)
    for level in measured.levels:
        assert set(level.figures) == {name for name in TITLES if "macro" not in name}
        for name, found in level.figures.items():
            assert found is not None
            # A bootstrap can only add to the error of a calibration: its draws lie above.
            if name != "calibration_error":
                assert found.low <= found.value <= found.high, (level.level, name)
            assert found.low < found.high


def test_rows_and_cancers_are_counted_at_every_level(measured: Measured) -> None:
    counts = [(level.rows, level.cancers) for level in measured.levels]

    assert counts == [(480, 80), (240, 40), (120, 40)]
    assert measured.patients == 120
    for level in measured.levels:
        confusion = level.confusion
        assert confusion.true_positives + confusion.false_negatives == level.cancers
        assert confusion.false_positives + confusion.true_negatives == level.rows - level.cancers


def test_curves_enclose_the_areas_that_are_stated(measured: Measured) -> None:
    level = measured.level(LevelName.IMAGE)
    area, precision = level.figures["auc"], level.figures["average_precision"]

    assert area is not None
    assert precision is not None
    assert metrics.auc(level.roc.x, level.roc.y) == pytest.approx(area.value)
    recall = np.concatenate([[0.0], level.precision_recall.x])
    assert np.diff(recall) @ level.precision_recall.y == pytest.approx(precision.value)


def test_the_bins_of_the_calibration_hold_all_images(measured: Measured) -> None:
    bins = measured.level(LevelName.IMAGE).reliability

    assert sum(each.rows for each in bins) == 480
    assert sum(each.rows * each.cancer_share for each in bins) == pytest.approx(80)
    scores = [each.mean_score for each in bins]
    assert scores == sorted(scores)


def test_subgroups_hold_the_facts_that_differ_and_no_others(measured: Measured) -> None:
    facts = {(group.fact, group.value): group for group in measured.subgroups}

    assert {fact for fact, _ in facts} == {"view", "density"}
    assert facts["view", "CC"].images == 240
    assert sum(group.images for (fact, _), group in facts.items() if fact == "density") == 480


def test_a_subgroup_that_is_too_small_has_counts_and_no_figure() -> None:
    measured = measure(drawn_table(patients=12), RULES, POINT, seed=1)

    groups = [group for group in measured.subgroups if group.fact == "density"]

    assert groups
    assert all(group.cancers < 5 and group.auc is None for group in groups)


def test_three_classes_have_figures_of_their_own_and_cancer_against_each_other_label() -> None:
    table = drawn_table(patients=60, classes=3)

    measured = measure(table, RULES, POINT, seed=1)

    for level in measured.levels:
        assert level.of_classes is not None
        assert sum(map(sum, level.of_classes.confusion)) == level.rows
        assert all(found is not None for found in level.of_classes.figures.values())
    against = [group.value for group in measured.subgroups if group.fact == "cancer against"]
    assert against == ["benign", "normal"]


def test_the_control_is_measured_on_the_same_draws() -> None:
    table = drawn_table(patients=60)
    twin = replace(table, control=table.scores)

    measured = measure(twin, RULES, POINT, seed=1)

    assert measured.control_auc == measured.level(LevelName.IMAGE).figures["auc"]
    assert measured.above_control is not None
    assert (measured.above_control.low, measured.above_control.high) == (0.0, 0.0)


def test_without_a_control_there_is_none() -> None:
    table = replace(drawn_table(), control=np.full(160, np.nan))

    measured = measure(table, RULES, POINT, seed=1)

    assert measured.control_auc is None
    assert measured.above_control is None


def test_of_one_class_only_what_needs_two_is_left_undefined() -> None:
    table = drawn_table()
    healthy = table.taken(np.flatnonzero(~table.is_cancer).tolist())

    figures = measure(healthy, RULES, POINT, seed=1).level(LevelName.IMAGE).figures

    assert figures["auc"] is None
    assert figures["recall"] is None
    assert figures["specificity"] is not None
    assert figures["brier"] is not None


def test_no_image_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="found none"):
        measure(drawn_table().taken([]), RULES, POINT, seed=1)


def test_the_same_seed_gives_the_same_figures() -> None:
    one, other = (measure(drawn_table(), RULES, POINT, seed=4) for _ in range(2))

    assert one == other


def test_a_thousand_resamplings_of_three_thousand_images_take_seconds() -> None:
    table = drawn_table(patients=750, classes=3)
    begun = time.process_time()

    measure(table, RULES, POINT, seed=1)

    # Two seconds of one core on an idle machine.
    assert time.process_time() - begun < 20
