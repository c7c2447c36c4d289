from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

import study_results
from node.report import codes, structured_report
from node.report.write import write_results
from node.result_kinds import REPORT_KINDS
from node.results import ResultKind


def content_items(item: Dataset) -> Iterator[Dataset]:
    """Give all content items below one."""
    for child in item.get("ContentSequence", ()):
        yield child
        yield from content_items(child)


def concept(item: Dataset) -> str | None:
    """Code value of the concept name; a reference by identifier, and some images, have none."""
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else None


def test_a_score_is_no_probability_until_the_site_has_set_its_prevalence() -> None:
    result = study_results.positive()

    measurement = structured_report.score_measurement(result, 0.62)

    assert measurement.name.meaning == "AI malignancy score"
    assert measurement.value == 0.62
    assert (measurement.unit.value, measurement.unit.meaning) == ("{0:1}", "range:0:1")


def test_a_score_is_carried_over_to_the_prevalence_of_the_site() -> None:
    result = study_results.with_prevalence()

    measurement = structured_report.score_measurement(result, 0.62)

    # Odds 0.62/0.38 at 25 %, times (0.006/0.994)/(0.25/0.75): 0.02955, 2.87 %.
    assert measurement.name.meaning == "Probability of cancer"
    assert measurement.value == pytest.approx(2.87, abs=0.005)
    assert measurement.unit.value == "%"


def test_both_reports_take_the_sop_class_of_the_settings_and_keep_their_content() -> None:
    kinds = (ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT)

    plain = [m.dataset for m in write_results(study_results.positive(), kinds)]
    spatial = [m.dataset for m in write_results(study_results.for_ai_results(), kinds)]

    assert {ds.SOPClassUID for ds in plain} == {ComprehensiveSRStorage}
    assert {ds.SOPClassUID for ds in spatial} == {Comprehensive3DSRStorage}
    for one, other in zip(plain, spatial, strict=True):
        assert other.ContentSequence == one.ContentSequence
        assert other.SOPInstanceUID != one.SOPInstanceUID
        assert other.SeriesInstanceUID != one.SeriesInstanceUID
        assert other.file_meta.MediaStorageSOPClassUID == Comprehensive3DSRStorage


def test_a_report_of_the_other_sop_class_replaces_the_one_before() -> None:
    second = replace(study_results.second_revision(), form=study_results.for_ai_results().form)

    (report,) = [m.dataset for m in write_results(second, [ResultKind.SCORE_REPORT])]

    (study,) = report.PredecessorDocumentsSequence
    (replaced,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert report.SOPClassUID == Comprehensive3DSRStorage
    assert replaced.ReferencedSOPClassUID == ComprehensiveSRStorage


@pytest.mark.parametrize("kind", [ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT])
def test_the_algorithm_is_named_once_for_all_measurements_and_before_them(
    kind: ResultKind,
) -> None:
    (report,) = [m.dataset for m in write_results(study_results.positive(), [kind])]

    (measurements,) = [
        item for item in report.ContentSequence if concept(item) == codes.IMAGING_MEASUREMENTS.value
    ]
    group = dicom_codes.DCM.MeasurementGroup.value
    names = [concept(item) for item in measurements.ContentSequence]
    assert names[:2] == [codes.ALGORITHM_NAME.value, codes.ALGORITHM_VERSION.value]
    assert set(names[names.index(group) :]) == {group}
    within = {
        concept(item)
        for one in measurements.ContentSequence[names.index(group) :]
        for item in one.ContentSequence
    }
    assert codes.TRACKING_IDENTIFIER.value in within
    assert not within & set(names[: names.index(group)])


@pytest.mark.parametrize("kind", REPORT_KINDS)
def test_what_is_said_of_the_algorithm_is_what_the_contributing_equipment_says(
    kind: ResultKind,
) -> None:
    # IHE Radiology, AI Results 6.5.3.1.
    (report,) = [m.dataset for m in write_results(study_results.positive(), [kind])]

    own = report.ContributingEquipmentSequence[0]
    values = {
        codes.ALGORITHM_NAME.value: own.ManufacturerModelName,
        codes.ALGORITHM_VERSION.value: own.SoftwareVersions,
        dicom_codes.DCM.DeviceObserverManufacturer.value: own.Manufacturer,
        dicom_codes.DCM.DeviceObserverModelName.value: own.ManufacturerModelName,
        dicom_codes.DCM.DeviceObserverUID.value: own.DeviceUID,
    }
    said = {
        (name, item.get("TextValue") or item.get("UID"))
        for item in content_items(report)
        if (name := concept(item)) in values
    }
    assert (codes.ALGORITHM_NAME.value, own.ManufacturerModelName) in said
    assert all(value == values[name] for name, value in said)


def test_the_prevalence_that_scores_are_carried_to_is_a_parameter() -> None:
    plain, carried = study_results.positive(), study_results.with_prevalence()

    added = set(structured_report.algorithm_parameters(carried)) - set(
        structured_report.algorithm_parameters(plain)
    )

    assert added == {"site_prevalence=0.0060"}
