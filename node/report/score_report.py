"""The score report: what the network found, by study, breast and view; one a revision, always.

A TID 1500 document under the title (126001, DCM, "Oncology Measurement Report") whose measurement
groups (TID 1501) are about whole images. Not under 126000, the title of reports with regions:
OHIF draws those, and a group without coordinates leaves it with a black viewport.

What holds for the whole study stands under Qualitative Evaluations: the intended use, the
operating point, what the score means, each image that was not analysed with the reason, and why
the analysis failed, if it did.
"""

from highdicom.sr import (
    CodeContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    MeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    TrackingIdentifier,
)
from pydicom.sr.coding import Code

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from model.views import Laterality
from node.report import codes, provenance
from node.report.source_image import breast_label, is_image, label_of
from node.report.structured_report import (
    call,
    inferred_from,
    score_measurement,
    source_image,
    structured_report,
    text,
)
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9001
SERIES_DESCRIPTION = "Score report"


def write_score_report(result: StudyResult) -> list[ResultObject]:
    """Write the score report of a study, also if no image of it could be analysed.

    Parameters
    ----------
    result
        The analysis, with at least one instance.

    Returns
    -------
    objects
        One document, a Comprehensive SR or Comprehensive 3D SR as the settings say.
    """
    dataset = structured_report(
        result,
        kind=ResultKind.SCORE_REPORT,
        title=codes.ONCOLOGY_MEASUREMENT_REPORT,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        images=result.instances,
        groups=_groups(result),
        evaluations=_evaluations(result),
        replaces=_replaced_kinds(result),
    )
    return [ResultObject(kind=ResultKind.SCORE_REPORT, index=0, dataset=dataset)]


def _replaced_kinds(result: StudyResult) -> tuple[ResultKind, ...]:
    """With no region left, a measurement report of the revision before has no other successor."""
    if any(instance.regions for instance in result.analysed):
        return (ResultKind.SCORE_REPORT,)
    return (ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT)


def _groups(result: StudyResult) -> list[ContentSequence]:
    """Measurement groups: the study, then each breast, then each view."""
    groups: list[ContentSequence] = []
    if result.score is not None:
        groups.append(_group(result, "Study", result.score, codes.BREAST, result.analysed))
    for breast in result.breasts:
        if breast.score is not None:
            views = tuple(i for i in result.analysed if i.laterality is breast.laterality)
            label = breast_label(breast.laterality)
            groups.append(_group(result, label, breast.score, _site(breast.laterality), views))
    for number, instance in enumerate(result.instances, start=1):
        if instance.score is not None:
            label = f"Image {number}: {label_of(instance)}"
            site = _site(instance.laterality)
            groups.append(_group(result, label, instance.score, site, (instance,)))
    return groups


def _site(laterality: Laterality | None) -> Code:
    return codes.BREAST if laterality is None else codes.BREAST_OF[laterality]


def _group(
    result: StudyResult,
    label: str,
    score: float,
    site: Code,
    images: tuple[InstanceResult, ...],
) -> ContentSequence:
    """TID 1501: one score, its call, and the images that it was made from."""
    uid = provenance.tracking_uid(result, ResultKind.SCORE_REPORT, label)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier=label),
        finding_sites=[FindingSite(site)],
        measurements=[score_measurement(result, score)],
        qualitative_evaluations=[call(result, score)],
        source_images=[source_image(image) for image in images],
    )


def _evaluations(result: StudyResult) -> list[ContentItem]:
    """Qualitative Evaluations: everything that is said of the study as a whole."""
    manifest, point = result.manifest, result.manifest.operating_point
    items: list[ContentItem] = [
        text(codes.INTENDED_USE, NOT_FOR_DIAGNOSTIC_USE),
        CodeContentItem(codes.OUTCOME, _outcome(result), RelationshipTypeValues.CONTAINS),
        *([text(codes.WHY_FAILED, result.failure)] if result.failure else []),
        text(codes.MODEL, provenance.model_label(result)),
        text(codes.WEIGHTS_SHA256, manifest.sha256),
        text(codes.ABOUT_SCORE, _about_score(result)),
        text(codes.CALIBRATION_PREVALENCE, f"{manifest.calibration.prevalence:.4f}"),
    ]
    if result.prevalence is not None:
        items.append(text(codes.SITE_PREVALENCE, f"{result.prevalence:.4f}"))
    items += [
        text(codes.THRESHOLD, _threshold(result)),
        text(codes.CHOSEN_FOR, point.chosen_for),
        text(codes.SENSITIVITY, f"{point.sensitivity:.3f}"),
        text(codes.SPECIFICITY, f"{point.specificity:.3f}"),
        text(
            codes.ROLL_UP,
            f"views to breast: {manifest.roll_up.views_to_breast}; "
            f"breasts to study: {manifest.roll_up.breasts_to_study}",
        ),
    ]
    items += [_not_analysed(number, i) for number, i in _numbered_triaged(result)]
    return items


def _outcome(result: StudyResult) -> Code:
    if result.failure:
        return codes.ANALYSIS_FAILED
    if not result.analysed:
        return codes.NONE_ANALYSED
    return codes.SOME_ANALYSED if result.triaged else codes.ALL_ANALYSED


def _about_score(result: StudyResult) -> str:
    """Say what keeps the number from being read as what it is not."""
    if result.prevalence is None:
        about = (
            "AI malignancy score, 0 to 1, calibrated at the prevalence of the calibration data. "
            "Not the probability of cancer of this patient; a low score does not mean benign. "
            "The operating point was chosen on the scores of breasts."
        )
    else:
        about = (
            "Score carried over to the prevalence set for this site, as a probability of cancer in "
            "percent. An estimate, calibrated by view, not by breast or study; a low value does "
            "not mean benign. The operating point was chosen on the scores of breasts."
        )
    *others, cancer = result.manifest.classes
    if len(others) == 1:
        return about
    return (
        f"{about} The network was trained on {len(others) + 1} classes of image; the score is of "
        f"the class {cancer} against all others, and which of the others is not stated."
    )


def _threshold(result: StudyResult) -> str:
    """Write the threshold on the scale that the scores of this report are on."""
    threshold = result.manifest.operating_point.threshold
    if result.prevalence is None:
        return f"{threshold:.4f}"
    carried = result.manifest.calibration.at_prevalence(threshold, result.prevalence)
    return f"{100 * carried:.2f} %"


def _numbered_triaged(result: StudyResult) -> list[tuple[int, InstanceResult]]:
    numbered = enumerate(result.instances, start=1)
    return [(number, i) for number, i in numbered if i.triage_reason is not None]


def _not_analysed(number: int, instance: InstanceResult) -> ContentItem:
    """Say which image was left out and why, with a reference to it if it is an image."""
    reason = instance.triage_reason.value if instance.triage_reason else ""
    detail = f" ({instance.triage_detail})" if instance.triage_detail else ""
    item = text(codes.NOT_ANALYSED, f"Image {number}: {label_of(instance)}: {reason}{detail}")
    if is_image(instance):
        item.ContentSequence = ContentSequence([inferred_from(instance)])
    return item
