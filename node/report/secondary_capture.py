"""What every picture has in common: a Secondary Capture in RGB, drawn from source images.

References
----------
DICOM PS3.3 A.8.1 Secondary Capture Image IOD, C.7.6.1 General Image, C.8.6 Secondary Capture.
"""

from copy import deepcopy

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.report import codes, envelope
from node.report.source_image import reference_to
from node.results import InstanceResult, ResultKind, StudyResult, UInt8Array

# How the source was compressed goes with its pixels into ours (PS3.3 C.7.6.1.1.5).
_COMPRESSION = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def begin_capture(
    result: StudyResult,
    *,
    kind: ResultKind,
    series_number: int,
    series_description: str,
    instance_number: int,
    inputs: tuple[InstanceResult, ...],
    drawn: tuple[InstanceResult, ...],
    derivation: str,
    pixels: UInt8Array,
    is_series_shared: bool = False,
) -> Dataset:
    """Make a Secondary Capture; side, view and orientation are left to the caller.

    Parameters
    ----------
    result
        The analysis.
    kind, series_number, series_description, instance_number, inputs, is_series_shared
        As in `node.report.envelope.begin`.
    drawn
        The images whose pixels are in the picture.
    derivation
        How the picture was made, without a full stop.
    pixels
        Shape (rows, columns, 3), RGB, values 0 to 255.

    Returns
    -------
    dataset
        Uncompressed and not planar, which viewers agree on.
    """
    ds = envelope.begin(
        result,
        kind=kind,
        sop_class_uid=SecondaryCaptureImageStorage,
        # Not MG: a hanging protocol would put it where a mammogram belongs.
        modality="OT",
        series_number=series_number,
        series_description=series_description,
        instance_number=instance_number,
        index=0,
        inputs=inputs,
        is_series_shared=is_series_shared,
    )
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.DerivationDescription = f"{derivation}. {NOT_FOR_DIAGNOSTIC_USE}"
    ds.DerivationCodeSequence = Sequence([codes.code_item(codes.SPATIAL_RESAMPLING)])
    if drawn:
        ds.SourceImageSequence = Sequence([_source_image(image) for image in drawn])
        _add_compression(ds, drawn)
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    ds.BodyPartExamined = "BREAST"
    ds.AnatomicRegionSequence = Sequence([codes.code_item(codes.BREAST)])
    _add_pixels(ds, pixels)
    return ds


def _source_image(instance: InstanceResult) -> Dataset:
    """Name a view that the picture was made from (PS3.3 C.12.4.1)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference_to(instance)
    item.PurposeOfReferenceCodeSequence = Sequence(
        [codes.code_item(codes.SOURCE_IMAGE_FOR_PROCESSING)]
    )
    return item


def _add_compression(ds: Dataset, drawn: tuple[InstanceResult, ...]) -> None:
    """Carry lossy compression over: of several images, from the first that had any."""
    source = next(
        (i.source for i in drawn if i.source.get("LossyImageCompression") == "01"),
        drawn[0].source,
    )
    for keyword in _COMPRESSION:
        if keyword in source:
            ds[keyword] = deepcopy(source[keyword])


def _add_pixels(ds: Dataset, pixels: UInt8Array) -> None:
    """Image Pixel Module (PS3.3 C.7.6.3)."""
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB"
