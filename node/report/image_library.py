"""The image library of a report: which images, and what they show.

References
----------
DICOM PS3.16 TID 1600 Image Library, TID 1602 and 1603 Image Library Entry Descriptors.
"""

import logging

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateContentItem,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    TimeContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code
from pydicom.valuerep import DA, TM

from node.report import codes
from node.report.source_image import patient_orientation, pixel_spacing_mm, reference_to
from node.results import InstanceResult

logger = logging.getLogger(__name__)

_CONTAINS = RelationshipTypeValues.CONTAINS
_ACQUISITION = RelationshipTypeValues.HAS_ACQ_CONTEXT
# CID 29 Acquisition Modality
_MODALITIES = {code.value: code for code in dicom_codes.cid29.concepts.values()}


def image_library(images: tuple[InstanceResult, ...]) -> ContainerContentItem:
    """TID 1600; OHIF wants library and group both, or it throws."""
    library = container_of(codes.IMAGE_LIBRARY)
    group = container_of(codes.IMAGE_LIBRARY_GROUP)
    for image in images:
        item = ImageContentItem(codes.SOURCE, *reference_to(image), relationship_type=_CONTAINS)
        item.ContentSequence = ContentSequence(_descriptors(image))
        group.ContentSequence.append(item)
    library.ContentSequence.append(group)
    return library


def container_of(name: Code) -> ContainerContentItem:
    """Make a container of that name, empty, that its parent contains."""
    item = ContainerContentItem(name, relationship_type=_CONTAINS)
    item.ContentSequence = ContentSequence()
    return item


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
    items += _study_date_and_time(source)
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
    spacing_mm = pixel_spacing_mm(source, "ImagerPixelSpacing")
    if spacing_mm is not None:
        vertical, horizontal = spacing_mm
        for name, value_mm in (
            (codes.HORIZONTAL_PIXEL_SPACING, horizontal),
            (codes.VERTICAL_PIXEL_SPACING, vertical),
        ):
            items.append(
                NumContentItem(name, value_mm, codes.MILLIMETER, relationship_type=_ACQUISITION)
            )
    return items


def _study_date_and_time(source: Dataset) -> list[ContentItem]:
    """Say when the study was; a value that is no date or time (PS3.5 6.2) is left out."""
    items: list[ContentItem] = []
    try:
        if source.get("StudyDate"):
            items.append(DateContentItem(codes.STUDY_DATE, DA(source.StudyDate), _ACQUISITION))
        if source.get("StudyTime"):
            items.append(TimeContentItem(codes.STUDY_TIME, TM(source.StudyTime), _ACQUISITION))
    except ValueError:
        logger.debug("Date or time left out of the image library", extra={"event": "odd_date"})
    return items
