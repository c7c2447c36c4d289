from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.uid import UID

import phantoms
import study_results
from manifests import made_up_reference
from node.errors import TriageReason
from node.report import provenance
from node.result_kinds import HeatMapLayout, SRClass
from node.results import ResultKind, StudyResult
from node.settings import ResultsSettings


def with_other_weights(result: StudyResult) -> StudyResult:
    return replace(result, manifest=result.manifest.model_copy(update={"sha256": "e" * 64}))


def with_other_threshold(result: StudyResult) -> StudyResult:
    point = result.manifest.operating_point.model_copy(update={"threshold": 0.41})
    return replace(result, manifest=result.manifest.model_copy(update={"operating_point": point}))


def with_prevalence(result: StudyResult) -> StudyResult:
    return replace(result, prevalence=0.01)


def with_other_bytes(result: StudyResult) -> StudyResult:
    changed = tuple(replace(i, dataset_sha256="d" * 64) for i in result.instances)
    return replace(result, instances=changed)


def outside_a_log(result: StudyResult) -> StudyResult:
    return replace(result, revision=None)


def failed(result: StudyResult) -> StudyResult:
    return replace(result, failure="no space left")


def with_an_image_that_was_not_decoded(result: StudyResult) -> StudyResult:
    # Another attempt, with other limits on decoding: no setting that a result holds says so.
    left_out = study_results.triaged(result.instances[0].source, TriageReason.UNDECODABLE_PIXELS)
    left_out = replace(left_out, dataset_sha256=result.instances[0].dataset_sha256)
    return study_results.study(left_out, *result.instances[1:])


def in_another_study(result: StudyResult) -> StudyResult:
    return replace(result, study_instance_uid=phantoms.uid("another"))


def heat_map_uid(result: StudyResult) -> str:
    first = result.instances[0]
    return provenance.sop_instance_uid(result, ResultKind.HEAT_MAP, 0, first)


def report_uid(result: StudyResult) -> str:
    return provenance.sop_instance_uid(result, ResultKind.SCORE_REPORT, 0, *result.instances)


def test_a_derived_uid_is_valid_and_always_the_same() -> None:
    uid = provenance.derive_uid("study", ["a", "b"], {"x": 1})

    assert UID(uid).is_valid
    assert uid == provenance.derive_uid("study", ["a", "b"], {"x": 1})
    assert uid == "2.25.183421709324896614503486897905064411132"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        ((["a", "b"],), ("a", "b")),
        ((1,), ("1",)),
        (("a", None), ("a",)),
    ],
)
def test_parts_that_are_grouped_or_typed_differently_give_different_uids(
    one: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assert provenance.derive_uid(*one) != provenance.derive_uid(*other)


@pytest.mark.parametrize(
    "change",
    [
        with_other_weights,
        with_other_threshold,
        with_prevalence,
        with_other_bytes,
        outside_a_log,
        failed,
        in_another_study,
    ],
)
def test_what_decides_the_content_decides_the_uids(
    change: Callable[[StudyResult], StudyResult],
) -> None:
    before = study_results.positive()

    after = change(before)

    assert heat_map_uid(after) != heat_map_uid(before)
    assert report_uid(after) != report_uid(before)


def test_what_drift_is_told_by_changes_no_uid() -> None:
    before = study_results.positive()
    reference = made_up_reference()

    after = replace(before, manifest=before.manifest.model_copy(update={"reference": reference}))

    assert heat_map_uid(after) == heat_map_uid(before)
    assert report_uid(after) == report_uid(before)


def test_an_image_that_is_analysed_in_another_attempt_makes_other_objects() -> None:
    before = study_results.positive()

    after = with_an_image_that_was_not_decoded(before)

    assert report_uid(after) != report_uid(before)


def test_another_version_of_the_software_makes_other_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = study_results.positive()
    before = heat_map_uid(result), report_uid(result)

    monkeypatch.setattr(provenance, "__version__", "0.2.0")

    assert not {heat_map_uid(result), report_uid(result)} & set(before)


def test_a_late_image_makes_another_report_but_the_same_heat_map_of_the_other_views() -> None:
    early = study_results.positive()
    late = study_results.analysed(phantoms.mammogram(instance_number=9), score=0.2)

    joined = study_results.study(*early.instances, late)

    assert heat_map_uid(joined) == heat_map_uid(early)
    assert report_uid(joined) != report_uid(early)


def test_the_order_in_which_images_came_does_not_change_a_uid() -> None:
    result = study_results.positive()

    turned = replace(result, instances=result.instances[::-1])

    assert report_uid(turned) == report_uid(result)


def test_a_report_that_replaces_others_is_another_document() -> None:
    # The same images and weights once more, after another model in between: same UID, other bytes.
    assert report_uid(study_results.second_revision()) != report_uid(study_results.positive())


def test_no_two_kinds_share_an_instance_or_a_series() -> None:
    result = study_results.positive()
    inputs = result.instances

    instances = {provenance.sop_instance_uid(result, kind, 0, *inputs) for kind in ResultKind}
    series = {provenance.series_instance_uid(result, kind, *inputs) for kind in ResultKind}

    assert len(instances) == len(series) == len(ResultKind)


def test_the_device_is_the_same_in_every_study_until_the_weights_change() -> None:
    one, other = study_results.positive(), study_results.films()

    assert provenance.device_uid(one) == provenance.device_uid(other)
    assert provenance.device_uid(with_other_weights(one)) != provenance.device_uid(one)


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        (
            ResultsSettings(sr_class=SRClass.COMPREHENSIVE_3D),
            {ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT},
        ),
        (ResultsSettings(heat_map=HeatMapLayout.OVERLAY), {ResultKind.HEAT_MAP}),
    ],
)
def test_the_form_of_a_kind_changes_the_uids_of_that_kind_alone(
    form: ResultsSettings, kinds: set[ResultKind]
) -> None:
    before = study_results.positive()
    after = replace(before, form=form)

    def uids(result: StudyResult) -> dict[ResultKind, tuple[str, str]]:
        inputs = result.instances
        return {
            kind: (
                provenance.sop_instance_uid(result, kind, 0, *inputs),
                provenance.series_instance_uid(result, kind, *inputs),
            )
            for kind in ResultKind
        }

    changed = {kind for kind, uid in uids(after).items() if uid != uids(before)[kind]}
    assert changed == kinds
    regions = {provenance.region_uid(one, one.instances[0], 1) for one in (before, after)}
    assert len(regions) == 1
