from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report import codes
from node.report.image_library import cad_image_library, image_library
from node.results import InstanceResult


def described(*images: InstanceResult) -> list[dict[str, Dataset]]:
    """Descriptors of each image by their code."""
    (group,) = image_library(images).ContentSequence
    return [
        {str(item.ConceptNameCodeSequence[0].CodeValue): item for item in image.ContentSequence}
        for image in group.ContentSequence
    ]


def test_a_mammogram_is_described_by_what_it_says() -> None:
    (said,) = described(study_results.analysed(phantoms.mammogram(), score=0.5))

    assert said[codes.MODALITY.value].ConceptCodeSequence[0].CodeValue == "MG"
    assert said[codes.IMAGE_LATERALITY.value].ConceptCodeSequence[0].CodeMeaning == "Right"
    assert said[codes.IMAGE_VIEW.value].ConceptCodeSequence[0].CodeMeaning == "cranio-caudal"
    assert said[codes.PATIENT_ORIENTATION_ROW.value].TextValue == "P"
    assert said[codes.PATIENT_ORIENTATION_COLUMN.value].TextValue == "L"
    assert str(said[codes.STUDY_DATE.value].Date) == "20240517"
    rows = said[codes.PIXEL_DATA_ROWS.value].MeasuredValueSequence[0]
    assert float(rows.NumericValue) == 256


def test_vertical_spacing_is_the_first_of_the_two_values() -> None:
    ds = phantoms.mammogram(ImagerPixelSpacing=["0.0700000000", "0.09411764705882"])

    (said,) = described(study_results.analysed(ds, score=0.5))

    vertical = said[codes.VERTICAL_PIXEL_SPACING.value].MeasuredValueSequence[0]
    horizontal = said[codes.HORIZONTAL_PIXEL_SPACING.value].MeasuredValueSequence[0]
    assert (float(vertical.NumericValue), float(horizontal.NumericValue)) == (
        0.07,
        0.09411764705882,
    )


def test_nothing_is_said_of_what_is_unknown() -> None:
    ds = phantoms.film(Laterality=None, PatientOrientation=None, StudyDate="")

    (said,) = described(study_results.analysed(ds, score=0.5))

    assert set(said) == {
        codes.MODALITY.value,
        codes.STUDY_TIME.value,
        codes.PIXEL_DATA_ROWS.value,
        codes.PIXEL_DATA_COLUMNS.value,
    }


def test_images_keep_their_order() -> None:
    images = study_results.positive().instances

    (group,) = image_library(images).ContentSequence

    found = [item.ReferencedSOPSequence[0] for item in group.ContentSequence]
    assert [item.ReferencedSOPInstanceUID for item in found] == [
        image.sop_instance_uid for image in images
    ]


def cad_described(*images: InstanceResult) -> list[list[Dataset]]:
    """Descriptors of each image of a CAD report's library."""
    return [
        list(image.get("ContentSequence", ()))
        for image in cad_image_library(images).ContentSequence
    ]


def test_a_cad_report_takes_the_breast_as_side_and_micrometers_as_spacing() -> None:
    ds = phantoms.mammogram(ImagerPixelSpacing=["0.07", "0.085"])

    (said,) = cad_described(study_results.analysed(ds, score=0.5))

    by_code = {str(item.ConceptNameCodeSequence[0].CodeValue): item for item in said}
    # In the order of the rows of TID 4020, which is significant.
    assert list(by_code) == [
        code.value
        for code in (
            codes.IMAGE_LATERALITY,
            codes.IMAGE_VIEW,
            codes.PATIENT_ORIENTATION_ROW,
            codes.PATIENT_ORIENTATION_COLUMN,
            codes.STUDY_DATE,
            codes.STUDY_TIME,
            codes.CONTENT_DATE,
            codes.CONTENT_TIME,
            codes.HORIZONTAL_PIXEL_SPACING,
            codes.VERTICAL_PIXEL_SPACING,
        )
    ]
    assert by_code[codes.IMAGE_LATERALITY.value].ConceptCodeSequence[0].CodeValue == "73056007"
    horizontal = by_code[codes.HORIZONTAL_PIXEL_SPACING.value].MeasuredValueSequence[0]
    vertical = by_code[codes.VERTICAL_PIXEL_SPACING.value].MeasuredValueSequence[0]
    assert (float(horizontal.NumericValue), float(vertical.NumericValue)) == (85.0, 70.0)
    assert horizontal.MeasurementUnitsCodeSequence[0].CodeValue == "um"


def test_both_libraries_say_how_a_view_departs_from_the_standard_one() -> None:
    ds = phantoms.mammogram()
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = [
        phantoms.code("399161006", "SCT", "Cleavage"),
        Dataset(),
    ]

    image = study_results.analysed(ds, score=0.5)
    (in_cad_report,) = cad_described(image)
    (in_measurement_report,) = described(image)

    for view in (in_cad_report[1], in_measurement_report[codes.IMAGE_VIEW.value]):
        (modifier,) = view.ContentSequence
        assert modifier.ConceptNameCodeSequence[0].CodeValue == codes.IMAGE_VIEW_MODIFIER.value
        assert modifier.ConceptCodeSequence[0].CodeMeaning == "Cleavage"


def test_a_film_that_says_nothing_is_still_in_the_library_of_a_cad_report() -> None:
    ds = phantoms.film(
        Laterality=None,
        PatientOrientation=None,
        StudyDate="",
        StudyTime="",
        ContentDate=None,
        ContentTime=None,
    )

    (said,) = cad_described(study_results.analysed(ds, score=0.5))

    assert said == []
