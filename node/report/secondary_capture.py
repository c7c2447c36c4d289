"""What every picture has in common: a Secondary Capture in RGB, drawn from source images.

References
----------
DICOM PS3.3 A.8.1 Secondary Capture Image IOD, C.7.6.1 General Image, C.8.6 Secondary Capture.
"""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node.report import codes, envelope
from node.report.source_image import carry_lossy_compression, source_image_item
from node.results import InstanceResult, ResultKind, StudyResult, UInt8Array


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
        ds.SourceImageSequence = Sequence([source_image_item(image) for image in drawn])
        carry_lossy_compression(ds, drawn)
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "NO"
    ds.BodyPartExamined = "BREAST"
    ds.AnatomicRegionSequence = Sequence([codes.code_item(codes.BREAST)])
    _add_pixels(ds, pixels)
    return ds


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
