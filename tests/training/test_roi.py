from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_set_layouts import write_cbis_ddsm, write_mini_mias

from training.datasets import DataSet, Label, cbis_ddsm, mini_mias, patches
from training.errors import DataSetError
from training.lesions import has_known_place
from training.prepared_crops import prepared_crops
from training.roi import PatchRule, cut_patches, patches_of
from training.splits import by_split

RULE = PatchRule(size_px=64, breast_px=(448, 336))


@pytest.fixture
def films(tmp_path: Path) -> DataSet:
    return cbis_ddsm.read(write_cbis_ddsm(tmp_path / "cbis"))


def test_each_lesion_has_a_patch_with_its_own_label(films: DataSet, tmp_path: Path) -> None:
    cut = cut_patches(films, tmp_path / "patches", RULE)

    lesions = [image for image in cut.images if image.findings == ("lesion",)]
    assert len(lesions) == sum(len(image.masks) for image in films.images)
    assert {image.patient_id for image in lesions} == {i.patient_id for i in films.images}
    assert {image.label for image in lesions} == {Label.BENIGN, Label.MALIGNANT}


def test_the_lesion_is_in_the_middle_with_context_around_it(films: DataSet) -> None:
    image = next(image for image in films.images if len(image.masks) == 1)

    patch = next(iter(patches_of(films, image, RULE))).pixels

    # The phantom's lesion is the brightest thing in it, a disc.
    lesion = np.argwhere(patch > 245)
    np.testing.assert_allclose(lesion.mean(axis=0), (31.5, 31.5), atol=2.0)
    assert np.ptp(lesion[:, 0]) + 1 == pytest.approx(64 / RULE.context, abs=4)


def test_more_context_shows_the_lesion_smaller(films: DataSet) -> None:
    image = next(image for image in films.images if len(image.masks) == 1)

    def lesion_share(context: float) -> float:
        patch = next(iter(patches_of(films, image, replace(RULE, context=context))))
        return float((patch.pixels > 245).mean())

    assert lesion_share(1.2) > 2 * lesion_share(2.4) > 0


def test_a_background_is_breast_without_a_lesion(films: DataSet, tmp_path: Path) -> None:
    cut = cut_patches(films, tmp_path / "patches", RULE)

    backgrounds = [image for image in cut.images if image.findings == ("background",)]
    assert len(backgrounds) >= len(films.images)
    for image in backgrounds:
        pixels = cut.read_display(image)
        assert image.label is Label.NORMAL
        # The lesion alone is near white.
        assert (pixels > 0.96).mean() < 0.02
        assert (pixels > 0.0).mean() > 0.6


def test_as_many_backgrounds_are_cut_as_are_asked_for(films: DataSet) -> None:
    image = next(image for image in films.images if len(image.masks) == 1)

    assert len(list(patches_of(films, image, replace(RULE, backgrounds=0)))) == 1
    assert len(list(patches_of(films, image, replace(RULE, backgrounds=3)))) == 4


def test_the_same_rule_cuts_the_same_patches(films: DataSet, tmp_path: Path) -> None:
    for name in ("one", "other"):
        cut_patches(films, tmp_path / name, RULE)

    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()


def test_patients_keep_their_split(tmp_path: Path) -> None:
    films = cbis_ddsm.read(write_cbis_ddsm(tmp_path / "cbis"), parts=("mass",))
    cut = cut_patches(films, tmp_path / "patches", RULE)

    whole, pieces = by_split(films.images), by_split(cut.images)

    for split, images in pieces.items():
        assert {i.patient_id for i in images} == {i.patient_id for i in whole[split]}


def test_boxes_give_patches_too(tmp_path: Path) -> None:
    films = mini_mias.read(write_mini_mias(tmp_path / "mias", size_px=256))

    cut = cut_patches(films, tmp_path / "patches", RULE)

    with_place = [image for image in films.images if has_known_place(image)]
    assert {image.patient_id for image in cut.images} == {i.patient_id for i in with_place}


def test_patches_are_prepared_without_looking_for_a_breast(films: DataSet, tmp_path: Path) -> None:
    cut = cut_patches(films, tmp_path / "patches", RULE)

    crops = prepared_crops(cut, cut.images, (64, 64), tmp_path / "cache")

    for image, crop in zip(cut.images, crops, strict=True):
        np.testing.assert_array_equal(crop, cv2.imread(str(image.path), cv2.IMREAD_GRAYSCALE))


def test_a_folder_that_was_not_finished_is_no_data_set(films: DataSet, tmp_path: Path) -> None:
    cut_patches(films, tmp_path / "patches", RULE)
    (tmp_path / "patches" / patches.TABLE_FILE).unlink()

    with pytest.raises(DataSetError, match=r"expected patches\.csv and about\.json"):
        patches.read(tmp_path / "patches")
