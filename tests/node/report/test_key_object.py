import io
from dataclasses import replace

from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report.key_object import write_key_object
from node.results import StudyResult


def written(result: StudyResult) -> Dataset:
    """Write the key object selection and read it back."""
    (made,) = write_key_object(result)
    return dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))


def flagged(ds: Dataset) -> list[str]:
    return [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in ds.ContentSequence
        if item.ValueType == "IMAGE"
    ]


def test_it_refers_to_the_views_with_a_region_and_to_no_other() -> None:
    result = study_results.positive()

    ds = written(result)

    assert flagged(ds) == [i.sop_instance_uid for i in result.analysed if i.regions]
    (evidence,) = ds.CurrentRequestedProcedureEvidenceSequence
    named = [
        item.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    assert named == flagged(ds)


def test_its_title_is_of_interest_and_it_says_what_it_is() -> None:
    ds = written(study_results.positive())

    assert ds.ConceptNameCodeSequence[0].CodeValue == "113000"
    (text,) = [
        item.TextValue
        for item in ds.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "113012"
    ]
    assert "not for diagnostic use" in text


def test_without_a_region_there_is_none() -> None:
    assert write_key_object(study_results.normal()) == []


def test_a_late_view_without_a_region_leaves_it_the_same_object() -> None:
    first = study_results.positive()
    late = study_results.analysed(phantoms.mammogram(instance_number=9), score=0.2)
    second = replace(first, revision=2, instances=(*first.instances, late))

    assert written(second).SOPInstanceUID == written(first).SOPInstanceUID
