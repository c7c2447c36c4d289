"""Which instances are analysable, by what their header says; and why the others are not.

What only the pixels tell (undecodable, all zero, no breast) is found out later, by the analysis.
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
)

from model.attributes import items_of
from model.views import ViewModifier, read_view
from node.equipment import MANUFACTURER, MODEL_NAME
from node.errors import TriageReason, UnsuitableInstance
from node.header import text_of

TOMOSYNTHESIS_SOP_CLASSES = frozenset(
    (
        BreastTomosynthesisImageStorage,
        BreastProjectionXRayImageStorageForPresentation,
        BreastProjectionXRayImageStorageForProcessing,
    )
)

SPECIMEN_CODES = frozenset(("127457009", "G-8310"))
"""Tissue specimen from breast, PS3.16 CID 4014, in SNOMED CT and in the retired SNOMED RT."""

SPOT_OR_MAGNIFICATION_VIEW_POSITIONS = frozenset(("SPOT", "MAG"))
"""Not Defined Terms of View Position (0018,5101), but what some modalities put there."""

MAGNIFICATION_FACTOR = 1.4
"""From this Estimated Radiographic Magnification Factor (0018,1114) on it is a magnification view.

A breast on the detector is magnified 1.1 times at the most; magnification stands begin at 1.5.
"""


def is_image(ds: Dataset) -> bool:
    """Say whether the header belongs to an image: it has Rows (0028,0010), PS3.3 C.7.6.3."""
    return "Rows" in ds


def is_own_result(ds: Dataset) -> bool:
    """Say whether a node like this one made the object, by its General Equipment (PS3.3 C.7.5.1).

    Its UIDs do not tell: they have the root 2.25, as everybody's UUIDs do (PS3.5 B.2).
    """
    return (
        text_of(ds, "Manufacturer") == MANUFACTURER
        and text_of(ds, "ManufacturerModelName") == MODEL_NAME
    )


def triage(ds: Dataset) -> None:
    """Let an instance pass that is worth decoding.

    A mammogram has Modality MG, in whatever SOP class: film sets come as Secondary Capture.

    Parameters
    ----------
    ds
        Header; pixel data is not looked at.

    Raises
    ------
    UnsuitableInstance
        With the first reason against it, in the order of the checks.
    """
    _refuse_what_is_no_mammogram(ds)
    _refuse_for_processing(ds)
    _refuse_tomosynthesis(ds)
    _refuse_specimen(ds)
    _refuse_spot_and_magnification(ds)
    _refuse_implant_in_view(ds)


def _refuse_what_is_no_mammogram(ds: Dataset) -> None:
    reason = TriageReason.NOT_MAMMOGRAPHY
    if is_own_result(ds):
        raise UnsuitableInstance(reason=reason, detail="a result that this node wrote")
    if not is_image(ds):
        raise UnsuitableInstance(
            reason=reason, detail="expected an image, found no Rows (0028,0010)"
        )
    modality = text_of(ds, "Modality")
    if modality != "MG":
        raise UnsuitableInstance(
            reason=reason, detail=f"expected Modality (0008,0060) MG, found {modality or 'none'}"
        )
    samples = _number(ds, "SamplesPerPixel")
    if samples is not None and samples != 1:
        raise UnsuitableInstance(
            reason=reason,
            detail=f"expected Samples per Pixel (0028,0002) 1, found {samples:g}: a colour picture",
        )


def _refuse_for_processing(ds: Dataset) -> None:
    reason = TriageReason.FOR_PROCESSING
    if text_of(ds, "SOPClassUID") == DigitalMammographyXRayImageStorageForProcessing:
        raise UnsuitableInstance(reason=reason, detail="by its SOP Class UID (0008,0016)")
    if text_of(ds, "PresentationIntentType") == "FOR PROCESSING":
        raise UnsuitableInstance(reason=reason, detail="by Presentation Intent Type (0008,0068)")


def _refuse_tomosynthesis(ds: Dataset) -> None:
    if text_of(ds, "SOPClassUID") in TOMOSYNTHESIS_SOP_CLASSES:
        raise UnsuitableInstance(
            reason=TriageReason.TOMOSYNTHESIS, detail="by its SOP Class UID (0008,0016)"
        )
    frames = _number(ds, "NumberOfFrames")
    if frames is not None and frames > 1:
        raise UnsuitableInstance(
            reason=TriageReason.MULTI_FRAME,
            detail=f"expected Number of Frames (0028,0008) 1, found {frames:g}",
        )


def _refuse_specimen(ds: Dataset) -> None:
    reason = TriageReason.SPECIMEN
    if SPECIMEN_CODES & set(_codes(ds, "ViewCodeSequence")):
        raise UnsuitableInstance(reason=reason, detail="by View Code Sequence (0054,0220)")
    if "SPECIMEN" in text_of(ds, "BodyPartExamined").upper():
        raise UnsuitableInstance(reason=reason, detail="by Body Part Examined (0018,0015)")
    # Specimen Module, PS3.3 C.7.6.22: mandatory where the subject is a specimen.
    for keyword, name in (
        ("SpecimenDescriptionSequence", "Specimen Description Sequence (0040,0560)"),
        ("ContainerIdentifier", "Container Identifier (0040,0512)"),
    ):
        if ds.get(keyword):
            raise UnsuitableInstance(reason=reason, detail=f"has {name}")


def _refuse_spot_and_magnification(ds: Dataset) -> None:
    reason = TriageReason.SPOT_OR_MAGNIFICATION
    modifiers = read_view(ds).modifiers
    for modifier in (ViewModifier.SPOT_COMPRESSION, ViewModifier.MAGNIFICATION):
        if modifier in modifiers:
            raise UnsuitableInstance(
                reason=reason,
                detail=f"{modifier.value}, by View Modifier Code Sequence (0054,0222)",
            )
    view_position = text_of(ds, "ViewPosition").upper()
    if view_position in SPOT_OR_MAGNIFICATION_VIEW_POSITIONS:
        raise UnsuitableInstance(
            reason=reason, detail=f"View Position (0018,5101) is {view_position}"
        )
    factor = _number(ds, "EstimatedRadiographicMagnificationFactor")
    if factor is not None and factor >= MAGNIFICATION_FACTOR:
        raise UnsuitableInstance(
            reason=reason,
            detail="expected an Estimated Radiographic Magnification Factor (0018,1114) below "
            f"{MAGNIFICATION_FACTOR}, found {factor:g}",
        )


def _refuse_implant_in_view(ds: Dataset) -> None:
    if text_of(ds, "BreastImplantPresent") != "YES":
        return
    if ViewModifier.IMPLANT_DISPLACED not in read_view(ds).modifiers:
        raise UnsuitableInstance(
            reason=TriageReason.IMPLANT_NOT_DISPLACED,
            detail="Breast Implant Present (0028,1300) is YES and no View Modifier Code "
            "(0054,0222) says that it is displaced",
        )


def _codes(ds: Dataset, keyword: str) -> Iterator[str]:
    for item in items_of(ds, keyword):
        yield text_of(item, "CodeValue")


def _number(ds: Dataset, keyword: str) -> float | None:
    """Give a number, or None where there is none or something that is not one."""
    try:
        return float(text_of(ds, keyword))
    except ValueError:
        return None
