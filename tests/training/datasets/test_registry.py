from dataclasses import replace
from pathlib import Path

import pytest
from data_set_layouts import write_class_folders, write_mini_mias
from drawn_breasts import write_rsna_layout

from training.datasets import DataSet, registry
from training.errors import DataSetError, SettingsError
from training.splits import by_split


@pytest.fixture
def films(tmp_path: Path) -> DataSet:
    return registry.read_data_set("mini_mias", write_mini_mias(tmp_path / "mias", size_px=64))


@pytest.fixture
def squares(tmp_path: Path) -> DataSet:
    return registry.read_data_set("rsna", write_rsna_layout(tmp_path / "rsna", patients=20))


def test_the_folders_of_the_original_are_the_defaults() -> None:
    assert registry.READERS["cbis_ddsm"].default_folder == Path("data/CBIS_DDSM")
    assert registry.READERS["breast_mri"].default_folder == Path("data/Second_Dataset")


@pytest.mark.parametrize("name", registry.READERS)
def test_a_missing_default_folder_is_an_error_that_names_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataSetError, match=str(registry.READERS[name].default_folder)):
        registry.read_data_set(name)


@pytest.mark.parametrize("name", registry.READERS)
def test_an_empty_folder_is_an_error_for_every_reader(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="found nothing"):
        registry.read_data_set(name, tmp_path)


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'mini_mia'.*cbis_ddsm, .*Did you mean mini_mias"):
        registry.read_data_set("mini_mia")


def test_several_names_are_read_from_the_folders_below_and_joined(tmp_path: Path) -> None:
    write_rsna_layout(tmp_path / "rsna-screening-subset", patients=2)
    write_mini_mias(tmp_path / "mini-MIAS", size_px=64)

    data_set = registry.read_data_set("rsna+mini_mias", tmp_path)

    assert {image.source for image in data_set.images} == {"rsna", "mini_mias"}
    assert len(data_set.images) == 8 + 10


def test_patches_and_whole_images_cannot_be_joined(films: DataSet, squares: DataSet) -> None:
    with pytest.raises(DataSetError, match="whole images alone, or patches alone"):
        registry.join([films, replace(squares, is_prepared=True)])


def test_joined_data_sets_never_share_a_patient(films: DataSet, squares: DataSet) -> None:
    joined = registry.join([squares, films])

    assert len(joined.images) == len(films.images) + len(squares.images)
    assert {image.patient_id.split("/")[0] for image in joined.images} == {"rsna", "mini_mias"}
    assert joined.licence == f"{squares.licence}; {films.licence}"
    assert joined.known_gaps == (*squares.known_gaps, *films.known_gaps)


def test_joining_moves_nobody_to_another_split(films: DataSet, squares: DataSet) -> None:
    joined = by_split(registry.join([squares, films]).images)

    for alone in (by_split(squares.images), by_split(films.images)):
        for split, images in alone.items():
            assert {image.path for image in images} <= {image.path for image in joined[split]}


def test_each_image_of_a_joined_table_is_read_by_its_own_reader(
    films: DataSet, squares: DataSet
) -> None:
    joined = registry.join([squares, films])

    shapes = {image.source: joined.read_display(image).shape for image in joined.images}

    assert shapes == {"rsna": (128, 102), "mini_mias": (64, 64)}


def test_the_same_data_set_twice_is_an_error(films: DataSet) -> None:
    with pytest.raises(DataSetError, match="mini_mias twice"):
        registry.join([films, films])


def test_an_incomplete_data_set_is_an_error_where_a_complete_one_is_required(
    tmp_path: Path,
) -> None:
    folder = write_class_folders(tmp_path)
    (folder / "Malignant" / "loose.png").rename(folder / "stray.png")
    data_set = registry.read_data_set("class_folders", folder)

    with pytest.raises(DataSetError, match=r"stray\.png \(image without a label\)"):
        registry.require_complete(data_set)


def test_a_complete_data_set_passes(films: DataSet) -> None:
    registry.require_complete(films)
