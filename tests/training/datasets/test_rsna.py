from pathlib import Path

import numpy as np
import pytest
from data_set_layouts import COLUMNS, ROWS, write_rsna_competition
from drawn_breasts import write_rsna_layout

from model.views import Laterality
from training.datasets import Label, rsna
from training.datasets.problems import Problem, ProblemKind
from training.errors import DataSetError


def test_every_row_becomes_an_image_with_its_label(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=3))

    assert len(data_set.images) == 12
    assert sum(image.is_cancer for image in data_set.images) == 2
    assert {image.patient_id for image in data_set.images} == {"0", "1", "2"}
    assert all(image.path.exists() for image in data_set.images)


def test_an_inverted_image_reads_with_black_air(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=1))
    inverted = next(image for image in data_set.images if image.is_inverted)

    display = data_set.read_display(inverted)

    assert display.dtype == np.float32
    assert display[:5].max() < 0.05
    assert 0.3 < display.max() <= 1.0


def test_the_square_is_brought_back_to_a_breasts_aspect_ratio(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=1))

    rows, columns = data_set.read_display(data_set.images[0]).shape

    assert rows / columns == pytest.approx(1.25, rel=0.01)


@pytest.mark.parametrize("row", ["images/1.webp,1,unsure,0", "images/1.webp,1,cancer,maybe"])
def test_a_label_that_the_layout_does_not_know_is_an_error_with_its_line(
    tmp_path: Path, row: str
) -> None:
    table = f"image,patient_id,label,looks_inverted\nimages/0.webp,0,cancer,0\n{row}\n"
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")

    with pytest.raises(DataSetError, match=r"labels\.csv line 3"):
        rsna.read(tmp_path)


def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_layout(tmp_path / "rsna", patients=1))
    data_set.images[0].path.unlink()

    with pytest.raises(DataSetError, match="readable"):
        data_set.read_display(data_set.images[0])


def test_a_label_without_an_image_and_the_reverse_are_problems(tmp_path: Path) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=1)
    (folder / "images" / "0_0.webp").rename(folder / "images" / "7_7.webp")

    data_set = rsna.read(folder)

    assert len(data_set.images) == 3
    assert data_set.problems == (
        Problem(kind=ProblemKind.LABEL_WITHOUT_IMAGE, what="images/0_0.webp"),
        Problem(kind=ProblemKind.IMAGE_WITHOUT_LABEL, what="images/7_7.webp"),
    )


def test_the_competitions_own_layout_is_read_with_what_it_says_more(tmp_path: Path) -> None:
    data_set = rsna.read(write_rsna_competition(tmp_path / "rsna"))

    by_view = {
        (image.patient_id, image.laterality, image.view_position): image
        for image in data_set.images
    }
    cancer = by_view["10006", Laterality.LEFT, "CC"]
    assert cancer.label is Label.MALIGNANT
    assert (cancer.density, cancer.bi_rads) == ("c", "0")
    assert by_view["10006", Laterality.RIGHT, "CC"].label is Label.NO_CANCER
    assert by_view["10011", Laterality.LEFT, "MLO"].label is Label.BENIGN
    assert by_view["10025", Laterality.RIGHT, "MLO"].label is Label.NORMAL
    assert data_set.read_display(cancer).shape == (ROWS, COLUMNS)
    assert data_set.problems == ()


def test_a_missing_column_is_named_with_its_table(tmp_path: Path) -> None:
    table = write_rsna_competition(tmp_path / "rsna") / "train.csv"
    table.write_text(table.read_text("utf-8").replace("cancer", "outcome"), encoding="utf-8")

    with pytest.raises(DataSetError, match=r"train\.csv: expected the columns 'cancer'"):
        rsna.read(table.parent)


def test_another_folder_is_told_what_was_expected_and_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()

    with pytest.raises(DataSetError, match=r"labels\.csv .* or train\.csv .*holiday\.jpg"):
        rsna.read(tmp_path)


def test_a_folder_that_does_not_exist_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=f"{tmp_path / 'nowhere'}: .*found no folder"):
        rsna.read(tmp_path / "nowhere")
