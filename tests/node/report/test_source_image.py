import pytest
from pydicom.dataset import Dataset

import study_results
from model.views import Laterality
from node.report import source_image


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["P", "FL"], ("P", "FL")),
        (["A", "R"], ("A", "R")),
        ("CC", None),
        ("MLO", None),
        (["CC", "MLO"], None),
        (["P", "FF"], None),
        (["P", "FH"], None),
        (["", ""], None),
        (None, None),
    ],
)
def test_patient_orientation_is_read_only_where_it_is_one(
    value: object, expected: tuple[str, str] | None
) -> None:
    ds = Dataset()
    if value is not None:
        ds.PatientOrientation = value

    assert source_image.patient_orientation(ds) == expected


def test_a_label_says_what_is_unknown() -> None:
    known, unknown = study_results.one_view(), study_results.unknown_side()

    assert source_image.label_of(known.instances[0]) == "R CC"
    assert source_image.label_of(unknown.instances[0]) == "side unknown, view unknown"


@pytest.mark.parametrize(
    ("laterality", "label"),
    [
        (Laterality.RIGHT, "Right breast"),
        (Laterality.LEFT, "Left breast"),
        (None, "Breast, side unknown"),
    ],
)
def test_a_breast_is_named_by_its_side(laterality: Laterality | None, label: str) -> None:
    assert source_image.breast_label(laterality) == label


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([0.07, 0.08], (0.07, 0.08)),
        ([0, 0], None),
        ([0.07], None),
        ("", None),
        (None, None),
    ],
)
def test_a_spacing_is_read_only_where_it_is_one(
    value: object, expected: tuple[float, float] | None
) -> None:
    ds = Dataset()
    if value is not None:
        ds.ImagerPixelSpacing = value

    assert source_image.pixel_spacing_mm(ds, "ImagerPixelSpacing") == expected


def test_a_document_is_no_image() -> None:
    film, _, document = study_results.all_triaged().instances

    assert source_image.is_image(film)
    assert not source_image.is_image(document)
