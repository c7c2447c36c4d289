"""What is analysed and what is not, by the header."""

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.equipment import MANUFACTURER, MODEL_NAME
from node.errors import TriageReason, UnsuitableInstance
from node.intake.triage import is_image, is_own_result, triage
from phantoms import film, mammogram, screening_study


def code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "as the test says"
    return item


def view_with(*modifiers: str) -> Sequence:
    view = code("399162004")
    view.ViewModifierCodeSequence = Sequence([code(value) for value in modifiers])
    return Sequence([view])


def phantom(**attributes: Any) -> Dataset:
    return mammogram(rows=16, columns=12, **attributes)


@pytest.mark.parametrize("ds", [*screening_study(rows=16, columns=12), film(rows=16, columns=12)])
def test_a_mammogram_passes(ds: Dataset) -> None:
    triage(ds)


@pytest.mark.parametrize(
    "attributes",
    [
        {"EstimatedRadiographicMagnificationFactor": "1.08"},
        {"BreastImplantPresent": "NO"},
        {"NumberOfFrames": "1"},
        {"ViewCodeSequence": view_with("399161006")},  # cleavage
        {"BreastImplantPresent": "YES", "ViewCodeSequence": view_with("399209000")},
    ],
)
def test_what_only_looks_suspicious_passes(attributes: dict[str, Any]) -> None:
    triage(phantom(**attributes))


def test_a_magnification_that_is_no_number_is_not_held_against_an_image() -> None:
    ds = phantom()
    ds.add_new("EstimatedRadiographicMagnificationFactor", "LO", "not a number")

    triage(ds)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Modality": "CR"}, TriageReason.NOT_MAMMOGRAPHY),
        ({"Modality": ""}, TriageReason.NOT_MAMMOGRAPHY),
        ({"Rows": None}, TriageReason.NOT_MAMMOGRAPHY),
        ({"SamplesPerPixel": 3}, TriageReason.NOT_MAMMOGRAPHY),
        ({"PresentationIntentType": "FOR PROCESSING"}, TriageReason.FOR_PROCESSING),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}, TriageReason.FOR_PROCESSING),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3"}, TriageReason.TOMOSYNTHESIS),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.4"}, TriageReason.TOMOSYNTHESIS),
        ({"NumberOfFrames": "2"}, TriageReason.MULTI_FRAME),
        ({"ViewCodeSequence": Sequence([code("127457009")])}, TriageReason.SPECIMEN),
        ({"ViewCodeSequence": Sequence([code("G-8310")])}, TriageReason.SPECIMEN),
        ({"ContainerIdentifier": "A1"}, TriageReason.SPECIMEN),
        ({"ViewCodeSequence": view_with("399055006")}, TriageReason.SPOT_OR_MAGNIFICATION),
        ({"ViewCodeSequence": view_with("399163009")}, TriageReason.SPOT_OR_MAGNIFICATION),
        ({"ViewCodeSequence": view_with("R-102D6")}, TriageReason.SPOT_OR_MAGNIFICATION),
        (
            {"EstimatedRadiographicMagnificationFactor": "1.8"},
            TriageReason.SPOT_OR_MAGNIFICATION,
        ),
        ({"ViewPosition": "SPOT"}, TriageReason.SPOT_OR_MAGNIFICATION),
        ({"BreastImplantPresent": "YES"}, TriageReason.IMPLANT_NOT_DISPLACED),
        (
            {"BreastImplantPresent": "YES", "ViewCodeSequence": view_with("399161006")},
            TriageReason.IMPLANT_NOT_DISPLACED,
        ),
    ],
)
def test_what_is_not_analysed_has_its_reason(
    attributes: dict[str, Any], reason: TriageReason
) -> None:
    ds = phantom()
    for keyword, value in attributes.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)

    with pytest.raises(UnsuitableInstance) as caught:
        triage(ds)

    assert caught.value.reason is reason
    assert caught.value.detail


def test_a_result_of_this_node_is_no_mammogram() -> None:
    ds = phantom(Manufacturer=MANUFACTURER, ManufacturerModelName=MODEL_NAME)

    assert is_own_result(ds)
    with pytest.raises(UnsuitableInstance) as caught:
        triage(ds)
    assert caught.value.reason is TriageReason.NOT_MAMMOGRAPHY


def test_the_mammogram_of_a_modality_is_not_taken_for_a_result() -> None:
    assert not is_own_result(phantom())


def test_a_report_is_no_image() -> None:
    report = Dataset()
    report.Modality = "SR"

    assert not is_image(report)
    assert is_image(phantom())
