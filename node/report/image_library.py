"""The image library of a report: which images, and what they show.

References
----------
DICOM PS3.16 TID 1600 Image Library, TID 1602 and 1603 Image Library Entry Descriptors; TID 4020 CAD
Image Library Entry.
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
from node.report.document import nest
from node.report.source_image import patient_orientation, pixel_spacing_mm, reference_to
from node.results import InstanceResult

logger = logging.getLogger(__name__)

_CONTAINS = RelationshipTypeValues.CONTAINS
_ACQUISITION = RelationshipTypeValues.HAS_ACQ_CONTEXT
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
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


def cad_image_library(images: tuple[InstanceResult, ...]) -> Dataset:
    """Image Library of a Mammography CAD Report: TID 4020 entries, without groups.

    Parameters
    ----------
    images
        In the order that references by identifier count them, from 1.

    Returns
    -------
    container
        A plain data set, as references by identifier need around them. Of side, view, orientation
        and spacing each entry says what its image says: all are optional (type U).
    """
    entries = []
    for image in images:
        entry = ImageContentItem(codes.SOURCE, *reference_to(image), relationship_type=_CONTAINS)
        # TID 4020 row 1: an entry has no concept name.
        del entry.ConceptNameCodeSequence
        entries.append(nest(entry, *_cad_descriptors(image)))
    return nest(container_of(codes.IMAGE_LIBRARY), *entries)


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
    items += _date_and_time(source, "Study", codes.STUDY_DATE, codes.STUDY_TIME)
    for name, value in (
        (codes.PIXEL_DATA_ROWS, source.Rows),
        (codes.PIXEL_DATA_COLUMNS, source.Columns),
    ):
        items.append(NumContentItem(name, int(value), codes.PIXELS, relationship_type=_ACQUISITION))
    return [
        *items,
        *_view(image),
        *_orientation(source),
        *_spacing(source, codes.MILLIMETER, 1.0),
    ]


def _cad_descriptors(image: InstanceResult) -> list[ContentItem]:
    """TID 4020, in the order of its rows."""
    source = image.source
    items: list[ContentItem] = []
    if image.laterality is not None:
        breast = codes.BREAST_OF[image.laterality]
        items.append(CodeContentItem(codes.IMAGE_LATERALITY, breast, _ACQUISITION))
    return [
        *items,
        *_view(image),
        *_orientation(source),
        *_date_and_time(source, "Study", codes.STUDY_DATE, codes.STUDY_TIME),
        *_date_and_time(source, "Content", codes.CONTENT_DATE, codes.CONTENT_TIME),
        *_spacing(source, codes.MICROMETER, 1000.0),
    ]


def _view(image: InstanceResult) -> list[ContentItem]:
    """Name the view, if it is known, with how it departs from the standard one."""
    view = codes.VIEWS.get(image.view_position or "")
    if view is None:
        return []
    item = CodeContentItem(codes.IMAGE_VIEW, view, _ACQUISITION)
    modifiers = _view_modifiers(image.source)
    if modifiers:
        item.ContentSequence = ContentSequence(modifiers)
    return [item]


def _view_modifiers(source: Dataset) -> list[ContentItem]:
    """Copy the modifiers of the view (CID 4015), where they are whole."""
    found = [
        modifier
        for view in source.get("ViewCodeSequence") or ()
        for modifier in view.get("ViewModifierCodeSequence") or ()
        if all(modifier.get(keyword) for keyword in _CODE)
    ]
    return [
        CodeContentItem(
            codes.IMAGE_VIEW_MODIFIER,
            Code(*(str(modifier[keyword].value) for keyword in _CODE)),
            RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
        for modifier in found
    ]


def _orientation(source: Dataset) -> list[ContentItem]:
    """Patient Orientation as two texts."""
    orientation = patient_orientation(source)
    if orientation is None:
        return []
    row, column = orientation
    return [
        TextContentItem(codes.PATIENT_ORIENTATION_ROW, row, _ACQUISITION),
        TextContentItem(codes.PATIENT_ORIENTATION_COLUMN, column, _ACQUISITION),
    ]


def _spacing(source: Dataset, unit: Code, units_in_mm: float) -> list[ContentItem]:
    """Imager Pixel Spacing, horizontal before vertical."""
    spacing_mm = pixel_spacing_mm(source, "ImagerPixelSpacing")
    if spacing_mm is None:
        return []
    vertical, horizontal = (round(value * units_in_mm, 14) for value in spacing_mm)
    return [
        NumContentItem(name, value, unit, relationship_type=_ACQUISITION)
        for name, value in (
            (codes.HORIZONTAL_PIXEL_SPACING, horizontal),
            (codes.VERTICAL_PIXEL_SPACING, vertical),
        )
    ]


def _date_and_time(
    source: Dataset, of_what: str, date_name: Code, time_name: Code
) -> list[ContentItem]:
    """Say when something was; a value that is no date or time (PS3.5 6.2) is left out."""
    date, time = source.get(f"{of_what}Date"), source.get(f"{of_what}Time")
    items: list[ContentItem] = []
    try:
        if date:
            items.append(DateContentItem(date_name, DA(date), _ACQUISITION))
        if time:
            items.append(TimeContentItem(time_name, TM(time), _ACQUISITION))
    except ValueError:
        logger.debug("Date or time left out of the image library", extra={"event": "odd_date"})
    return items
