from pathlib import Path

import pytest
from data_set_layouts import COLUMNS, ROWS, write_inbreast

from model.views import Laterality
from training.datasets import Box, Label, inbreast
from training.datasets.problems import Problem, ProblemKind
from training.errors import DataSetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_inbreast(tmp_path / "INbreast Release 1.0")


def test_categories_4_to_6_stand_for_malignant(folder: Path) -> None:
    data_set = inbreast.read(folder)

    assert [(image.bi_rads, image.label) for image in data_set.images] == [
        ("1", Label.NORMAL),
        ("4c", Label.MALIGNANT),
        ("3", Label.BENIGN),
        ("6", Label.MALIGNANT),
    ]


def test_the_patient_is_in_the_files_name(folder: Path) -> None:
    data_set = inbreast.read(folder)

    assert [image.patient_id for image in data_set.images] == [
        *["6c613a14b80a8591"] * 2,
        *["61b13c59bcba149e"] * 2,
    ]
    image = data_set.images[2]
    assert (image.laterality, image.view_position, image.density) == (Laterality.LEFT, "MLO", "b")
    assert data_set.images[3].density is None
    assert data_set.read_display(image).shape == (ROWS, COLUMNS)


def test_an_outline_is_a_box_and_a_single_calcification_is_none(folder: Path) -> None:
    image = inbreast.read(folder).images[1]

    assert image.boxes == (
        Box(top=70.0, left=40.5, bottom=95.5, right=60.0, label=Label.MALIGNANT),
    )
    assert image.findings == ("mass", "calcification")


def test_images_and_rows_that_do_not_go_together_are_problems(folder: Path) -> None:
    image = next((folder / "AllDICOMs").glob("20586908*"))
    image.rename(image.with_name("99999999_6c613a14b80a8591_MG_R_CC_ANON.dcm"))

    data_set = inbreast.read(folder)

    assert data_set.problems == (
        Problem(kind=ProblemKind.LABEL_WITHOUT_IMAGE, what="20586908"),
        Problem(
            kind=ProblemKind.IMAGE_WITHOUT_LABEL,
            what="99999999_6c613a14b80a8591_MG_R_CC_ANON.dcm",
        ),
    )


def test_an_image_without_a_category_is_left_out_and_counted(folder: Path) -> None:
    table = folder / "INbreast.csv"
    table.write_text(table.read_text("utf-8").replace(";4;4c", ";4;0"), encoding="utf-8")

    data_set = inbreast.read(folder)

    assert len(data_set.images) == 3
    assert data_set.notes[0].startswith("1 images left out")


def test_outlines_that_are_no_property_list_are_an_error_with_their_file(folder: Path) -> None:
    (folder / "AllXML" / "20586934.xml").write_text("<plist", encoding="utf-8")

    with pytest.raises(DataSetError, match=r"20586934\.xml"):
        inbreast.read(folder)


def test_a_table_saved_with_commas_is_an_error_that_says_so(folder: Path) -> None:
    table = folder / "INbreast.csv"
    table.write_text(table.read_text("utf-8").replace(";", ","), encoding="utf-8")

    with pytest.raises(DataSetError, match="delimiter ';'"):
        inbreast.read(folder)


def test_rows_of_delimiters_are_no_labels(folder: Path) -> None:
    with (folder / "INbreast.csv").open("a", encoding="utf-8") as table:
        table.write(";;;;;;;\n")

    data_set = inbreast.read(folder)

    assert len(data_set.images) == 4
    assert data_set.problems == ()
    assert data_set.notes == ()


def test_the_folder_above_is_told_what_was_expected(folder: Path) -> None:
    with pytest.raises(DataSetError, match=r"INbreast\.csv, AllDICOMs/ and AllXML/"):
        inbreast.read(folder.parent)
