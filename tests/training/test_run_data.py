from dataclasses import replace
from pathlib import Path

import pytest
from data_set_layouts import write_cbis_ddsm
from drawn_breasts import write_rsna_layout

from model.manifest import MANIFEST_FILE, TrainingData, read_manifest
from networks import write_untrained_weights
from training.datasets import Split
from training.datasets.registry import join, read_data_set
from training.errors import DataSetError
from training.run_data import (
    data_set_of,
    data_set_of_stage,
    is_of_same_patients,
    origin_of_start,
    trained_on,
)
from training.settings import Stage, TrainingSettings
from training.splits import LeakError, by_split


def settings_of(data_set: str, folder: Path, **changed: object) -> TrainingSettings:
    return TrainingSettings.model_validate({"data_set": data_set, "data_folder": folder} | changed)


def test_an_image_that_is_missing_stops_a_run_unless_the_settings_allow_it(tmp_path: Path) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=3)
    (folder / "images" / "0_0.webp").unlink()
    strict = settings_of("rsna", folder)
    lenient = settings_of("rsna", folder, allows_incomplete=True)

    with pytest.raises(DataSetError, match="an image for every label"):
        data_set_of(strict)

    assert len(data_set_of(lenient).images) == 11


def test_a_publishers_split_is_left_behind_where_the_settings_say_so(tmp_path: Path) -> None:
    folder = write_cbis_ddsm(tmp_path / "data")
    kept = settings_of("cbis_ddsm_mass", folder)
    own = settings_of("cbis_ddsm_mass", folder, keeps_published_split=False)

    assert {image.split for image in data_set_of(kept).images} == {Split.TRAIN, Split.TEST}
    assert {image.split for image in data_set_of(own).images} == {None}


def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = settings_of("rsna", tmp_path / "nowhere")

    with pytest.raises(DataSetError, match=r"nowhere: expected the folder .* --data"):
        data_set_of(settings)


def test_what_holds_for_a_run_holds_for_its_stages(tmp_path: Path) -> None:
    rsna = write_rsna_layout(tmp_path / "rsna", patients=12)
    cbis = write_cbis_ddsm(tmp_path / "cbis")
    stage = Stage(data_set="cbis_ddsm_mass", data_folder=cbis)
    kept, own = (settings_of("rsna", rsna, keeps_published_split=keeps) for keeps in (True, False))

    published, split_by_hash = (
        data_set_of_stage(stage, settings, data_set_of(settings)) for settings in (kept, own)
    )

    assert {image.split for image in published.images} == {Split.TRAIN, Split.TEST}
    assert {image.split for image in split_by_hash.images} == {None}
    next(cbis.rglob("Mass-Training*_CC/**/*.dcm")).unlink()
    with pytest.raises(DataSetError, match="an image for every label"):
        data_set_of_stage(stage, kept, data_set_of(kept))


def test_a_stage_never_trains_on_patients_whom_the_run_holds_out(tmp_path: Path) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=30)
    other = write_rsna_layout(tmp_path / "other", patients=30, seed=9)
    settings, stage = settings_of("rsna", folder), Stage(data_set="rsna", data_folder=other)
    data_set = data_set_of(settings)

    assert data_set_of_stage(stage, settings, data_set).images

    tested = by_split(data_set.images)[Split.TEST][0].patient_id
    trained = by_split(data_set.images)[Split.TRAIN][0].patient_id
    # Its publisher tests on one whom a hash would train on, and the stage goes by the hash.
    published = tuple(
        replace(
            image,
            split=Split.TEST if image.patient_id in {tested, trained} else Split.TRAIN,
        )
        for image in data_set.images
    )
    with pytest.raises(LeakError, match="found 1 patients of it in the stage's train") as leak:
        data_set_of_stage(stage, settings, replace(data_set, images=published))
    assert "keeps_published_split = false" in str(leak.value)


def test_patients_of_another_publication_are_others_whatever_their_pseudonyms(
    tmp_path: Path,
) -> None:
    rsna = read_data_set("rsna", write_rsna_layout(tmp_path / "rsna", patients=6))
    mass = read_data_set("cbis_ddsm_mass", write_cbis_ddsm(tmp_path / "cbis"))

    assert is_of_same_patients(mass, replace(mass, name="Patches of it"))
    assert is_of_same_patients(join([rsna, mass]), mass)
    assert not is_of_same_patients(rsna, mass)
    assert not is_of_same_patients(replace(rsna, citation=""), replace(mass, citation=""))


def test_the_manifest_names_all_that_the_weights_have_learnt_from(tmp_path: Path) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=12)
    cbis = write_cbis_ddsm(tmp_path / "cbis")
    start = write_untrained_weights(tmp_path / "weights", input_size_px=(64, 48))
    drawn = TrainingData(name="Drawn", licence="MIT", citation="", patients=3, images=12)
    described = read_manifest(start).model_copy(update={"training_data": (drawn,)})
    (start / MANIFEST_FILE).write_text(described.to_json(), encoding="utf-8")
    stages = (Stage(data_set="cbis_ddsm_mass", data_folder=cbis), Stage())
    settings = settings_of("rsna", folder, stages=stages, start_weights=str(start))
    data_set = data_set_of(settings)

    own, mass, *before = trained_on(data_set, settings)

    assert own.name == data_set.name
    assert own.images == len(by_split(data_set.images)[Split.TRAIN])
    assert (mass.name, mass.licence) == ("CBIS-DDSM (mass)", "CC BY 3.0")
    assert before == [drawn]
    assert origin_of_start(settings) == "untrained 0, which started from: random, seeded"


def test_random_weights_are_not_said_to_come_from_imagenet(tmp_path: Path) -> None:
    assert "ImageNet" in origin_of_start(settings_of("rsna", tmp_path))
    assert origin_of_start(settings_of("rsna", tmp_path, start_weights="none")) == "random weights"
    stated = settings_of("rsna", tmp_path, start_weights="none", start_weights_origin="dice")
    assert origin_of_start(stated) == "dice"
