"""What both measurement reports share: TID 1500 around their measurement groups.

highdicom builds the template rows. The rest of the document is put together here: highdicom's
document classes ask for attributes that film instances lack, and they stamp the current time.

References
----------
DICOM PS3.16 TID 1500 Measurement Report, TID 1600 Image Library; PS3.3 A.35.3 Comprehensive SR.
"""

import re
from collections.abc import Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateContentItem,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    Measurement,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TimeContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage
from pydicom.valuerep import DA, TM

from node.report import codes, envelope, provenance
from node.results import InstanceResult, ResultKind, StudyResult

_CONTAINS = RelationshipTypeValues.CONTAINS
_ACQUISITION = RelationshipTypeValues.HAS_ACQ_CONTEXT
_DIRECTIONS = re.compile(r"(?!.*(.).*\1)[APRLHF]{1,3}")
_ENGLISH = CodedConcept.from_code(codes.ENGLISH_UNITED_STATES)
# CID 29 Acquisition Modality
_MODALITIES = {code.value: code for code in dicom_codes.cid29.concepts.values()}


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
    own_text: str = "",
) -> Dataset:
    """Make a Comprehensive SR document with the rows of TID 1500.

    Parameters
    ----------
    result
        The analysis.
    kind, title, series_number, series_description, own_text
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
    ds = envelope.begin(
        result,
        kind=kind,
        sop_class_uid=ComprehensiveSRStorage,
        modality="SR",
        series_number=series_number,
        series_description=series_description,
        instance_number=1,
        index=0,
        inputs=result.instances,
        own_text=own_text,
    )
    ds.CodingSchemeIdentificationSequence = ItemSequence([provenance.private_scheme()])
    # Type 2 and empty: nobody told us of a performed procedure step (PS3.3 C.17.1, C.17.2).
    ds.ReferencedPerformedProcedureStepSequence = ItemSequence()
    ds.PerformedProcedureCodeSequence = ItemSequence()
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "PRELIMINARY"
    pictures = tuple(image for image in images if is_image(image))
    evidence = provenance.references(
        result.study_instance_uid,
        [(str(i.source.SeriesInstanceUID), *_reference(i)) for i in pictures],
    )
    if evidence:
        ds.CurrentRequestedProcedureEvidenceSequence = evidence
    predecessors = provenance.predecessors_sequence(result, *replaces)
    if predecessors:
        ds.PredecessorDocumentsSequence = predecessors

    root = ContainerContentItem(title, template_id="1500")
    root.ContentSequence = ContentSequence()
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(_ENGLISH))
    root.ContentSequence.extend(_observation_context(result))
    root.ContentSequence.append(
        CodeContentItem(
            codes.PROCEDURE_REPORTED,
            codes.IMAGING_PROCEDURE,
            RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    if pictures:
        root.ContentSequence.append(_image_library(pictures))
    if groups:
        measurements = _container(codes.IMAGING_MEASUREMENTS)
        for group in groups:
            measurements.ContentSequence.extend(group)
        root.ContentSequence.append(measurements)
    if evaluations:
        container = _container(codes.QUALITATIVE_EVALUATIONS)
        container.ContentSequence.extend(evaluations)
        root.ContentSequence.append(container)
    _separate(root)
    for element in root:
        ds[element.tag] = element
    return ds


def is_image(instance: InstanceResult) -> bool:
    """Whether an instance can be referred to as an IMAGE: it claims pixels."""
    return "Rows" in instance.source and "Columns" in instance.source


def label_of(instance: InstanceResult) -> str:
    """Side and view as they are written on a film, as in ``R CC``; what is unknown is said."""
    side = instance.laterality.value if instance.laterality else "side unknown"
    return f"{side} {instance.view_position or 'view unknown'}"


def algorithm(result: StudyResult) -> AlgorithmIdentification:
    """Say which network, weights and parameters made a score (TID 4019).

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    template
        Algorithm name, version and family; one parameter each for the weights' SHA-256, the
        threshold, the input size and the Grad-CAM layer. No manufacturer: PixelMed warns of it.
    """
    manifest = result.manifest
    height, width = manifest.input_size_px
    return AlgorithmIdentification(
        name=f"{manifest.name} ({manifest.network})",
        version=manifest.version,
        parameters=[
            f"weights_sha256={manifest.sha256}",
            f"operating_point_threshold={manifest.operating_point.threshold:.4f}",
            f"input_size_px={height}x{width}",
            f"grad_cam_layer={manifest.grad_cam_layer}",
        ],
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )


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
        "AI malignancy score" without a unit; or, where the site's prevalence is known and the score
        is carried over to it, "Probability of cancer" in percent.
    """
    if result.prevalence is None:
        return Measurement(codes.MALIGNANCY_SCORE, round(score, 4), codes.NO_UNITS)
    probability = result.manifest.calibration.at_prevalence(score, result.prevalence)
    return Measurement(codes.PROBABILITY_OF_CANCER, round(100 * probability, 2), codes.PERCENT)


def call(result: StudyResult, score: float) -> QualitativeEvaluation:
    """Say on which side of the operating point a score lies; never that a breast is benign."""
    return QualitativeEvaluation(
        codes.CALL, codes.AT_OR_ABOVE if is_called(result, score) else codes.BELOW
    )


def is_called(result: StudyResult, score: float) -> bool:
    """Whether a score in [0, 1] is at or above the operating point."""
    return score >= result.manifest.operating_point.threshold


def source_image(instance: InstanceResult) -> SourceImageForMeasurementGroup:
    """Name an image as the source of a measurement (121112, DCM)."""
    return SourceImageForMeasurementGroup(*_reference(instance))


def inferred_from(instance: InstanceResult) -> ImageContentItem:
    """Name an image that a text is about."""
    return ImageContentItem(
        codes.SOURCE_OF_MEASUREMENT,
        *_reference(instance),
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )


def text(name: Code, value: str) -> TextContentItem:
    """Make a TEXT item that its container contains."""
    return TextContentItem(name, value, _CONTAINS)


def _reference(instance: InstanceResult) -> tuple[str, str]:
    return str(instance.source.SOPClassUID), instance.sop_instance_uid


def _container(name: Code) -> ContainerContentItem:
    item = ContainerContentItem(name, relationship_type=_CONTAINS)
    item.ContentSequence = ContentSequence()
    return item


def _separate(item: Dataset) -> None:
    """Set Continuity of Content throughout: as CONTINUOUS, a reader shows values without names."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        _separate(child)


def _observation_context(result: StudyResult) -> ObservationContext:
    """TID 1001 with one device observer, TID 1004: this software with these weights."""
    device = DeviceObserverIdentifyingAttributes(
        uid=provenance.device_uid(result),
        name=provenance.MODEL_NAME,
        manufacturer_name=provenance.MANUFACTURER,
        model_name=provenance.model_label(result),
        serial_number=provenance.serial_number(result),
    )
    return ObservationContext(
        observer_device_context=ObserverContext(dicom_codes.DCM.Device, device)
    )


def _image_library(images: tuple[InstanceResult, ...]) -> ContainerContentItem:
    """TID 1600; OHIF wants library and group both, or it throws."""
    library = _container(codes.IMAGE_LIBRARY)
    group = _container(codes.IMAGE_LIBRARY_GROUP)
    for image in images:
        item = ImageContentItem(codes.SOURCE, *_reference(image), relationship_type=_CONTAINS)
        item.ContentSequence = ContentSequence(_descriptors(image))
        group.ContentSequence.append(item)
    library.ContentSequence.append(group)
    return library


def _descriptors(image: InstanceResult) -> list[ContentItem]:
    """TID 1602 and 1603, as far as the source says: films lack most of it."""
    source = image.source
    items: list[ContentItem] = []
    modality = _MODALITIES.get(str(source.get("Modality", "")))
    if modality is not None:
        items.append(CodeContentItem(codes.MODALITY, modality, _ACQUISITION))
    if image.laterality is not None:
        side = codes.SIDE_OF[image.laterality]
        items.append(CodeContentItem(codes.IMAGE_LATERALITY, side, _ACQUISITION))
    if source.get("StudyDate"):
        items.append(DateContentItem(codes.STUDY_DATE, DA(source.StudyDate), _ACQUISITION))
    if source.get("StudyTime"):
        items.append(TimeContentItem(codes.STUDY_TIME, TM(source.StudyTime), _ACQUISITION))
    for name, value in (
        (codes.PIXEL_DATA_ROWS, source.Rows),
        (codes.PIXEL_DATA_COLUMNS, source.Columns),
    ):
        items.append(NumContentItem(name, int(value), codes.PIXELS, relationship_type=_ACQUISITION))
    view = codes.VIEWS.get(image.view_position or "")
    if view is not None:
        items.append(CodeContentItem(codes.IMAGE_VIEW, view, _ACQUISITION))
    orientation = patient_orientation(source)
    if orientation is not None:
        row, column = orientation
        items.append(TextContentItem(codes.PATIENT_ORIENTATION_ROW, row, _ACQUISITION))
        items.append(TextContentItem(codes.PATIENT_ORIENTATION_COLUMN, column, _ACQUISITION))
    spacing = source.get("ImagerPixelSpacing")
    if spacing is not None and len(spacing) == 2:
        vertical, horizontal = (float(value) for value in spacing)
        for name, value_mm in (
            (codes.HORIZONTAL_PIXEL_SPACING, horizontal),
            (codes.VERTICAL_PIXEL_SPACING, vertical),
        ):
            items.append(
                NumContentItem(name, value_mm, codes.MILLIMETER, relationship_type=_ACQUISITION)
            )
    return items


def patient_orientation(source: Dataset) -> tuple[str, str] | None:
    """Read Patient Orientation (0020,0020) where it holds one.

    Parameters
    ----------
    source
        A data set; CBIS-DDSM films hold the name of the view in this attribute.

    Returns
    -------
    orientation
        Directions of the rows and of the columns, as in ``("P", "FL")`` (PS3.3 C.7.6.1.1.1); or
        None if the value is none.
    """
    value = source.get("PatientOrientation")
    if value is None or isinstance(value, str) or len(value) != 2:
        return None
    row, column = (str(direction) for direction in value)
    if not _DIRECTIONS.fullmatch(row) or not _DIRECTIONS.fullmatch(column):
        return None
    return row, column
