"""What a source image says of itself, as far as a result repeats it."""

import re
from copy import deepcopy

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.sequence import Sequence

from model.views import Laterality
from node.report import codes
from node.results import InstanceResult

_SIDES = {Laterality.RIGHT: "Right", Laterality.LEFT: "Left"}
_COMPRESSION = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_DIRECTIONS = re.compile(r"(?!.*[AP].*[AP]|.*[RL].*[RL]|.*[HF].*[HF])[APRLHF]{1,3}")


def is_image(instance: InstanceResult) -> bool:
    """Whether an instance can be referred to as an IMAGE: it has one size, and not zero."""
    try:
        return all(int(instance.source.get(keyword) or 0) > 0 for keyword in ("Rows", "Columns"))
    except (TypeError, ValueError, BytesLengthException):
        return False


def label_of(instance: InstanceResult) -> str:
    """Side and view as they are written on a film, as in ``R CC``; what is unknown is said."""
    if instance.laterality and instance.view_position:
        return f"{instance.laterality.value} {instance.view_position}"
    side = instance.laterality.value if instance.laterality else "side unknown"
    return f"{side}, {instance.view_position or 'view unknown'}"


def breast_label(laterality: Laterality | None) -> str:
    """Breast as it is written in every kind, as in ``Right breast``; what is unknown is said."""
    return f"{_SIDES[laterality]} breast" if laterality else "Breast, side unknown"


def reference_to(instance: InstanceResult) -> tuple[str, str]:
    """SOP Class UID and SOP Instance UID of a source image."""
    return str(instance.source.SOPClassUID), instance.sop_instance_uid


def reference_item(instance: InstanceResult) -> Dataset:
    """Refer to a source image: an item of the sequences that do (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference_to(instance)
    return item


def source_image_item(instance: InstanceResult) -> Dataset:
    """Name a view that pixels were made from: an item of Source Image Sequence (0008,2112)."""
    item = reference_item(instance)
    item.PurposeOfReferenceCodeSequence = Sequence(
        [codes.code_item(codes.SOURCE_IMAGE_FOR_PROCESSING)]
    )
    return item


def carry_lossy_compression(ds: Dataset, images: tuple[InstanceResult, ...]) -> None:
    """Say how the sources were compressed: it goes with their pixels (PS3.3 C.7.6.1.1.5).

    Parameters
    ----------
    ds
        Made from the pixels of the images.
    images
        At least one; of several, the first that had lossy compression counts.
    """
    source = next(
        (i.source for i in images if i.source.get("LossyImageCompression") == "01"),
        images[0].source,
    )
    for keyword in _COMPRESSION:
        if source.get(keyword):
            ds[keyword] = deepcopy(source[keyword])


def copy_of(source: Dataset, keyword: str) -> DataElement:
    """Copy an element, to its last nested value, for a data set in any character set.

    Parameters
    ----------
    source
        A data set that has the element.
    keyword
        As in ``OtherPatientIDsSequence``.

    Returns
    -------
    element
        With every item read: pydicom writes what it has not read as the bytes that they were, in
        the source's character set, whatever the one of the data set around them.
    """
    element = source[keyword]
    if element.VR == "SQ":
        for item in element.value:
            for _ in item.iterall():
                pass
    return deepcopy(element)


def pixel_spacing_mm(source: Dataset, keyword: str) -> tuple[float, float] | None:
    """Read a spacing where it holds two sizes.

    Parameters
    ----------
    source
        A data set.
    keyword
        As in ``ImagerPixelSpacing``; Pixel Aspect Ratio has the same form, without the unit.

    Returns
    -------
    spacing
        (vertical, horizontal) distance of pixels in mm; or None if the value is missing or odd.
    """
    value = source.get(keyword)
    if value is None or isinstance(value, str) or not hasattr(value, "__len__") or len(value) != 2:
        return None
    try:
        vertical, horizontal = float(value[0]), float(value[1])
    except (TypeError, ValueError):
        return None
    return (vertical, horizontal) if vertical > 0 and horizontal > 0 else None


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
