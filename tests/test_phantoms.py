"""The phantoms themselves: valid, repeatable, and what they claim to be."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from phantoms import (
    ENCODABLE,
    SCREENING_VIEWS,
    breast_pixels,
    film,
    lesion_in,
    mammogram,
    screening_study,
    to_bytes,
    write,
)
from validators import dciodvfy_errors


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("laterality", "view_position"), SCREENING_VIEWS)
def test_a_phantom_is_a_valid_mammogram(
    tmp_path: Path, laterality: str, view_position: str, photometric: str
) -> None:
    ds = mammogram(laterality=laterality, view_position=view_position, photometric=photometric)

    assert dciodvfy_errors(write(ds, tmp_path)) == []


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = screening_study(seed=5), screening_study(seed=5)

    assert [to_bytes(ds) for ds in first] == [to_bytes(ds) for ds in second]


def test_another_seed_is_another_patient_study_and_picture() -> None:
    one, other = mammogram(seed=1), mammogram(seed=2)

    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID", "PixelData"):
        assert one[keyword].value != other[keyword].value


def test_the_views_of_a_study_share_patient_and_study_and_nothing_else() -> None:
    views = screening_study(seed=3)

    assert len({ds.StudyInstanceUID for ds in views}) == 1
    assert len({ds.PatientID for ds in views}) == 1
    assert len({ds.SOPInstanceUID for ds in views}) == 4
    assert [(ds.ImageLaterality, ds.ViewPosition) for ds in views] == list(SCREENING_VIEWS)


def test_the_lesion_is_the_brightest_thing_and_where_it_is_said_to_be() -> None:
    lesion = lesion_in("L", rows=300, columns=200)

    pixels = breast_pixels("L", rows=300, columns=200, lesion=lesion)

    row, column = np.argwhere(pixels == pixels.max()).mean(axis=0) + 0.5
    assert row == pytest.approx(lesion.row, abs=0.5)
    assert column == pytest.approx(lesion.column, abs=0.5)


def test_an_attribute_can_be_set_or_taken_away() -> None:
    ds = mammogram(PatientID="other", ViewPosition=None)

    assert ds.PatientID == "other"
    assert "ViewPosition" not in ds


def test_a_film_says_its_view_where_cbis_ddsm_says_it() -> None:
    ds = film(laterality="L", view_position="MLO")

    assert (ds.PatientOrientation, ds.Laterality) == ("MLO", "L")
    assert "ViewPosition" not in ds
    assert "ImageLaterality" not in ds


@pytest.mark.parametrize("transfer_syntax", ENCODABLE, ids=lambda uid: uid.name)
def test_a_phantom_is_written_in_the_transfer_syntax_that_it_names(
    tmp_path: Path, transfer_syntax: str
) -> None:
    ds = dcmread(write(mammogram(transfer_syntax=transfer_syntax, bits_stored=8), tmp_path))

    assert ds.file_meta.TransferSyntaxUID == transfer_syntax
    assert ds["PixelData"].is_undefined_length == ds.file_meta.TransferSyntaxUID.is_compressed or (
        not ds.file_meta.TransferSyntaxUID.is_encapsulated
    )
