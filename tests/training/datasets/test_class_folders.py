import shutil
from pathlib import Path

import pytest
from data_set_layouts import COLUMNS, ROWS, write_class_folders

from model.views import Laterality
from training.datasets import Label, Split, class_folders
from training.datasets.problems import ProblemKind
from training.errors import DataSetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "data")


def test_the_class_is_the_nearest_folder_that_is_named_after_one(folder: Path) -> None:
    data_set = class_folders.read(folder)

    assert {str(image.path.relative_to(folder)): image.label for image in data_set.images} == {
        "Benign/P01/series/1.png": Label.BENIGN,
        "Benign/P01/series/2.jpg": Label.BENIGN,
        "Benign/slice.dcm": Label.BENIGN,
        "Malignant/loose.png": Label.MALIGNANT,
        "deeper/down/Malignant/P02/1.png": Label.MALIGNANT,
        "deeper/down/Malignant/P02/2.PNG": Label.MALIGNANT,
    }
    assert {data_set.read_display(image).shape for image in data_set.images} == {(ROWS, COLUMNS)}


def test_the_patient_is_the_folder_below_the_class_or_in_the_header(folder: Path) -> None:
    data_set = class_folders.read(folder)

    assert [image.patient_id for image in data_set.images] == [
        "P01",
        "P01",
        "SLICES-1",
        "Malignant/loose.png",
        "P02",
        "P02",
    ]


def test_images_that_do_not_say_their_patient_are_counted_in_a_note(folder: Path) -> None:
    assert class_folders.read(folder).notes[0].startswith("1 of 6 images do not say their patient")


def test_a_dicom_image_says_its_view(folder: Path) -> None:
    image = next(
        image for image in class_folders.read(folder).images if image.path.suffix == ".dcm"
    )

    assert (image.laterality, image.view_position) == (Laterality.RIGHT, "CC")


def test_a_folder_named_after_a_split_is_the_publishers(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "with splits" / "train")
    shutil.copytree(folder / "Benign", tmp_path / "with splits" / "Test" / "Benign")

    data_set = class_folders.read(tmp_path / "with splits")

    splits = [image.split for image in data_set.images]
    assert (splits.count(Split.TRAIN), splits.count(Split.TEST)) == (6, 3)


def test_an_image_in_no_class_is_an_image_without_a_label(folder: Path) -> None:
    shutil.copy(folder / "Malignant" / "loose.png", folder / "stray.png")

    problems = class_folders.read(folder).problems

    assert [(problem.kind, problem.what) for problem in problems] == [
        (ProblemKind.IMAGE_WITHOUT_LABEL, "stray.png")
    ]


def test_hidden_files_and_texts_are_no_images(folder: Path) -> None:
    (folder / "Benign" / "._1.png").write_bytes(b"of another system")
    (folder / "Benign" / "README.md").write_text("about", encoding="utf-8")

    data_set = class_folders.read(folder)

    assert len(data_set.images) == 6
    assert data_set.problems == ()


def test_a_dicom_file_without_a_suffix_is_an_image(folder: Path) -> None:
    (folder / "Benign" / "slice.dcm").rename(folder / "Benign" / "IM0001")

    assert len(class_folders.read(folder).images) == 6


@pytest.mark.parametrize("name", ["Malignant/loose.png", "Benign/slice.dcm"])
def test_an_unreadable_file_is_an_error_that_names_it(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"no picture")
    data_set = class_folders.read(folder)
    broken = next(image for image in data_set.images if image.path == folder / name)

    with pytest.raises(DataSetError, match=rf"{name}.*Fetch the file"):
        data_set.read_display(broken)


def test_an_empty_folder_is_told_which_folders_were_expected(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"folders named normal.* found nothing"):
        class_folders.read(tmp_path)
