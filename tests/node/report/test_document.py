import io

import pytest
from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    NumContentItem,
    RelationshipTypeValues,
)
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report import codes, document
from node.report.cad_report import write_cad_report
from node.report.score_report import write_score_report


def test_references_are_grouped_by_series() -> None:
    items = document.references("1.2", [("1.3", "1.4", "1.5"), ("1.3", "1.4", "1.6")])

    series = items[0].ReferencedSeriesSequence
    assert len(items) == len(series) == 1
    found = [item.ReferencedSOPInstanceUID for item in series[0].ReferencedSOPSequence]
    assert found == ["1.5", "1.6"]


def test_a_whole_number_is_written_without_decimals_and_another_with_its_own() -> None:
    numbers = [
        NumContentItem(
            codes.HORIZONTAL_PIXEL_SPACING,
            value,
            codes.MICROMETER,
            relationship_type=RelationshipTypeValues.HAS_ACQ_CONTEXT,
        )
        for value in (100.0, 94.5)
    ]
    image = CodeContentItem(codes.IMPRESSION, codes.MALIGNANT, RelationshipTypeValues.CONTAINS)
    root = ContainerContentItem(codes.MAMMOGRAPHY_CAD_REPORT, template_id="4000")
    ds = Dataset()

    document.add_content(ds, document.nest(root, document.nest(image, *numbers)))

    written = [
        str(item.MeasuredValueSequence[0].NumericValue)
        for item in ds.ContentSequence[0].ContentSequence
    ]
    assert written == ["100", "94.5"]


def test_words_of_a_second_image_in_another_character_set_are_kept() -> None:
    first = phantoms.mammogram(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jördis")
    second = phantoms.mammogram(laterality="L", SpecificCharacterSet="ISO_IR 192")
    second.ViewCodeSequence[0].ViewModifierCodeSequence = [
        phantoms.code("399161006", "SCT", "谷間")
    ]
    result = study_results.study(
        *(study_results.analysed(source, score=0.1) for source in (first, second))
    )

    ds = dcmread(io.BytesIO(phantoms.to_bytes(write_cad_report(result)[0].dataset)))

    view = ds.ContentSequence[1].ContentSequence[1].ContentSequence[1]
    assert view.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "谷間"
    assert str(ds.PatientName) == "Müller^Jördis"


@pytest.mark.parametrize(
    ("detail", "character_set"),
    [("größer als erwartet", "ISO_IR 100"), ("больше, чем ожидалось", "ISO_IR 192")],
)
def test_words_of_an_error_are_kept_in_the_character_set_that_holds_them(
    detail: str, character_set: str
) -> None:
    source = phantoms.mammogram(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jördis")
    result = study_results.study(study_results.triaged(source, detail=detail))

    ds = dcmread(io.BytesIO(phantoms.to_bytes(write_score_report(result)[0].dataset)))

    assert ds.SpecificCharacterSet == character_set
    assert detail in ds.ContentSequence[-1].ContentSequence[-1].TextValue
    assert str(ds.PatientName) == "Müller^Jördis"
