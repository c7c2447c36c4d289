import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report import codes
from node.report.score_report import write_score_report
from node.results import StudyResult


def written(result: StudyResult) -> Dataset:
    """Write the score report and read it back."""
    (made,) = write_score_report(result)
    return dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))


def container(ds: Dataset, value: str) -> Dataset:
    found: Dataset
    (found,) = [i for i in ds.ContentSequence if name(i) == value]
    return found


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def groups(ds: Dataset) -> dict[str, Dataset]:
    """Measurement groups by tracking identifier."""
    found = container(ds, codes.IMAGING_MEASUREMENTS.value).ContentSequence
    return {
        str(item.ContentSequence[0].TextValue): item
        for item in found
        if item.ValueType == "CONTAINER"
    }


def score(group: Dataset) -> float:
    (item,) = [i for i in group.ContentSequence if i.ValueType == "NUM"]
    return float(item.MeasuredValueSequence[0].NumericValue)


def call(group: Dataset) -> str:
    (item,) = [i for i in group.ContentSequence if name(i) == codes.CALL.value]
    return str(item.ConceptCodeSequence[0].CodeMeaning)


def images(group: Dataset) -> list[str]:
    return [
        i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for i in group.ContentSequence
        if i.ValueType == "IMAGE"
    ]


def texts(ds: Dataset) -> dict[str, list[str]]:
    """Texts of the Qualitative Evaluations by code."""
    found: dict[str, list[str]] = {}
    for item in container(ds, codes.QUALITATIVE_EVALUATIONS.value).ContentSequence:
        if item.ValueType == "TEXT":
            found.setdefault(name(item), []).append(str(item.TextValue))
    return found


def outcome(ds: Dataset) -> str:
    evaluations = container(ds, codes.QUALITATIVE_EVALUATIONS.value).ContentSequence
    (item,) = [i for i in evaluations if name(i) == codes.OUTCOME.value]
    return str(item.ConceptCodeSequence[0].CodeMeaning)


def test_study_breasts_and_views_have_their_scores() -> None:
    found = groups(written(study_results.positive()))

    assert {label: score(group) for label, group in found.items()} == pytest.approx(
        {
            "Study": 0.745,
            "Right breast": 0.745,
            "Left breast": 0.095,
            "Image 1: R CC": 0.62,
            "Image 2: L CC": 0.08,
            "Image 3: R MLO": 0.87,
            "Image 4: L MLO": 0.11,
        }
    )


def test_each_score_names_the_images_that_it_was_made_from() -> None:
    result = study_results.positive()
    uids = [i.sop_instance_uid for i in result.instances]

    found = groups(written(result))

    assert images(found["Study"]) == uids
    assert images(found["Right breast"]) == [uids[0], uids[2]]
    assert images(found["Image 4: L MLO"]) == [uids[3]]


def test_calls_are_made_at_the_operating_point() -> None:
    found = groups(written(study_results.positive()))

    assert call(found["Right breast"]) == "suspicious, at or above operating point"
    assert call(found["Left breast"]) == "below operating point"


def test_score_and_call_are_the_first_that_is_said_under_a_label_and_its_place() -> None:
    for group in groups(written(study_results.positive())).values():
        said = [item.ValueType for item in group.ContentSequence]
        assert said[:5] == ["TEXT", "UIDREF", "CODE", "NUM", "CODE"]
        assert name(group.ContentSequence[4]) == codes.CALL.value


def test_the_title_is_not_that_of_reports_with_regions() -> None:
    ds = written(study_results.positive())

    assert name(ds) == "126001"
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_every_container_is_separate() -> None:
    def continuities(item: Dataset) -> set[str]:
        own = {str(item.ContinuityOfContent)} if item.ValueType == "CONTAINER" else set()
        return own.union(*(continuities(child) for child in item.get("ContentSequence", [])))

    assert continuities(written(study_results.partly_triaged())) == {"SEPARATE"}


def test_it_states_model_operating_point_calibration_and_intended_use() -> None:
    ds = written(study_results.positive())

    found = texts(ds)

    assert found[codes.MODEL.value] == ["phantom-net 1.2.0"]
    assert found[codes.WEIGHTS_SHA256.value] == ["0123456789abcdef" * 4]
    assert found[codes.THRESHOLD.value] == ["0.4000"]
    assert found[codes.CHOSEN_FOR.value] == ["90 % specificity by breast"]
    assert found[codes.SENSITIVITY.value] == ["0.520"]
    assert found[codes.SPECIFICITY.value] == ["0.900"]
    assert found[codes.CALIBRATION_PREVALENCE.value] == ["0.2500"]
    assert "not for diagnostic use" in found[codes.INTENDED_USE.value][0]
    assert codes.SITE_PREVALENCE.value not in found
    assert outcome(ds) == "All images analysed"


def test_the_prevalence_of_the_site_and_the_threshold_at_it_are_stated() -> None:
    found = texts(written(study_results.with_prevalence()))

    assert found[codes.SITE_PREVALENCE.value] == ["0.0060"]
    # Odds 0.4/0.6 times (0.006/0.994)/(0.25/0.75): 0.01207, 1.19 %.
    assert found[codes.THRESHOLD.value] == ["1.19 %"]


def test_an_image_that_was_not_analysed_is_named_with_its_reason() -> None:
    result = study_results.partly_triaged()

    ds = written(result)

    assert texts(ds)[codes.NOT_ANALYSED.value] == [
        "Image 3: R MLO: for processing (as a test wants)"
    ]
    evaluations = container(ds, codes.QUALITATIVE_EVALUATIONS.value).ContentSequence
    (reference,) = evaluations[-1].ContentSequence
    assert reference.RelationshipType == "INFERRED FROM"
    uid = reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == result.instances[2].sop_instance_uid
    assert outcome(ds) == "Some images not analysed"


def test_a_study_without_an_analysable_image_is_told_so_and_why() -> None:
    result = study_results.all_triaged()

    ds = written(result)

    assert outcome(ds) == "No image analysed"
    reasons = texts(ds)[codes.NOT_ANALYSED.value]
    assert len(reasons) == 3
    assert "pixels cannot be decoded (Pixel Data (7FE0,0010): 12 bytes)" in reasons[1]
    assert not [i for i in ds.ContentSequence if name(i) == codes.IMAGING_MEASUREMENTS.value]


def test_a_study_whose_analysis_failed_is_told_so_and_why() -> None:
    result = study_results.failed()

    ds = written(result)

    found = container(ds, codes.QUALITATIVE_EVALUATIONS.value).ContentSequence
    (outcome,) = [i for i in found if name(i) == codes.OUTCOME.value]
    assert outcome.ConceptCodeSequence[0].CodeValue == codes.ANALYSIS_FAILED.value
    assert texts(ds)[codes.WHY_FAILED.value] == [result.failure]
    assert texts(ds)[codes.NOT_ANALYSED.value][0] == "Image 1: R CC: the analysis failed"


def test_what_is_no_image_is_neither_in_the_library_nor_in_the_evidence() -> None:
    result = study_results.all_triaged()

    ds = written(result)

    (group,) = container(ds, codes.IMAGE_LIBRARY.value).ContentSequence
    uids = {i.sop_instance_uid for i in result.instances[:2]}
    assert set(images(group)) == uids
    assert evidence(ds) == uids


def test_the_evidence_is_every_image_of_the_study() -> None:
    result = study_results.positive()

    assert evidence(written(result)) == {i.sop_instance_uid for i in result.instances}


def evidence(ds: Dataset) -> set[str]:
    return {
        instance.ReferencedSOPInstanceUID
        for study in ds.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def test_a_film_without_spacing_has_a_report_with_what_it_says() -> None:
    ds = written(study_results.films())

    (group,) = container(ds, codes.IMAGE_LIBRARY.value).ContentSequence
    said = {name(item) for item in group.ContentSequence[0].ContentSequence}
    assert {codes.IMAGE_VIEW.value, codes.IMAGE_LATERALITY.value} <= said
    assert codes.PATIENT_ORIENTATION_ROW.value not in said
    assert codes.HORIZONTAL_PIXEL_SPACING.value not in said
    assert set(groups(ds)) == {"Study", "Right breast", "Image 1: R CC", "Image 2: R MLO"}


def test_a_breast_of_unknown_side_is_called_that() -> None:
    assert "Breast, side unknown" in groups(written(study_results.unknown_side()))


def test_tracking_uids_differ_between_groups() -> None:
    found = groups(written(study_results.positive()))

    assert len({group.ContentSequence[1].UID for group in found.values()}) == len(found)


def test_a_second_revision_names_the_report_that_it_replaces() -> None:
    result = study_results.second_revision()

    ds = written(result)

    (study,) = ds.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == result.predecessors[0].series_instance_uid
    uid = series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == result.predecessors[0].sop_instance_uid


def test_without_regions_it_replaces_the_measurement_report_too() -> None:
    before = study_results.second_revision().predecessors
    result = study_results.study(*study_results.normal().instances, predecessors=before)

    ds = written(result)

    assert len(ds.PredecessorDocumentsSequence[0].ReferencedSeriesSequence) == 2


def test_a_first_revision_replaces_nothing() -> None:
    assert "PredecessorDocumentsSequence" not in written(study_results.positive())


def test_it_is_complete_unverified_and_preliminary() -> None:
    ds = written(study_results.normal())

    assert ds.CompletionFlag == "COMPLETE"
    assert ds.VerificationFlag == "UNVERIFIED"
    assert ds.PreliminaryFlag == "PRELIMINARY"
    assert list(ds.ReferencedPerformedProcedureStepSequence) == []
    assert list(ds.PerformedProcedureCodeSequence) == []
    assert ds.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MAMMONODE"
