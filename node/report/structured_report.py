"""What both measurement reports share: TID 1500 around their measurement groups.

highdicom builds the template rows; ``document`` is what is around them.

References
----------
DICOM PS3.16 TID 1500 Measurement Report, TID 1600 Image Library; PS3.3 A.35.3 Comprehensive SR,
A.35.13 Comprehensive 3D SR.
"""

from collections.abc import Mapping, Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    Measurement,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage

from node.equipment import MANUFACTURER, MODEL_NAME
from node.report import codes, provenance
from node.report.document import add_content, begin_document
from node.report.image_library import container_of, image_library
from node.report.source_image import is_image, reference_to
from node.result_kinds import SRClass
from node.results import InstanceResult, ResultKind, StudyResult

SOP_CLASSES: Mapping[SRClass, UID] = {
    SRClass.COMPREHENSIVE: ComprehensiveSRStorage,
    SRClass.COMPREHENSIVE_3D: Comprehensive3DSRStorage,
}
"""Both hold the same content: in Comprehensive 3D SR, too, a region of an image is an SCOORD."""

_CONTAINS = RelationshipTypeValues.CONTAINS
_ENGLISH = CodedConcept.from_code(codes.ENGLISH_UNITED_STATES)


def structured_report(
    result: StudyResult,
    *,
    kind: ResultKind,
    title: Code,
    series_number: int,
    series_description: str,
    images: tuple[InstanceResult, ...],
    groups: Sequence[ContentSequence],
    evaluations: Sequence[ContentItem],
    replaces: tuple[ResultKind, ...],
) -> Dataset:
    """Make a Structured Report with the rows of TID 1500.

    Parameters
    ----------
    result
        The analysis.
    kind, title, series_number, series_description
        What the document is and how it is listed.
    images
        Every image that the content may refer to, in the order of the image library. What is no
        image (it was received with the study, and triaged) has no place in the library.
    groups
        Measurement groups, TID 1410 or TID 1501 but not both.
    evaluations
        Codes and texts for the Qualitative Evaluations container.
    replaces
        Kinds of report of the revision before that this one takes the place of.

    Returns
    -------
    dataset
        Complete, Explicit VR Little Endian, with file meta information.
    """
    pictures = tuple(image for image in images if is_image(image))
    ds = begin_document(
        result,
        kind=kind,
        sop_class_uid=SOP_CLASSES[result.form.sr_class],
        series_number=series_number,
        series_description=series_description,
        images=pictures,
        replaces=replaces,
    )
    ds.CodingSchemeIdentificationSequence = ItemSequence([provenance.private_scheme()])
    root = ContainerContentItem(title, template_id="1500")
    root.ContentSequence = ContentSequence()
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(_ENGLISH))
    root.ContentSequence.extend(observation_context(result))
    root.ContentSequence.append(
        CodeContentItem(
            codes.PROCEDURE_REPORTED,
            codes.IMAGING_PROCEDURE,
            RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    if pictures:
        root.ContentSequence.append(image_library(pictures))
    if groups:
        measurements = container_of(codes.IMAGING_MEASUREMENTS)
        # Here it holds for every group, and a viewer that shows the tree as text has each score
        # right below its label.
        measurements.ContentSequence.extend(_algorithm(result))
        for group in groups:
            measurements.ContentSequence.extend(group)
        root.ContentSequence.append(measurements)
    if evaluations:
        container = container_of(codes.QUALITATIVE_EVALUATIONS)
        container.ContentSequence.extend(evaluations)
        root.ContentSequence.append(container)
    add_content(ds, root)
    return ds


def _algorithm(result: StudyResult) -> AlgorithmIdentification:
    """TID 4019. No manufacturer: PixelMed warns of it."""
    return AlgorithmIdentification(
        name=provenance.algorithm_name(result),
        version=result.manifest.version,
        parameters=algorithm_parameters(result),
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )


def algorithm_parameters(result: StudyResult) -> list[str]:
    """Algorithm Parameters (111002, DCM), one text each.

    The weights' SHA-256, the threshold, the prevalence of the site if it is set, the input size
    and the Grad-CAM layer. The threshold is on the scale of the calibration, as in the manifest;
    the prevalence carries scores to another scale.
    """
    manifest = result.manifest
    height, width = manifest.input_size_px
    carried = [] if result.prevalence is None else [f"site_prevalence={result.prevalence:.4f}"]
    return [
        f"weights_sha256={manifest.sha256}",
        f"operating_point_threshold={manifest.operating_point.threshold:.4f}",
        *carried,
        f"input_size_px={height}x{width}",
        f"grad_cam_layer={manifest.grad_cam_layer}",
    ]


def score_measurement(result: StudyResult, score: float) -> Measurement:
    """Write a score under the name that it deserves.

    Parameters
    ----------
    result
        The analysis; its `prevalence` decides the name.
    score
        AI malignancy score in [0, 1].

    Returns
    -------
    measurement
        "AI malignancy score" in a unit that says its range; or, where the site's prevalence is
        known and the score is carried over to it, "Probability of cancer" in percent.
    """
    # Not the unit 1: viewers write the unit's code behind the number, and "0.87 1" is misread.
    if result.prevalence is None:
        return Measurement(codes.MALIGNANCY_SCORE, round(score, 4), codes.ZERO_TO_ONE)
    probability = result.manifest.calibration.at_prevalence(score, result.prevalence)
    return Measurement(codes.PROBABILITY_OF_CANCER, round(100 * probability, 2), codes.PERCENT)


def call(result: StudyResult, score: float) -> QualitativeEvaluation:
    """Say on which side of the operating point a score lies; never that a breast is benign."""
    is_called = result.manifest.operating_point.is_reached(score)
    return QualitativeEvaluation(codes.CALL, codes.AT_OR_ABOVE if is_called else codes.BELOW)


def source_image(instance: InstanceResult) -> SourceImageForMeasurementGroup:
    """Name an image as the source of a measurement (121112, DCM)."""
    return SourceImageForMeasurementGroup(*reference_to(instance))


def inferred_from(instance: InstanceResult) -> ImageContentItem:
    """Name an image that a text is about."""
    return ImageContentItem(
        codes.SOURCE_OF_MEASUREMENT,
        *reference_to(instance),
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )


def text(name: Code, value: str) -> TextContentItem:
    """Make a TEXT item that its container contains."""
    return TextContentItem(name, value, _CONTAINS)


def observation_context(result: StudyResult) -> ObservationContext:
    """Say who observed: TID 1001 with one device, TID 1004, this software with these weights."""
    device = DeviceObserverIdentifyingAttributes(
        uid=provenance.device_uid(result),
        name=MODEL_NAME,
        manufacturer_name=MANUFACTURER,
        model_name=provenance.algorithm_name(result),
        serial_number=provenance.serial_number(result),
    )
    return ObservationContext(
        observer_device_context=ObserverContext(dicom_codes.DCM.Device, device)
    )
