"""The parametric map: the heat map's values themselves, for those who compute with them.

Experimental, and in no profile. One Parametric Map with float32 pixels for each view analysed, on
the view's own pixel grid, reduced where that is larger than the network's view of it deserves.
A mammogram has no frame of reference, and the IOD asks for one: it is made up here, a new one for
each object, so that none is taken to be registered with another.

References
----------
DICOM PS3.3 A.75 Parametric Map IOD, C.8.32; C.7.6.16 Multi-frame Functional Groups.
"""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ParametricMapStorage
from pydicom.valuerep import DSfloat

from model.explain import HeatMap
from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.report import codes, envelope, provenance
from node.report.source_image import (
    carry_lossy_compression,
    pixel_spacing_mm,
    reference_item,
    source_image_item,
)
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult

SERIES_NUMBER = 9007
SERIES_DESCRIPTION = "Grad-CAM values"
LONGEST_SIDE_PX = 1024
"""A larger grid is reduced to this: it would hold no more than the network's own grid does."""

_IMAGE_TYPE = ["DERIVED", "PRIMARY", "OTHER", "QUANTITY"]


def write_parametric_maps(result: StudyResult) -> list[ResultObject]:
    """Write a parametric map for each analysed view whose pixel spacing is known.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        Each in a series of its own, for a series has one frame of reference. Their UIDs depend on
        their own view alone. None for a view without spacing, as most films are: the IOD has no
        place for that, and a size in mm is not made up.
    """
    spaced = [
        (instance, instance.heat_map, spacing_mm)
        for instance in result.analysed
        if instance.heat_map is not None and (spacing_mm := _spacing_mm(instance)) is not None
    ]
    return [
        ResultObject(
            kind=ResultKind.PARAMETRIC_MAP,
            index=index,
            dataset=_parametric_map(result, instance, heat_map, spacing_mm),
            source_sop_instance_uid=instance.sop_instance_uid,
        )
        for index, (instance, heat_map, spacing_mm) in enumerate(spaced)
    ]


def _spacing_mm(instance: InstanceResult) -> tuple[float, float] | None:
    return pixel_spacing_mm(instance.source, "PixelSpacing") or pixel_spacing_mm(
        instance.source, "ImagerPixelSpacing"
    )


def _parametric_map(
    result: StudyResult,
    instance: InstanceResult,
    heat_map: HeatMap,
    spacing_mm: tuple[float, float],
) -> Dataset:
    """Make the parametric map of one view."""
    rows, columns = _reduced(heat_map)
    view = " ".join(part for part in (instance.laterality, instance.view_position) if part)
    ds = envelope.begin(
        result,
        kind=ResultKind.PARAMETRIC_MAP,
        sop_class_uid=ParametricMapStorage,
        modality="OT",
        series_number=SERIES_NUMBER,
        series_description=f"{SERIES_DESCRIPTION} {view}".strip(),
        instance_number=envelope.view_number(result, instance),
        index=0,
        inputs=(instance,),
    )
    ds.FrameOfReferenceUID = provenance.frame_of_reference_uid(result, instance)
    ds.PositionReferenceIndicator = None
    ds.ReferencedSeriesSequence = Sequence(
        [
            _item(
                SeriesInstanceUID=instance.source.SeriesInstanceUID,
                ReferencedInstanceSequence=Sequence([reference_item(instance)]),
            )
        ]
    )
    ds.AcquisitionContextSequence = Sequence()
    ds.ImageType = _IMAGE_TYPE
    ds.ContentLabel = "GRADCAM"
    ds.ContentDescription = "Grad-CAM of the AI score, made-up frame of reference"
    ds.ContentCreatorName = None
    ds.ContentQualification = "RESEARCH"
    ds.BurnedInAnnotation = "NO"
    ds.RecognizableVisualFeatures = "NO"
    ds.PresentationLUTShape = "IDENTITY"
    ds.LossyImageCompression = "00"
    carry_lossy_compression(ds, (instance,))
    geometry = heat_map.geometry
    original_rows, original_columns = geometry.original_rows, geometry.original_columns
    own_spacing_mm = (
        spacing_mm[0] * original_rows / rows,
        spacing_mm[1] * original_columns / columns,
    )
    is_reduced = (rows, columns) != (original_rows, original_columns)
    grid = (
        f"the source's pixel grid, reduced from {original_rows} x {original_columns} to "
        f"{rows} x {columns}"
        if is_reduced
        else "the source's pixel grid"
    )
    derivation = (
        f"Grad-CAM of {provenance.model_label(result)} on {grid}, 0 to 1. Frame of reference, "
        "position and orientation are made up: they register with no other object and say nothing "
        f"of the patient. {NOT_FOR_DIAGNOSTIC_USE}"
    )
    _add_functional_groups(ds, instance, own_spacing_mm, derivation)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated = 32
    ds.NumberOfFrames = 1
    ds.FloatPixelData = heat_map.on_original((rows, columns)).astype("<f4").tobytes()
    return ds


def _reduced(heat_map: HeatMap) -> tuple[int, int]:
    """Rows and columns of the map, in the shape of the original."""
    rows, columns = heat_map.geometry.original_rows, heat_map.geometry.original_columns
    scale = min(1.0, LONGEST_SIDE_PX / max(rows, columns))
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def _add_functional_groups(
    ds: Dataset, instance: InstanceResult, spacing_mm: tuple[float, float], derivation: str
) -> None:
    """Say of the one frame what it is, where it is and what its values mean (PS3.3 C.7.6.16)."""
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence(
        [
            # Unrounded, 0.1 mm times 192 over 192 is written 0.10000000000000.
            _item(
                PixelSpacing=[DSfloat(round(value, 12), auto_format=True) for value in spacing_mm]
            )
        ]
    )
    shared.PlaneOrientationSequence = Sequence(
        [_item(ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])]
    )
    shared.ParametricMapFrameTypeSequence = Sequence([_item(FrameType=_IMAGE_TYPE)])
    shared.PixelValueTransformationSequence = Sequence(
        [_item(RescaleIntercept="0", RescaleSlope="1", RescaleType="US")]
    )
    shared.FrameVOILUTSequence = Sequence([_item(WindowCenter="0.5", WindowWidth="1")])
    shared.RealWorldValueMappingSequence = Sequence([_real_world_value()])
    shared.FrameAnatomySequence = Sequence(
        [
            _item(
                AnatomicRegionSequence=Sequence([codes.code_item(codes.BREAST)]),
                FrameLaterality=instance.laterality.value if instance.laterality else "U",
            )
        ]
    )
    shared.DerivationImageSequence = Sequence(
        [
            _item(
                DerivationDescription=derivation,
                DerivationCodeSequence=Sequence([codes.code_item(codes.SPATIAL_RESAMPLING)]),
                SourceImageSequence=Sequence([source_image_item(instance)]),
            )
        ]
    )
    frame = Dataset()
    frame.FrameContentSequence = Sequence([_item(DimensionIndexValues=[1])])
    frame.PlanePositionSequence = Sequence([_item(ImagePositionPatient=[0.0, 0.0, 0.0])])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence([frame])
    organization_uid = provenance.derive_uid("dimension organization", str(ds.SOPInstanceUID))
    ds.DimensionOrganizationSequence = Sequence([_item(DimensionOrganizationUID=organization_uid)])
    ds.DimensionIndexSequence = Sequence(
        [
            _item(
                DimensionOrganizationUID=organization_uid,
                DimensionIndexPointer=Tag("ImagePositionPatient"),
                FunctionalGroupPointer=Tag("PlanePositionSequence"),
            )
        ]
    )


def _real_world_value() -> Dataset:
    """Say that the values stand for themselves (PS3.3 C.7.6.16.2.11)."""
    quantity = Dataset()
    quantity.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = Sequence([codes.code_item(codes.QUANTITY)])
    quantity.ConceptCodeSequence = Sequence([codes.code_item(codes.CLASS_ACTIVATION)])
    return _item(
        LUTExplanation="Grad-CAM of the AI malignancy score, 0 to 1",
        LUTLabel="GRADCAM",
        RealWorldValueIntercept=0.0,
        RealWorldValueSlope=1.0,
        DoubleFloatRealWorldValueFirstValueMapped=0.0,
        DoubleFloatRealWorldValueLastValueMapped=1.0,
        MeasurementUnitsCodeSequence=Sequence([codes.code_item(codes.ZERO_TO_ONE)]),
        QuantityDefinitionSequence=Sequence([quantity]),
    )


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
