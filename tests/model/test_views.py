"""Side and view, from standard attributes and from what film sets use instead."""

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.views import STANDARD_VIEWS, Laterality, ViewModifier, read_view
from phantoms import code, film, mammogram, screening_study


def test_a_screening_study_shows_the_four_standard_views() -> None:
    views = [read_view(ds) for ds in screening_study()]

    assert [(view.laterality, view.view_position) for view in views] == list(STANDARD_VIEWS)


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("view_position", ["CC", "MLO"])
def test_a_film_shows_what_its_orientation_and_laterality_say(
    laterality: str, view_position: str
) -> None:
    view = read_view(film(laterality=laterality, view_position=view_position))

    assert (view.laterality, view.view_position) == (laterality, view_position)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("399162004", "CC"),
        ("R-10242", "CC"),
        ("399368009", "MLO"),
        ("R-10226", "MLO"),
        ("399192008", "XCCL"),
        ("399260004", "ML"),
    ],
)
def test_the_view_code_is_read_where_view_position_is_absent(value: str, expected: str) -> None:
    ds = mammogram(ViewPosition=None)
    ds.ViewCodeSequence[0].CodeValue = value

    assert read_view(ds).view_position == expected


def test_view_position_comes_before_the_view_code() -> None:
    ds = mammogram(view_position="MLO")
    ds.ViewCodeSequence[0].CodeValue = "399162004"

    assert read_view(ds).view_position == "MLO"


@pytest.mark.parametrize(
    ("text", "laterality", "view_position"),
    [
        ("R MLO", "R", "MLO"),
        ("LCC", "L", "CC"),
        ("l-mlo", "L", "MLO"),
        ("RIGHT_CC", "R", "CC"),
        ("Left breast, MLO view", "L", "MLO"),
        ("RXCCL", "R", "XCCL"),
        ("LML", "L", "ML"),
        ("LMO", None, "LMO"),
        ("MAMMOGRAM", None, None),
        ("full mammogram images", None, None),
        ("R CC, L CC", None, "CC"),
        ("R CC / R MLO", "R", None),
        ("ACCESSORY", None, None),
    ],
)
def test_a_description_counts_where_it_names_one(
    text: str, laterality: str | None, view_position: str | None
) -> None:
    ds = Dataset()
    ds.SeriesDescription = text

    view = read_view(ds)

    assert (view.laterality, view.view_position) == (laterality, view_position)


@pytest.mark.parametrize("value", ["B", "U", "", None])
def test_a_side_that_is_no_single_breast_is_unknown(value: str | None) -> None:
    assert read_view(mammogram(ImageLaterality=value)).laterality is None


def test_laterality_of_the_series_serves_where_that_of_the_image_is_absent() -> None:
    view = read_view(mammogram(ImageLaterality=None, Laterality="L"))

    assert view.laterality is Laterality.LEFT


def test_a_real_patient_orientation_names_no_view() -> None:
    ds = Dataset()
    ds.PatientOrientation = ["P", "L"]

    view = read_view(ds)

    assert (view.laterality, view.view_position) == (None, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("399163009", ViewModifier.MAGNIFICATION),
        ("R-102D6", ViewModifier.MAGNIFICATION),
        ("399055006", ViewModifier.SPOT_COMPRESSION),
        ("399209000", ViewModifier.IMPLANT_DISPLACED),
        ("399161006", ViewModifier.OTHER),
    ],
)
def test_view_modifiers_are_read(value: str, expected: ViewModifier) -> None:
    ds = mammogram()
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([code(value, "SCT", "modifier")])

    assert read_view(ds).modifiers == {expected}


def test_an_empty_data_set_shows_nothing_that_is_known() -> None:
    view = read_view(Dataset())

    assert (view.laterality, view.view_position, view.modifiers) == (None, None, frozenset())


def test_view_codes_that_cannot_be_read_say_nothing() -> None:
    ds = mammogram()
    tag = ds.data_element("ViewCodeSequence").tag  # type: ignore[union-attr]  # it has one
    ds[tag] = RawDataElement(tag, "ZZ", 4, b"1234", 0, False, True)

    view = read_view(ds)

    assert (view.laterality, view.view_position) == ("R", "CC")
    assert view.modifiers == frozenset()
