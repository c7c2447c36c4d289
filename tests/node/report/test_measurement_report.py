import io

import pytest
from highdicom.sr import ComprehensiveSR, GraphicTypeValues, MeasurementReport
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report import codes
from node.report.measurement_report import write_measurement_report
from node.results import StudyResult


def written(result: StudyResult) -> Dataset:
    """Write the measurement report and read it back."""
    (made,) = write_measurement_report(result)
    return dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def groups(ds: Dataset) -> list[Dataset]:
    (measurements,) = [i for i in ds.ContentSequence if name(i) == codes.IMAGING_MEASUREMENTS.value]
    return [i for i in measurements.ContentSequence if i.ValueType == "CONTAINER"]


def of_type(group: Dataset, value_type: str) -> list[Dataset]:
    return [i for i in group.ContentSequence if i.ValueType == value_type]


def image_of(group: Dataset) -> str:
    (outline,) = of_type(group, "SCOORD")
    reference = outline.ContentSequence[0].ReferencedSOPSequence[0]
    return str(reference.ReferencedSOPInstanceUID)


def test_the_most_suspicious_image_comes_first() -> None:
    result = study_results.positive()

    images = [image_of(group) for group in groups(written(result))]

    r_cc, r_mlo = result.instances[0], result.instances[2]
    assert len(r_mlo.regions) == len(r_cc.regions) == 2
    assert images == [r_mlo.sop_instance_uid] * 2 + [r_cc.sop_instance_uid] * 2


def test_it_says_that_a_score_is_of_the_whole_view() -> None:
    ds = written(study_results.positive())

    (said,) = [
        item.TextValue
        for item in ds.ContentSequence[-1].ContentSequence
        if name(item) == codes.ABOUT_SCORE.value
    ]
    assert "score of the whole view, not of the region" in said


def test_a_region_is_a_closed_outline_inside_its_image() -> None:
    result = study_results.positive()
    region = result.instances[2].regions[0]

    (outline,) = of_type(groups(written(result))[0], "SCOORD")

    assert outline.GraphicType == "POLYLINE"
    points = list(outline.GraphicData)
    assert points == [
        *(region.left, region.top),
        *(region.right, region.top),
        *(region.right, region.bottom),
        *(region.left, region.bottom),
        *(region.left, region.top),
    ]
    assert 0 <= min(points[0::2]) < max(points[0::2]) <= 192
    assert 0 <= min(points[1::2]) < max(points[1::2]) <= 256


def test_the_outline_lies_on_the_hill_of_the_heat_map() -> None:
    result = study_results.positive()
    instance = result.instances[2]
    assert instance.heat_map is not None
    hill = instance.heat_map.on_original()
    row, column = divmod(int(hill.argmax()), hill.shape[1])

    (outline,) = of_type(groups(written(result))[0], "SCOORD")

    left, top, right, _, _, bottom = list(outline.GraphicData)[:6]
    assert left < column + 0.5 < right
    assert top < row + 0.5 < bottom


def test_every_group_has_a_region_a_score_and_a_tracking_uid_of_its_own() -> None:
    found = groups(written(study_results.positive()))

    tracking = [of_type(group, "UIDREF")[0].UID for group in found]
    assert len(set(tracking)) == len(found) == 4
    for group in found:
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1410"
        assert len(of_type(group, "SCOORD")) == 1
        assert len(of_type(group, "NUM")) == 1


def test_the_score_is_that_of_the_image() -> None:
    (number,) = of_type(groups(written(study_results.positive()))[0], "NUM")

    assert name(number) == codes.MALIGNANCY_SCORE.value
    assert float(number.MeasuredValueSequence[0].NumericValue) == pytest.approx(0.87)


def test_highdicom_finds_the_regions_of_an_image() -> None:
    result = study_results.positive()
    image = result.instances[2]

    document = ComprehensiveSR.from_dataset(written(result))

    report = document.content
    assert isinstance(report, MeasurementReport)
    found = report.get_planar_roi_measurement_groups(
        graphic_type=GraphicTypeValues.POLYLINE, referenced_sop_instance_uid=image.sop_instance_uid
    )
    assert len(found) == len(image.regions)
    assert found[0].get_measurements()[0].value == 0.87


def test_the_title_is_that_of_reports_with_regions() -> None:
    assert name(written(study_results.positive())) == "126000"


def test_only_images_with_regions_are_evidence() -> None:
    result = study_results.positive()

    ds = written(result)

    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    found = {
        instance.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert found == {i.sop_instance_uid for i in result.instances if i.regions}


def test_it_says_that_it_is_not_for_diagnostic_use() -> None:
    ds = written(study_results.positive())

    evaluations = ds.ContentSequence[-1].ContentSequence
    assert any("not for diagnostic use" in str(item.get("TextValue", "")) for item in evaluations)


@pytest.mark.parametrize(
    "result", [study_results.normal(), study_results.all_triaged()], ids=["normal", "all triaged"]
)
def test_without_a_region_there_is_no_report(result: StudyResult) -> None:
    assert write_measurement_report(result) == []


def test_a_second_revision_names_the_report_that_it_replaces() -> None:
    result = study_results.second_revision()

    ds = written(result)

    (study,) = ds.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    uid = series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == result.predecessors[1].sop_instance_uid
