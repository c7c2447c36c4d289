import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report.summary_page import write_summary_page
from node.report.summary_picture import draw_summary
from node.results import StudyResult


def written(result: StudyResult) -> Dataset:
    """Write the summary page and read it back."""
    (made,) = write_summary_page(result)
    return dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))


def test_its_pixels_are_the_page() -> None:
    result = study_results.positive()

    ds = written(result)

    assert ds.PhotometricInterpretation == "RGB"
    assert np.array_equal(ds.pixel_array, draw_summary(result))


def test_it_names_the_images_that_it_shows() -> None:
    result = study_results.eight_views()

    sources = [item.ReferencedSOPInstanceUID for item in written(result).SourceImageSequence]

    assert sources == [result.instances[n].sop_instance_uid for n in (4, 1, 2, 3)]


@pytest.mark.parametrize(
    ("study", "laterality"),
    [("positive", "B"), ("one_breast", "L"), ("one_view", "R"), ("all_triaged", None)],
)
def test_it_says_which_breasts_it_shows(study: str, laterality: str | None) -> None:
    assert written(study_results.STUDIES[study]()).get("ImageLaterality") == laterality


def test_it_says_which_images_it_shows_turned_or_mirrored() -> None:
    hung, turned = written(study_results.positive()), written(study_results.oddly_stored())

    assert hung.DerivationDescription.startswith("Standard views with Grad-CAM of phantom-net")
    assert "breasts and study. " in hung.DerivationDescription
    assert (
        "breasts and study; R CC mirrored; L CC turned by 180 degrees; R MLO turned by 90 degrees "
        "clockwise and mirrored; L MLO mirrored. "
    ) in turned.DerivationDescription


def test_no_hanging_protocol_takes_it_for_a_view() -> None:
    ds = written(study_results.positive())

    (view,) = ds.ViewCodeSequence
    assert ds.Modality == "OT"
    assert (view.CodeValue, view.CodingSchemeDesignator) == ("SUMMARY_OF_VIEWS", "99MAMMONODE")
    assert ds.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MAMMONODE"
    assert ds.PatientOrientation is None or len(ds.PatientOrientation) == 0


def test_it_is_written_also_if_nothing_could_be_analysed() -> None:
    ds = written(study_results.all_triaged())

    assert "SourceImageSequence" not in ds
    assert ds.DerivationDescription.startswith("Why no standard view was analysed")
    assert "not for diagnostic use" in ds.DerivationDescription


def test_lossy_compression_of_any_image_is_carried_over() -> None:
    first, second, *_ = phantoms.screening_study()
    second.LossyImageCompression = "01"
    second.LossyImageCompressionRatio = "12"
    second.LossyImageCompressionMethod = "ISO_15444_1"
    result = study_results.study(
        study_results.analysed(first, score=0.1), study_results.analysed(second, score=0.1)
    )

    ds = written(result)

    assert ds.LossyImageCompression == "01"
    assert float(ds.LossyImageCompressionRatio) == 12


def test_a_late_image_makes_another_page() -> None:
    early = study_results.positive()
    late = study_results.analysed(phantoms.mammogram(instance_number=9), score=0.2)

    joined = study_results.study(*early.instances, late)

    assert written(joined).SOPInstanceUID != written(early).SOPInstanceUID
    assert written(joined).SeriesInstanceUID != written(early).SeriesInstanceUID
