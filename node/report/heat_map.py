"""The heat map: one Secondary Capture a view analysed, that any viewer shows in colour.

References
----------
DICOM PS3.3 A.8.1 Secondary Capture Image IOD, C.7.6.1 General Image, C.8.6 Secondary Capture.
"""

from copy import deepcopy

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.report import codes, envelope, provenance
from node.report.overlay import draw_overlay
from node.report.source_image import patient_orientation
from node.results import InstanceResult, ResultKind, ResultObject, StudyResult, UInt8Array

SERIES_NUMBER = 9003
SERIES_DESCRIPTION = "Grad-CAM heat maps"

# How the source was compressed goes with its pixels into ours (PS3.3 C.7.6.1.1.5).
_COMPRESSION = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def write_heat_maps(result: StudyResult) -> list[ResultObject]:
    """Write one heat map for each analysed view.

    Parameters
    ----------
    result
        The analysis.

    Returns
    -------
    objects
        Secondary Captures of one series, all of one size, in the order of the instances; none if
        no view was analysed. Their UIDs depend on their own view alone.
    """
    return [
        ResultObject(
            kind=ResultKind.HEAT_MAP,
            index=index,
            dataset=_heat_map(result, instance),
            source_sop_instance_uid=instance.sop_instance_uid,
        )
        for index, instance in enumerate(result.analysed)
    ]


def _heat_map(result: StudyResult, instance: InstanceResult) -> Dataset:
    """Make the Secondary Capture of one view."""
    source = instance.source
    ds = envelope.begin(
        result,
        kind=ResultKind.HEAT_MAP,
        sop_class_uid=SecondaryCaptureImageStorage,
        # Not MG: a hanging protocol would put it where a mammogram belongs.
        modality="OT",
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        instance_number=envelope.view_number(result, instance),
        index=0,
        inputs=(instance,),
        is_series_shared=True,
    )
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.DerivationDescription = (
        f"Grad-CAM of {provenance.model_label(result)} over the resampled source image, with "
        f"score and legend. {NOT_FOR_DIAGNOSTIC_USE}"
    )
    ds.DerivationCodeSequence = Sequence([codes.code_item(codes.SPATIAL_RESAMPLING)])
    ds.SourceImageSequence = Sequence([_source_image(source)])
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    for keyword in _COMPRESSION:
        if keyword in source:
            ds[keyword] = deepcopy(source[keyword])
    _add_anatomy(ds, instance)
    _add_pixels(ds, draw_overlay(result, instance))
    return ds


def _source_image(source: Dataset) -> Dataset:
    """Name the view that the picture was made from (PS3.3 C.12.4.1)."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = Sequence(
        [codes.code_item(codes.SOURCE_IMAGE_FOR_PROCESSING)]
    )
    return item


def _add_anatomy(ds: Dataset, instance: InstanceResult) -> None:
    """Say side, view and orientation: without a view OHIF's mammography layout never loads."""
    source = instance.source
    # Type 2: empty where the source holds none, or holds something else in its place.
    ds.PatientOrientation = list(patient_orientation(source) or ()) or None
    if instance.laterality is not None:
        ds.ImageLaterality = instance.laterality.value
    else:
        # Type 2C for a paired body part without Image Laterality (PS3.3 C.7.3.1).
        ds.Laterality = None
    ds.BodyPartExamined = "BREAST"
    ds.AnatomicRegionSequence = Sequence([codes.code_item(codes.BREAST)])
    item = _view_code(instance)
    if item is not None:
        ds.ViewCodeSequence = Sequence([item])


def _view_code(instance: InstanceResult) -> Dataset | None:
    """Make an item of View Code Sequence (0054,0220): the source's own, else by view position."""
    copied = instance.source.get("ViewCodeSequence")
    if not copied:
        view = codes.VIEWS.get(instance.view_position or "")
        return codes.code_item(view) if view is not None else None
    item: Dataset = deepcopy(copied[0])
    # Type 2 in a mammogram, but outside the Mammography Image Module it may not be empty.
    if "ViewModifierCodeSequence" in item and not item.ViewModifierCodeSequence:
        del item.ViewModifierCodeSequence
    return item


def _add_pixels(ds: Dataset, pixels: UInt8Array) -> None:
    """Image Pixel Module: RGB, uncompressed, which viewers agree on."""
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB"
