from pathlib import Path

import pytest
from data_set_layouts import write_mini_mias

from model.views import Laterality
from training.datasets import Box, Label, LabelledImage, mini_mias
from training.datasets.problems import Problem, ProblemKind
from training.errors import DataSetError


def film(folder: Path, number: int) -> LabelledImage:
    images = mini_mias.read(folder).images
    return next(image for image in images if image.path.stem == f"mdb{number:03d}")


def test_a_circle_is_a_box_with_its_rows_from_the_top(tmp_path: Path) -> None:
    image = film(write_mini_mias(tmp_path), 2)

    assert image.boxes == (
        Box(
            top=1024 - 280 - 69,
            bottom=1024 - 280 + 69,
            left=522 - 69,
            right=522 + 69,
            label=Label.BENIGN,
        ),
    )


def test_boxes_are_on_the_grid_of_a_smaller_picture(tmp_path: Path) -> None:
    image = film(write_mini_mias(tmp_path, size_px=512, suffix=".webp"), 2)

    assert image.boxes[0].left == (522 - 69) / 2
    assert image.boxes[0].top == (1024 - 280 - 69) / 2


def test_a_film_is_malignant_if_one_of_its_abnormalities_is(tmp_path: Path) -> None:
    image = film(write_mini_mias(tmp_path), 144)

    assert image.label is Label.MALIGNANT
    assert [box.label for box in image.boxes] == [Label.BENIGN, Label.MALIGNANT]


@pytest.mark.parametrize(("number", "label"), [(59, Label.BENIGN), (245, Label.MALIGNANT)])
def test_an_abnormality_without_a_circle_keeps_its_label(
    tmp_path: Path, number: int, label: Label
) -> None:
    image = film(write_mini_mias(tmp_path), number)

    assert image.label is label
    assert image.boxes == ()


def test_two_films_in_a_row_are_the_breasts_of_one_woman(tmp_path: Path) -> None:
    folder = write_mini_mias(tmp_path)

    right, left, next_right = film(folder, 1), film(folder, 2), film(folder, 3)

    assert right.patient_id == left.patient_id != next_right.patient_id
    assert (right.laterality, left.laterality) == (Laterality.RIGHT, Laterality.LEFT)
    assert next_right.label is Label.NORMAL


def test_films_in_a_folder_below_are_found(tmp_path: Path) -> None:
    folder = write_mini_mias(tmp_path)
    (folder / "images").mkdir()
    for path in folder.glob("*.pgm"):
        path.rename(folder / "images" / path.name)

    data_set = mini_mias.read(folder)

    assert len(data_set.images) == 10
    assert data_set.read_display(data_set.images[0]).shape == (1024, 1024)


def test_films_and_lines_that_do_not_go_together_are_problems(tmp_path: Path) -> None:
    folder = write_mini_mias(tmp_path)
    (folder / "mdb001.pgm").rename(folder / "mdb322.pgm")

    data_set = mini_mias.read(folder)

    assert data_set.problems == (
        Problem(kind=ProblemKind.LABEL_WITHOUT_IMAGE, what="mdb001"),
        Problem(kind=ProblemKind.IMAGE_WITHOUT_LABEL, what="mdb322.pgm"),
    )


def test_a_severity_that_the_layout_does_not_know_is_an_error_with_its_line(tmp_path: Path) -> None:
    info = write_mini_mias(tmp_path) / "Info.txt"
    info.write_text(info.read_text("utf-8").replace("CIRC B 535", "CIRC X 535"), encoding="utf-8")

    with pytest.raises(DataSetError, match=r"Info\.txt line 4"):
        mini_mias.read(tmp_path)


def test_a_folder_without_the_table_is_told_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"Info\.txt .* found nothing"):
        mini_mias.read(tmp_path)
