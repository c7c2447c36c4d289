import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from model.manifest import FindingType
from node.errors import TriageReason
from node.report import codes
from node.report.cad_report import write_cad_report
from node.results import InstanceResult, ResultKind, StudyResult


def written(result: StudyResult) -> Dataset:
    """Write the CAD report and read it back."""
    (made,) = write_cad_report(result)
    return dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))


def children(item: Dataset, name: str) -> list[Dataset]:
    """Content items directly below that have this concept name."""
    return [
        child
        for child in item.get("ContentSequence", ())
        if "ConceptNameCodeSequence" in child and child.ConceptNameCodeSequence[0].CodeValue == name
    ]


def child(item: Dataset, name: str) -> Dataset:
    (found,) = children(item, name)
    return found


def code(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def summary(ds: Dataset) -> Dataset:
    return child(ds, codes.CAD_SUMMARY.value)


def findings(ds: Dataset) -> list[Dataset]:
    return [
        finding
        for impression in children(summary(ds), codes.INDIVIDUAL_IMPRESSION.value)
        for finding in children(impression, codes.SINGLE_IMAGE_FINDING.value)
    ]


def resolved(ds: Dataset, identifier: list[int]) -> Dataset:
    """Follow a Referenced Content Item Identifier, PS3.3 C.17.3.2.5: the first 1 is the root."""
    item = ds
    assert identifier[0] == 1
    for position in identifier[1:]:
        item = item.ContentSequence[position - 1]
    return item


def image_at(ds: Dataset, reference: Dataset) -> str:
    image = resolved(ds, list(reference.ReferencedContentItemIdentifier))
    assert image.ValueType == "IMAGE"
    return str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def detections(ds: Dataset, name: str) -> list[str]:
    """Which images the detection performed in that container names."""
    return [
        image_at(ds, reference)
        for container in children(child(ds, codes.SUMMARY_OF_DETECTIONS.value), name)
        for performed in children(container, codes.DETECTION_PERFORMED.value)
        for reference in performed.ContentSequence
        if "ReferencedContentItemIdentifier" in reference
    ]


def uids(images: tuple[InstanceResult, ...]) -> list[str]:
    return [image.sop_instance_uid for image in images]


def every_item(item: Dataset) -> Iterator[Dataset]:
    yield item
    for below in item.get("ContentSequence", ()):
        yield from every_item(below)


@pytest.mark.parametrize(
    ("study", "outcome", "detection"),
    [
        ("normal", codes.ALL_SUCCEEDED_WITHOUT_FINDINGS, codes.SUCCEEDED),
        ("positive", codes.ALL_SUCCEEDED_WITH_FINDINGS, codes.SUCCEEDED),
        ("partly_triaged", codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS, codes.PARTIALLY_SUCCEEDED),
        ("all_triaged", codes.NONE_SUCCEEDED, codes.FAILED),
        ("failed", codes.NONE_SUCCEEDED, codes.FAILED),
    ],
)
def test_the_summary_says_how_it_went(study: str, outcome: object, detection: object) -> None:
    ds = written(study_results.STUDIES[study]())

    assert code(summary(ds)) == outcome.value  # type: ignore[attr-defined]
    assert code(child(ds, "111064")) == detection.value  # type: ignore[attr-defined]
    assert code(child(ds, "111065")) == codes.NOT_ATTEMPTED.value


def test_with_a_failure_and_no_region_it_is_without_findings() -> None:
    result = study_results.partly_triaged()
    below = tuple(replace(i, regions=()) for i in result.instances)

    ds = written(replace(result, instances=below))

    assert code(summary(ds)) == codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS.value
    assert findings(ds) == []


def test_every_region_is_a_finding_on_the_pixels_of_its_image() -> None:
    result = study_results.positive()

    ds = written(result)

    expected = [(i, region) for i in result.instances for region in i.regions]
    found = findings(ds)
    assert len(found) == len(expected) == 4
    for finding, (image, region) in zip(found, expected, strict=True):
        assert code(finding) == codes.SELECTED_REGION.value
        outline = child(finding, codes.OUTLINE.value)
        assert outline.GraphicType == "POLYLINE"
        xs, ys = outline.GraphicData[0::2], outline.GraphicData[1::2]
        assert (min(xs), min(ys), max(xs), max(ys)) == (
            region.left,
            region.top,
            region.right,
            region.bottom,
        )
        assert (xs[0], ys[0]) == (xs[-1], ys[-1])
        center = child(finding, codes.CENTER.value)
        assert center.GraphicType == "POINT"
        assert list(center.GraphicData) == pytest.approx([region.peak_column, region.peak_row])
        for place in (outline, center):
            assert image_at(ds, place.ContentSequence[0]) == image.sop_instance_uid


def test_the_certainty_of_a_finding_is_the_score_of_its_view() -> None:
    ds = written(study_results.positive())

    certainties = [
        float(child(finding, "111012").MeasuredValueSequence[0].NumericValue)
        for finding in findings(ds)
    ]

    assert certainties == pytest.approx([62, 62, 87, 87])


def test_a_selected_region_has_a_description_and_no_probability_of_cancer() -> None:
    for finding in findings(written(study_results.with_prevalence())):
        assert children(finding, codes.PROBABILITY_OF_CANCER.value) == []
        text = child(finding, codes.SELECTED_REGION_DESCRIPTION.value).TextValue
        assert "Grad-CAM region" in text
        assert "Probability of cancer (AI)" in text


@pytest.mark.parametrize(
    "finding", [FindingType.SOFT_TISSUE_LESION, FindingType.CALCIFICATION_CLUSTER]
)
def test_a_finding_is_called_what_the_manifest_says_and_has_a_probability(
    finding: FindingType,
) -> None:
    ds = written(study_results.with_findings(finding))

    assert findings(ds)
    for found in findings(ds):
        assert code(found) == codes.FINDINGS[finding].value
        assert children(found, codes.SELECTED_REGION_DESCRIPTION.value) == []
        assert child(found, codes.PROBABILITY_OF_CANCER.value)
    assert codes.SELECTED_REGION.value not in ds.to_json()


def test_without_a_prevalence_no_finding_has_a_probability() -> None:
    named = study_results.with_findings(FindingType.SOFT_TISSUE_LESION)

    ds = written(replace(named, prevalence=None))

    assert codes.PROBABILITY_OF_CANCER.value not in ds.to_json()


def test_the_findings_of_a_breast_stand_together() -> None:
    result = study_results.eight_views()

    impressions = children(summary(written(result)), codes.INDIVIDUAL_IMPRESSION.value)

    trackings = [
        [
            child(finding, codes.TRACKING_IDENTIFIER.value).TextValue
            for finding in children(impression, codes.SINGLE_IMAGE_FINDING.value)
        ]
        for impression in impressions
    ]
    assert trackings == [
        ["AI R CC 1", "AI R CC 2"],
        ["AI L MLO 1", "AI L MLO 2", "AI L XCCL 1", "AI L XCCL 2"],
    ]


def test_the_detections_name_the_images_that_succeeded_and_failed() -> None:
    result = study_results.partly_triaged()

    ds = written(result)

    assert detections(ds, codes.SUCCESSFUL_DETECTIONS.value) == uids(result.analysed)
    assert detections(ds, codes.FAILED_DETECTIONS.value) == uids(result.triaged)


def test_the_raw_twin_of_an_analysed_image_is_no_failure() -> None:
    result = study_results.raw_twins()

    ds = written(result)

    assert code(summary(ds)) == codes.ALL_SUCCEEDED_WITHOUT_FINDINGS.value
    assert detections(ds, codes.SUCCESSFUL_DETECTIONS.value) == uids(result.analysed)
    assert detections(ds, codes.FAILED_DETECTIONS.value) == []


def test_a_damaged_repeat_of_an_analysed_view_is_a_failure() -> None:
    first, *_ = phantoms.screening_study()
    repeat = phantoms.mammogram(instance_number=2)
    damaged = study_results.triaged(repeat, TriageReason.UNDECODABLE_PIXELS)

    ds = written(study_results.study(study_results.analysed(first, score=0.1), damaged))

    assert code(summary(ds)) == codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS.value
    assert detections(ds, codes.FAILED_DETECTIONS.value) == uids((damaged,))


def test_an_image_of_another_modality_is_neither_listed_nor_a_failure() -> None:
    first, *_ = phantoms.screening_study()
    ultrasound = phantoms.mammogram(instance_number=2, Modality="US")
    other = study_results.triaged(ultrasound, TriageReason.NOT_MAMMOGRAPHY)
    seen = study_results.analysed(first, score=0.1)

    ds = written(study_results.study(seen, other))

    assert code(summary(ds)) == codes.ALL_SUCCEEDED_WITHOUT_FINDINGS.value
    assert len(child(ds, codes.IMAGE_LIBRARY.value).ContentSequence) == 1


def test_without_any_image_there_is_no_report() -> None:
    document = study_results.all_triaged().instances[2]

    assert write_cad_report(study_results.study(document)) == []


def test_every_description_says_that_it_is_not_for_diagnostic_use() -> None:
    for study in ("normal", "positive", "partly_triaged", "all_triaged"):
        ds = written(study_results.STUDIES[study]())

        text = child(summary(ds), codes.IMPRESSION_DESCRIPTION.value).TextValue
        assert text.startswith("Research software, not for diagnostic use.")


def test_what_was_not_analysed_stands_in_the_description_with_its_reason() -> None:
    text = child(
        summary(written(study_results.partly_triaged())), codes.IMPRESSION_DESCRIPTION.value
    ).TextValue

    assert "Study: AI malignancy score 0.90, at or above operating point 0.40." in text
    assert "Right breast: 0.90. Left breast: 0.10." in text
    assert "Not analysed: image 3, R MLO: for processing." in text


def test_no_birads_category_and_no_follow_up_is_given() -> None:
    names = {
        item.ConceptNameCodeSequence[0].CodeValue
        for item in every_item(written(study_results.positive()))
        if "ConceptNameCodeSequence" in item
    }

    assert names.isdisjoint({"111005", "111053", "111055", "111054"})


def test_the_algorithm_is_named_wherever_something_was_found() -> None:
    ds = written(study_results.positive())

    for item in (summary(ds), *findings(ds)):
        assert child(item, "111001").TextValue == "phantom-net (efficientnetv2b0)"
        assert child(item, "111003").TextValue == "1.2.0"


def test_a_second_revision_names_the_report_that_it_replaces() -> None:
    result = study_results.second_revision()

    (study,) = written(result).PredecessorDocumentsSequence

    (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    (before,) = [p for p in result.predecessors if p.kind is ResultKind.CAD_REPORT]
    assert reference.ReferencedSOPInstanceUID == before.sop_instance_uid
    assert reference.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.50"
