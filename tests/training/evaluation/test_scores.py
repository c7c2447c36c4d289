from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from score_tables import drawn_table

from training.datasets import Label, LabelledImage
from training.errors import RunError
from training.evaluation.scores import (
    SCORES_FILE,
    ScoreTable,
    read_scores,
    score_table,
    write_scores,
)


def assert_same(one: ScoreTable, other: ScoreTable) -> None:
    for field in fields(ScoreTable):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_table_reads_back_to_the_last_digit(tmp_path: Path, classes: int) -> None:
    table = drawn_table(patients=5, classes=classes)

    write_scores(table, tmp_path / SCORES_FILE)

    assert_same(read_scores(tmp_path), table)


def test_a_control_that_was_not_fitted_reads_back_as_none(tmp_path: Path) -> None:
    table = drawn_table(patients=5)
    table.control[:] = np.nan

    write_scores(table, tmp_path / SCORES_FILE)

    assert np.isnan(read_scores(tmp_path).control).all()


def test_images_are_named_by_their_place_in_the_data_set(tmp_path: Path) -> None:
    image = LabelledImage(
        path=tmp_path / "deep" / "one.png", patient_id="1", label=Label.BENIGN, source="drawn"
    )

    table = score_table(
        [image],
        folder=tmp_path,
        breasts=["1/L"],
        classes=("no_cancer", "cancer"),
        outputs=np.array([[0.4, 0.6]]),
        scores=np.array([0.5]),
        control=np.array([np.nan]),
    )

    assert table.images == ("deep/one.png",)
    assert (table.view_positions, table.densities, table.bi_rads) == (("",), ("",), ("",))
    assert table.is_cancer.tolist() == [False]


def test_a_folder_without_an_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"{SCORES_FILE}.*the folder that `evaluate` printed"):
        read_scores(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("patient_id", "woman", 1), "the columns .*patient_id"),
        (lambda text: text.replace("no_cancer", "perhaps", 3), "perhaps"),
        (lambda text: text[: len(text) // 2], "it as it was written"),
    ],
)
def test_a_table_that_was_changed_is_refused(tmp_path: Path, change: object, words: str) -> None:
    assert callable(change)
    file = tmp_path / SCORES_FILE
    write_scores(drawn_table(patients=3), file)
    file.write_text(change(file.read_text()))

    with pytest.raises(RunError, match=words):
        read_scores(tmp_path)
