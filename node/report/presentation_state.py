"""The presentation state: marks that a viewer lays over the original pixels and takes off again.

One Grayscale Softcopy Presentation State for each view with a region. It shows the view as the view
itself asks for: the standard has a presentation state replace the source's modality and VOI
transformations, so they are carried over.

References
----------
DICOM PS3.3 A.33.1 Grayscale Softcopy Presentation State; PS3.4 N.2 (order of transformations).
"""

from copy import deepcopy
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from model.explain import Region
from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from model.pixels import is_inverted, lut_words
from node.report import envelope, provenance
from node.report.regions import Float64Array, outline, tracking_identifier
from node.report.score_words import score_words
from node.report.source_image import label_of, pixel_spacing_mm, reference_item
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9005
SERIES_DESCRIPTION = "Marks"

_LAYER = "AIMARKS"
# Amber in CIELab, as a graphic layer is given it: 0 to FFFF for L of 0 to 100, a and b of -128 to
# 127 (PS3.3 C.10.7.1.1).
_AMBER_CIELAB = [52568, 37892, 48998]
_WHITE = 65535
# In units of the displayed area, from its top left corner: a line at the foot of the picture.
_FOOT_TOP, _FOOT_BOTTOM = 0.93, 0.99
_FOOT_NEAR, _FOOT_FAR = 0.01, 0.6


def write_presentation_states(result: StudyResult) -> list[ResultObject]:
    """Write a presentation state for each view that has a region.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        One series for each breast, for Laterality (0020,0060) belongs to the series. Their UIDs
        depend on their own view alone. None for a source in colour, which takes another kind of
        presentation state.
    """
    marked = [
        instance
        for instance in result.analysed
        if instance.regions
        and str(instance.source.get("PhotometricInterpretation", "")).startswith("MONOCHROME")
    ]
    return [
        ResultObject(
            kind=ResultKind.PRESENTATION_STATE,
            index=index,
            dataset=_presentation_state(result, instance),
            source_sop_instance_uid=instance.sop_instance_uid,
        )
        for index, instance in enumerate(marked)
    ]


def _presentation_state(result: StudyResult, instance: InstanceResult) -> Dataset:
    """Make the presentation state of one view."""
    source = instance.source
    side = instance.laterality.value if instance.laterality else ""
    ds = envelope.begin(
        result,
        kind=ResultKind.PRESENTATION_STATE,
        sop_class_uid=GrayscaleSoftcopyPresentationStateStorage,
        modality="PR",
        series_number=SERIES_NUMBER,
        series_description=f"{SERIES_DESCRIPTION} {side}".strip(),
        instance_number=envelope.view_number(result, instance),
        index=0,
        inputs=(instance,),
        is_series_shared=True,
        part=side or "unknown",
    )
    ds.Laterality = side or None
    # A presentation state has a date of its own name (PS3.3 C.11.10).
    ds.PresentationCreationDate, ds.PresentationCreationTime = ds.ContentDate, ds.ContentTime
    del ds.ContentDate, ds.ContentTime
    ds.ContentLabel = _LAYER
    ds.ContentDescription = "AI marks, not for diagnostic use"
    ds.ContentCreatorName = None
    ds.ReferencedSeriesSequence = Sequence([_reference_in_series(instance)])
    ds.DisplayedAreaSelectionSequence = Sequence([_displayed_area(instance)])
    ds.GraphicAnnotationSequence = Sequence([_annotation(result, instance)])
    ds.GraphicLayerSequence = Sequence([_layer()])
    _carry_modality_lut(source, ds)
    voi_lut = _voi_lut(source)
    if voi_lut is not None:
        ds.SoftcopyVOILUTSequence = Sequence([voi_lut])
    # The output is P-Values, in which more is always brighter (PS3.4 N.2.3).
    ds.PresentationLUTShape = "INVERSE" if is_inverted(source) else "IDENTITY"
    return ds


def _reference_in_series(instance: InstanceResult) -> Dataset:
    """Name the view in its series (PS3.3 C.11.11)."""
    item = Dataset()
    item.SeriesInstanceUID = instance.source.SeriesInstanceUID
    item.ReferencedImageSequence = Sequence([reference_item(instance)])
    return item


def _displayed_area(instance: InstanceResult) -> Dataset:
    """Show the whole view (PS3.3 C.10.4)."""
    source = instance.source
    item = Dataset()
    item.ReferencedImageSequence = Sequence([reference_item(instance)])
    item.DisplayedAreaTopLeftHandCorner = [1, 1]
    item.DisplayedAreaBottomRightHandCorner = [int(source.Columns), int(source.Rows)]
    item.PresentationSizeMode = "SCALE TO FIT"
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if pixel_spacing_mm(source, keyword) is not None:
            item.PresentationPixelSpacing = deepcopy(source[keyword].value)
            return item
    aspect = pixel_spacing_mm(source, "PixelAspectRatio")
    item.PresentationPixelAspectRatio = [1, 1] if aspect is None else [int(one) for one in aspect]
    return item


def _annotation(result: StudyResult, instance: InstanceResult) -> Dataset:
    """Outline each region, name it, and write the score at the foot of the picture."""
    item = Dataset()
    item.ReferencedImageSequence = Sequence([reference_item(instance)])
    item.GraphicLayer = _LAYER
    numbered = list(enumerate(instance.regions, start=1))
    item.TextObjectSequence = Sequence(
        [
            *(_name(tracking_identifier(instance, number), region) for number, region in numbered),
            _foot(result, instance),
        ]
    )
    item.GraphicObjectSequence = Sequence(
        [_graphic(result, instance, region, number) for number, region in numbered]
    )
    return item


def _graphic(result: StudyResult, instance: InstanceResult, region: Region, number: int) -> Dataset:
    """Draw the closed outline of a region (PS3.3 C.10.5)."""
    points: Float64Array = outline(region)
    item = Dataset()
    item.GraphicAnnotationUnits = "PIXEL"
    item.GraphicDimensions = 2
    item.NumberOfGraphicPoints = len(points)
    item.GraphicData = [float(value) for value in points.ravel()]
    item.GraphicType = "POLYLINE"
    item.GraphicFilled = "N"
    item.TrackingID = tracking_identifier(instance, number)
    item.TrackingUID = provenance.region_uid(result, instance, number)
    return item


def _name(words: str, region: Region) -> Dataset:
    """Write the name of a region at the corner of its outline."""
    item = Dataset()
    item.AnchorPointAnnotationUnits = "PIXEL"
    item.UnformattedTextValue = words
    item.AnchorPoint = [float(region.left), float(region.top)]
    item.AnchorPointVisibility = "N"
    return item


def _foot(result: StudyResult, instance: InstanceResult) -> Dataset:
    """Write score, model and disclaimer at the foot, on the side away from the chest wall."""
    is_wall_right = instance.heat_map is not None and instance.heat_map.geometry.is_mirrored
    left, right = (_FOOT_NEAR, _FOOT_FAR) if is_wall_right else (1.0 - _FOOT_FAR, 1.0 - _FOOT_NEAR)
    words = score_words(result, instance.score or 0.0).sentence
    item = Dataset()
    item.BoundingBoxAnnotationUnits = "DISPLAY"
    item.UnformattedTextValue = "\r\n".join(
        [
            f"{label_of(instance)}: {words}",
            f"{provenance.model_label(result)}. {NOT_FOR_DIAGNOSTIC_USE}",
        ]
    )
    item.BoundingBoxTopLeftHandCorner = [left, _FOOT_TOP]
    item.BoundingBoxBottomRightHandCorner = [right, _FOOT_BOTTOM]
    item.BoundingBoxTextHorizontalJustification = "LEFT" if is_wall_right else "RIGHT"
    return item


def _layer() -> Dataset:
    item = Dataset()
    item.GraphicLayer = _LAYER
    item.GraphicLayerOrder = 1
    item.GraphicLayerRecommendedDisplayGrayscaleValue = _WHITE
    item.GraphicLayerRecommendedDisplayCIELabValue = _AMBER_CIELAB
    item.GraphicLayerDescription = "AI marks, not for diagnostic use"
    return item


def _carry_modality_lut(source: Dataset, ds: Dataset) -> None:
    """Copy the modality transformation: in a presentation state none means identity."""
    sequence = source.get("ModalityLUTSequence")
    lut = _lut(sequence[0]) if sequence else None
    if lut is not None:
        ds.ModalityLUTSequence = Sequence([lut])
        return
    if source.get("RescaleSlope") is not None and source.get("RescaleIntercept") is not None:
        ds["RescaleIntercept"] = deepcopy(source["RescaleIntercept"])
        ds["RescaleSlope"] = deepcopy(source["RescaleSlope"])
        ds.RescaleType = source.get("RescaleType") or "US"


def _voi_lut(source: Dataset) -> Dataset | None:
    """Copy the VOI transformation that a viewer begins with: the first (PS3.3 C.11.8)."""
    sequence = source.get("VOILUTSequence")
    lut = _lut(sequence[0]) if sequence else None
    item = Dataset()
    if lut is not None:
        item.VOILUTSequence = Sequence([lut])
        return item
    windows = zip(
        *(_values(source, name) for name in ("WindowCenter", "WindowWidth")), strict=False
    )
    for number, (center, width) in enumerate(windows):
        if float(width) <= 0:
            continue
        item.WindowCenter, item.WindowWidth = center, width
        explanations = _values(source, "WindowCenterWidthExplanation")
        if number < len(explanations):
            item.WindowCenterWidthExplanation = explanations[number]
        if source.get("VOILUTFunction"):
            item.VOILUTFunction = source.VOILUTFunction
        return item
    return None


def _values(source: Dataset, keyword: str) -> list[Any]:
    """Every value of an attribute; none if it is absent or empty."""
    value = source.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue) else [value]


def _lut(source: Dataset) -> Dataset | None:
    """Copy an item of a LUT sequence (PS3.3 C.11.1, C.11.2); None if it holds no table.

    What the dictionary leaves open (US or SS, US or OW) is decided here: without Pixel
    Representation (0028,0103) a presentation state could not say it.
    """
    descriptor, words = source.get("LUTDescriptor"), lut_words(source)
    if not isinstance(descriptor, MultiValue | list) or len(descriptor) != 3 or not words.size:
        return None
    count, first, bits = (int(number) for number in descriptor)
    count %= 2**16
    item = Dataset()
    if first < 0:
        item.add_new(
            "LUTDescriptor", "SS", [count - 2**16 if count >= 2**15 else count, first, bits]
        )
    else:
        item.add_new("LUTDescriptor", "US", [count, first, bits])
    for keyword in ("LUTExplanation", "ModalityLUTType"):
        if source.get(keyword):
            item[keyword] = deepcopy(source[keyword])
    # Not US: the length of that is 16 bits in Explicit VR, too short for 65,536 entries.
    item.add_new("LUTData", "OW", words.tobytes())
    return item
