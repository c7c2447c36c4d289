"""The CAD report: what dedicated breast workstations read; one a revision that holds an image.

A Mammography CAD SR document (TID 4000 to 4021). Its templates are not extensible and know no AI
score: the score of the view stands as the certainty of each finding and, with its operating point,
in the texts. What a finding is called is a property of the weights, in their manifest. By default
it is a "Selected region" (111099, DCM), which claims neither mass nor calcification; TID 4006 asks
for a description beside that code and allows no probability of cancer. The other codes take a
probability where the site's prevalence is set; type, number and shape (TID 4010, 4011; type UC)
are left out, for the network does not know them.

References
----------
DICOM PS3.3 A.35.5 Mammography CAD SR; PS3.16 TID 4000; PS3.17 Annex E.
"""

from collections.abc import Iterator

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    NumContentItem,
    RelationshipTypeValues,
    ScoordContentItem,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import MammographyCADSRStorage

from model.explain import Region
from model.manifest import NOT_FOR_DIAGNOSTIC_USE, FindingType
from node.errors import TriageReason
from node.report import codes, provenance
from node.report.document import add_content, begin_document, nest
from node.report.image_library import cad_image_library, container_of
from node.report.regions import Float64Array, centre, outline, tracking_identifier
from node.report.score_words import score_words
from node.report.source_image import breast_label, is_image, label_of
from node.report.structured_report import algorithm_parameters
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9004
SERIES_DESCRIPTION = "CAD report"

_CONTAINS = RelationshipTypeValues.CONTAINS
_CONCEPT_MOD = RelationshipTypeValues.HAS_CONCEPT_MOD
_OBS_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
_PROPERTIES = RelationshipTypeValues.HAS_PROPERTIES

_LIBRARY_POSITION = 2
"""Place of the Image Library among the children of the root, after the language."""

_SET_ASIDE = frozenset(
    {
        TriageReason.FOR_PROCESSING,
        TriageReason.TOMOSYNTHESIS,
        TriageReason.MULTI_FRAME,
        TriageReason.SPOT_OR_MAGNIFICATION,
        TriageReason.SPECIMEN,
        TriageReason.IMPLANT_NOT_DISPLACED,
    }
)
"""Images that the network is not made for: no failure, where another image shows that view."""


def write_cad_report(result: StudyResult) -> list[ResultObject]:
    """Write the Mammography CAD SR of a study.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        One document, also if no image could be analysed; none if the study holds no image at all,
        for TID 4000 asks for one.
    """
    images = _mammograms(result)
    if not images:
        return []
    ds = begin_document(
        result,
        kind=ResultKind.CAD_REPORT,
        sop_class_uid=MammographyCADSRStorage,
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        images=images,
        replaces=(ResultKind.CAD_REPORT,),
    )
    root = ContainerContentItem(codes.MAMMOGRAPHY_CAD_REPORT, template_id="4000")
    language = CodeContentItem(codes.LANGUAGE, codes.ENGLISH_UNITED_STATES, _CONCEPT_MOD)
    failed = _failed(images)
    add_content(
        ds,
        nest(
            root,
            language,
            cad_image_library(images),
            _summary(result, images, failed),
            _detections(result, images, failed),
            CodeContentItem(codes.SUMMARY_OF_ANALYSES, codes.NOT_ATTEMPTED, _CONTAINS),
        ),
    )
    return [ResultObject(kind=ResultKind.CAD_REPORT, index=0, dataset=ds)]


def _mammograms(result: StudyResult) -> tuple[InstanceResult, ...]:
    """Images of the study, without those of other modalities unless there is nothing else."""
    images = tuple(instance for instance in result.instances if is_image(instance))
    mammograms = tuple(
        image for image in images if image.triage_reason is not TriageReason.NOT_MAMMOGRAPHY
    )
    return mammograms or images


def _failed(images: tuple[InstanceResult, ...]) -> tuple[InstanceResult, ...]:
    """Images that should have been analysed and were not."""
    seen = {(i.laterality, i.view_position) for i in images if i.score is not None}
    return tuple(
        image
        for image in images
        if image.triage_reason is not None
        and not (
            image.triage_reason in _SET_ASIDE and (image.laterality, image.view_position) in seen
        )
    )


def _summary(
    result: StudyResult,
    images: tuple[InstanceResult, ...],
    failed: tuple[InstanceResult, ...],
) -> Dataset:
    """TID 4001: how it went, and for each breast with findings an impression that holds them."""
    impressions = []
    for breast in result.breasts:
        marked = [
            image for image in images if image.laterality is breast.laterality and image.regions
        ]
        if not marked:
            continue
        findings = [
            _finding(result, images, image, region, number)
            for image in marked
            for number, region in enumerate(image.regions, start=1)
        ]
        impressions.append(
            nest(
                _inferred_from(codes.INDIVIDUAL_IMPRESSION),
                _rendering_intent(),
                *findings,
            )
        )
    code = _outcome(result, failed, has_findings=bool(impressions))
    return nest(
        CodeContentItem(codes.CAD_SUMMARY, code, _CONTAINS),
        # TID 4002, for the whole study only: TID 4003 has it for an impression too, but the IOD
        # lets no CONTAINER have properties (PS3.3 A.35.5.3.1.2).
        _text(codes.IMPRESSION_DESCRIPTION, _description(result, images)),
        *_algorithm(result),
        *impressions,
    )


def _outcome(
    result: StudyResult, failed: tuple[InstanceResult, ...], *, has_findings: bool
) -> Code:
    """Choose from CID 6047."""
    if not result.analysed:
        return codes.NONE_SUCCEEDED
    if failed:
        return (
            codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS
            if has_findings
            else codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS
        )
    return (
        codes.ALL_SUCCEEDED_WITH_FINDINGS if has_findings else codes.ALL_SUCCEEDED_WITHOUT_FINDINGS
    )


def _description(result: StudyResult, images: tuple[InstanceResult, ...]) -> str:
    """Say the scores of study and breasts, and what they were not made from."""
    sentences = [NOT_FOR_DIAGNOSTIC_USE]
    if result.failure:
        sentences.append(f"The analysis failed: {result.failure}.")
    elif result.score is None:
        sentences.append("No image could be analysed.")
    else:
        sentences.append(f"Study: {score_words(result, result.score).sentence}.")
    sentences += [
        f"{breast_label(breast.laterality)}: {score_words(result, breast.score).value}."
        for breast in result.breasts
        if breast.score is not None
    ]
    if result.score is not None:
        sentences.append("A low score does not mean benign.")
    sentences += [
        f"Not analysed: image {number}, {label_of(image)}: {image.triage_reason}."
        for number, image in enumerate(images, start=1)
        if image.triage_reason is not None
    ]
    return " ".join(sentences)


def _finding(
    result: StudyResult,
    images: tuple[InstanceResult, ...],
    image: InstanceResult,
    region: Region,
    number: int,
) -> Dataset:
    """TID 4006: one region of one image, with the score of that image."""
    words = score_words(result, image.score or 0.0)
    name = codes.FINDINGS[result.manifest.finding]
    items = [
        _rendering_intent(),
        TextContentItem(
            codes.TRACKING_IDENTIFIER, tracking_identifier(image, number), _OBS_CONTEXT
        ),
        *_algorithm(result),
        _percent(codes.CERTAINTY_OF_FINDING, words.percent),
    ]
    is_selected = result.manifest.finding is FindingType.SELECTED_REGION
    if result.prevalence is not None and not is_selected:
        items.append(_percent(codes.PROBABILITY_OF_CANCER, words.percent))
    items += [
        _coordinates(codes.CENTER, "POINT", centre(region), images, image),
        _coordinates(codes.OUTLINE, "POLYLINE", outline(region), images, image),
    ]
    if is_selected:
        description = (
            f"Grad-CAM region {number} of view {label_of(image)}; {words.sentence}. The certainty "
            "is the score of the whole view."
        )
        items.append(_text(codes.SELECTED_REGION_DESCRIPTION, description))
    return nest(CodeContentItem(codes.SINGLE_IMAGE_FINDING, name, _CONTAINS), *items)


def _percent(name: Code, percent: float) -> Dataset:
    return NumContentItem(name, round(percent, 2), codes.PERCENT, relationship_type=_PROPERTIES)


def _coordinates(
    name: Code,
    graphic_type: str,
    points: Float64Array,
    images: tuple[InstanceResult, ...],
    image: InstanceResult,
) -> Dataset:
    """TID 4021: where the region is, on the pixel grid of its image."""
    return nest(
        ScoordContentItem(name, graphic_type, points, relationship_type=_PROPERTIES),
        _by_reference("SELECTED FROM", images, image),
    )


def _detections(
    result: StudyResult,
    images: tuple[InstanceResult, ...],
    failed: tuple[InstanceResult, ...],
) -> Dataset:
    """TID 4015: on which images the detection succeeded, on which it failed."""
    analysed = tuple(image for image in images if image.score is not None)
    if not failed:
        status = codes.SUCCEEDED
    else:
        status = codes.PARTIALLY_SUCCEEDED if analysed else codes.FAILED
    performed = codes.FINDINGS[result.manifest.finding]
    containers = [
        nest(
            _inferred_from(name),
            nest(
                CodeContentItem(codes.DETECTION_PERFORMED, performed, _CONTAINS),
                *_algorithm(result),
                *(_by_reference("HAS PROPERTIES", images, image) for image in group),
            ),
        )
        for name, group in (
            (codes.SUCCESSFUL_DETECTIONS, analysed),
            (codes.FAILED_DETECTIONS, failed),
        )
        if group
    ]
    return nest(CodeContentItem(codes.SUMMARY_OF_DETECTIONS, status, _CONTAINS), *containers)


def _algorithm(result: StudyResult) -> Iterator[Dataset]:
    """TID 4019; without the family, which came to it later than the readers did."""
    yield _text(codes.ALGORITHM_NAME, provenance.algorithm_name(result))
    yield _text(codes.ALGORITHM_VERSION, result.manifest.version)
    for parameter in algorithm_parameters(result):
        yield _text(codes.ALGORITHM_PARAMETERS, parameter)


def _rendering_intent() -> Dataset:
    """Ask for the mark to be shown: regions below the operating point are not reported at all."""
    return CodeContentItem(codes.RENDERING_INTENT, codes.PRESENTATION_REQUIRED, _CONCEPT_MOD)


def _text(name: Code, value: str) -> Dataset:
    return TextContentItem(name, value, _PROPERTIES)


def _inferred_from(name: Code) -> Dataset:
    """Make a container that its parent is inferred from."""
    container = container_of(name)
    container.RelationshipType = RelationshipTypeValues.INFERRED_FROM.value
    return container


def _by_reference(
    relationship_type: str, images: tuple[InstanceResult, ...], image: InstanceResult
) -> Dataset:
    """Refer to an image of the library by its place in the tree, PS3.3 C.17.3.2.5."""
    position = [other.sop_instance_uid for other in images].index(image.sop_instance_uid)
    item = Dataset()
    item.RelationshipType = relationship_type
    item.ReferencedContentItemIdentifier = [1, _LIBRARY_POSITION, position + 1]
    return item
