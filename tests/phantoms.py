"""Synthetic mammograms: valid data sets, made in memory, whose right answer is known.

Every phantom is a half ellipse of tissue (the breast) against the chest wall, before air that is
exactly 0; on request with a bright disc (the lesion) at a known place. Nothing is random but what
`seed` decides, UIDs included. The patients are made up.
"""

import io
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt
from openjpeg.utils import encode_array
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    KeyObjectSelectionDocumentStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

Float32Array = npt.NDArray[np.float32]

_NAMESPACE = UUID("5b4f4c2e-4b7f-5d0f-9a39-2f0f5f2b8f11")

SCREENING_VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))

_FROM_ABOVE_OR_BELOW = ("CC", "XCCL", "XCCM", "FB")
# CID 4014 View for Mammography
_VIEW_CODES = {
    "CC": ("399162004", "SCT", "cranio-caudal"),
    "MLO": ("399368009", "SCT", "medio-lateral oblique"),
}
_NATIVE = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_PYDICOM_ENCODES = (RLELossless, JPEGLSLossless, JPEGLSNearLossless)
_OPENJPEG_ENCODES = (JPEG2000Lossless, JPEG2000)
_GDCM_ENCODES = {
    JPEGBaseline8Bit: "JPEGBaselineProcess1",
    JPEGExtended12Bit: "JPEGExtendedProcess2_4",
    JPEGLossless: "JPEGLosslessProcess14",
    JPEGLosslessSV1: "JPEGLosslessProcess14_1",
}
ENCODABLE = (*_NATIVE, *_PYDICOM_ENCODES, *_OPENJPEG_ENCODES, *_GDCM_ENCODES)
"""Transfer syntaxes that a phantom can be written in; JPEG Baseline and Extended: 8 bits only."""


class Disc(NamedTuple):
    """A lesion: its centre and radius in pixels of the stored image, rows before columns."""

    row: float
    column: float
    radius: float


def uid(*parts: object) -> str:
    """Return the UID that belongs to these parts: the same parts, the same UID."""
    return f"2.25.{uuid5(_NAMESPACE, '/'.join(str(part) for part in parts)).int}"


def lesion_in(laterality: str, *, rows: int = 256, columns: int = 192) -> Disc:
    """Return a lesion well inside the phantom breast of that side."""
    depth = columns * 0.3
    column = columns - depth if laterality == "R" else depth
    return Disc(rows * 0.42, column, rows * 0.05)


def breast_pixels(
    laterality: str = "R",
    *,
    rows: int = 256,
    columns: int = 192,
    lesion: Disc | None = None,
    seed: int = 0,
) -> Float32Array:
    """Make the picture of a breast.

    Returns
    -------
    pixels
        Shape (rows, columns), values in [0, 1]: air 0, tissue 0.2 to 0.7, lesion 0.9. The chest
        wall of a right breast is the right edge, as images are hung.
    """
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    depth = columns - 0.5 - column if laterality == "R" else column + 0.5
    outline = np.hypot((row + 0.5 - rows * 0.5) / (rows * 0.42), depth / (columns * 0.8))
    grains = np.random.default_rng(seed).random((rows // 16 + 2, columns // 16 + 2))
    texture = np.kron(grains, np.ones((16, 16)))[:rows, :columns]
    thickness = np.sqrt(np.clip(1 - outline**2, 0, 1))
    pixels = np.where(outline < 1, 0.2 + 0.4 * thickness + 0.1 * texture * thickness, 0)
    if lesion is not None:
        distance = np.hypot(row + 0.5 - lesion.row, column + 0.5 - lesion.column)
        pixels = np.where(distance <= lesion.radius, 0.9, pixels)
    result: Float32Array = pixels.astype(np.float32)
    return result


def mammogram(
    *,
    laterality: str = "R",
    view_position: str = "CC",
    study_instance_uid: str | None = None,
    instance_number: int = 1,
    seed: int = 0,
    rows: int = 256,
    columns: int = 192,
    bits_stored: int = 12,
    is_signed: bool = False,
    photometric: str = "MONOCHROME2",
    transfer_syntax: str = ExplicitVRLittleEndian,
    lesion: Disc | None = None,
    **attributes: Any,
) -> Dataset:
    """Make a Digital Mammography X-Ray Image - For Presentation (PS3.3 A.27).

    Parameters
    ----------
    seed
        Decides texture, UIDs and the made-up patient; another seed is another patient and study.
        A CC view has the pixels that `breast_pixels` makes of the same seed.
    study_instance_uid
        The study it belongs to; by default the one of `seed`.
    bits_stored
        8 to 16; stored values fill the whole range.
    is_signed
        Stored values are shifted down by half their range, and Rescale Intercept brings them back.
    photometric
        MONOCHROME2, or MONOCHROME1 for the twin that shows the same.
    transfer_syntax
        One of `ENCODABLE`; pixel data are encoded accordingly.
    attributes
        Attributes by keyword that are set last; None deletes one.
    """
    pixels = breast_pixels(
        laterality,
        rows=rows,
        columns=columns,
        lesion=lesion,
        seed=seed if view_position == "CC" else seed + 1009,
    )
    study = study_instance_uid or uid(seed, "study")
    ds = _patient_and_study(seed, study)
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = uid(study, seed, laterality, view_position, instance_number, photometric)
    _add_acquisition(ds, laterality, view_position, instance_number)
    _add_pixels(ds, pixels, bits_stored, is_signed=is_signed, photometric=photometric)
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = -1 if photometric == "MONOCHROME1" else 1
    return _finish(ds, transfer_syntax, attributes)


def film(
    *,
    laterality: str = "R",
    view_position: str = "CC",
    seed: int = 0,
    rows: int = 256,
    columns: int = 192,
    transfer_syntax: str = ExplicitVRLittleEndian,
    lesion: Disc | None = None,
    **attributes: Any,
) -> Dataset:
    """Make a digitised film as CBIS-DDSM holds them: Modality MG in a Secondary Capture.

    The view stands in Patient Orientation, the side in Laterality; there is no spacing, no window,
    no View Position, no Image Laterality; each film is a study of its own.
    """
    pixels = breast_pixels(laterality, rows=rows, columns=columns, lesion=lesion, seed=seed)
    study = uid(seed, "film study", laterality, view_position)
    ds = _patient_and_study(seed, study)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = uid(study, "film")
    ds.SeriesInstanceUID = uid(study, "series")
    ds.Modality = "MG"
    ds.ConversionType = "WSD"
    ds.SeriesDescription = "full mammogram images"
    ds.BodyPartExamined = "BREAST"
    ds.SeriesNumber = 1
    ds.InstanceNumber = 1
    ds.PatientOrientation = view_position
    ds.Laterality = laterality
    _add_pixels(ds, pixels, 16, is_signed=False, photometric="MONOCHROME2")
    del ds.WindowCenter, ds.WindowWidth, ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType
    del ds.PresentationLUTShape, ds.BurnedInAnnotation, ds.LossyImageCompression
    return _finish(ds, transfer_syntax, attributes)


def rejection_note(
    rejected: list[Dataset], *, code_value: str = "113001", seed: int = 0, **attributes: Any
) -> Dataset:
    """Make a Key Object Selection (PS3.3 A.35.4) whose title rejects instances, IHE IOCM.

    Parameters
    ----------
    rejected
        At least one, all of one study.
    code_value
        Title, PS3.16 CID 7010 and 7011.
    seed
        Decides the UID of the note.
    attributes
        As in `mammogram`.
    """
    first = rejected[0]
    ds = _patient_and_study(0, first.StudyInstanceUID)
    for keyword in ("PatientName", "PatientID"):
        ds[keyword] = first[keyword]
    ds.SOPClassUID = KeyObjectSelectionDocumentStorage
    ds.SOPInstanceUID = uid("note", seed, code_value, *(one.SOPInstanceUID for one in rejected))
    ds.SeriesInstanceUID = uid("series of notes", first.StudyInstanceUID)
    ds.Modality = "KO"
    ds.SeriesNumber = 99
    ds.InstanceNumber = 1
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.Manufacturer = "Phantom Works"
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = Sequence([code(code_value, "DCM", "a title")])
    ds.ContinuityOfContent = "SEPARATE"
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence(
        [_evidence(study) for study in _by_study(rejected)]
    )
    return _finish(ds, ExplicitVRLittleEndian, attributes)


def _by_study(instances: list[Dataset]) -> list[list[Dataset]]:
    studies = dict.fromkeys(one.StudyInstanceUID for one in instances)
    return [[one for one in instances if one.StudyInstanceUID == study] for study in studies]


def _evidence(instances: list[Dataset]) -> Dataset:
    """Make an item of Current Requested Procedure Evidence Sequence, a series for each instance."""
    study = Dataset()
    study.StudyInstanceUID = instances[0].StudyInstanceUID
    study.ReferencedSeriesSequence = Sequence()
    for one in instances:
        series, reference = Dataset(), Dataset()
        reference.ReferencedSOPClassUID = one.SOPClassUID
        reference.ReferencedSOPInstanceUID = one.SOPInstanceUID
        series.SeriesInstanceUID = one.SeriesInstanceUID
        series.ReferencedSOPSequence = Sequence([reference])
        study.ReferencedSeriesSequence.append(series)
    return study


def screening_study(
    *, seed: int = 0, lesion_in_right: bool = False, **options: Any
) -> list[Dataset]:
    """Make the four views of a screening examination, in hanging order.

    Parameters
    ----------
    lesion_in_right
        Both views of the right breast show a lesion.
    options
        Passed on to `mammogram`, for each view the same.
    """
    size = {key: options[key] for key in ("rows", "columns") if key in options}
    return [
        mammogram(
            laterality=laterality,
            view_position=view_position,
            instance_number=number,
            seed=seed,
            lesion=lesion_in("R", **size) if lesion_in_right and laterality == "R" else None,
            **options,
        )
        for number, (laterality, view_position) in enumerate(SCREENING_VIEWS, start=1)
    ]


def to_bytes(ds: Dataset) -> bytes:
    """Return the data set as a DICOM file (PS3.10)."""
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def write(ds: Dataset, folder: Path) -> Path:
    """Write the data set to `folder` under its SOP Instance UID, and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{ds.SOPInstanceUID}.dcm"
    path.write_bytes(to_bytes(ds))
    return path


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Make an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def _patient_and_study(seed: int, study_instance_uid: str) -> Dataset:
    """Patient and General Study Module of a made-up woman."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientName = f"Phantom^Number{seed}"
    ds.PatientID = f"PHANTOM-{seed}"
    ds.PatientBirthDate = "19600229"
    ds.PatientSex = "F"
    ds.StudyInstanceUID = study_instance_uid
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = "20240517"
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = "101500"
    ds.StudyID = f"S{seed}"
    ds.StudyDescription = "Screening mammography"
    ds.AccessionNumber = f"ACC{seed:06d}"
    ds.ReferringPhysicianName = ""
    return ds


def _add_acquisition(
    ds: Dataset, laterality: str, view_position: str, instance_number: int
) -> None:
    """Series, equipment, DX and Mammography Modules (PS3.3 C.8.11)."""
    ds.Modality = "MG"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.SeriesInstanceUID = uid(ds.StudyInstanceUID, "series", laterality, view_position)
    ds.SeriesNumber = instance_number
    ds.InstanceNumber = instance_number
    ds.Manufacturer = "Phantom Works"
    ds.InstitutionName = "Nowhere"
    ds.ManufacturerModelName = "Half Ellipse"
    ds.DeviceSerialNumber = "1"
    ds.SoftwareVersions = "1"
    ds.ImageType = ["DERIVED", "PRIMARY", ""]
    ds.DerivationDescription = "made by a formula"
    ds.PatientOrientation = _patient_orientation(laterality, view_position)
    ds.ImageLaterality = laterality
    ds.ViewPosition = view_position
    value, scheme, meaning = _VIEW_CODES.get(view_position, _VIEW_CODES["CC"])
    view = code(value, scheme, meaning)
    view.ViewModifierCodeSequence = Sequence()
    ds.ViewCodeSequence = Sequence([view])
    ds.AnatomicRegionSequence = Sequence([code("76752008", "SCT", "Breast")])
    ds.BodyPartExamined = "BREAST"
    ds.OrganExposed = "BREAST"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.KVP = "28"
    ds.DetectorType = "DIRECT"
    ds.FieldOfViewShape = "RECTANGLE"
    ds.ImagerPixelSpacing = [0.1, 0.1]
    ds.DetectorActiveShape = "RECTANGLE"
    ds.AcquisitionContextSequence = Sequence()
    ds.QualityControlImage = "NO"


def _patient_orientation(laterality: str, view_position: str) -> list[str]:
    """Patient Orientation (0020,0020) as it hangs: PS3.17 Y.4, chest walls back to back."""
    row, medial = ("A", "R") if laterality == "L" else ("P", "L")
    if view_position in _FROM_ABOVE_OR_BELOW:
        return [row, medial]
    return [row, f"F{medial}" if view_position == "MLO" else "F"]


def _add_pixels(
    ds: Dataset, pixels: Float32Array, bits_stored: int, *, is_signed: bool, photometric: str
) -> None:
    """Image Pixel, VOI LUT and Presentation Modules; the window leaves every value as it is."""
    highest = 2**bits_stored - 1
    stored = np.round(pixels * highest).astype(np.int64)
    if photometric == "MONOCHROME1":
        stored = highest - stored
    shift = 2 ** (bits_stored - 1) if is_signed else 0
    bits_allocated = 8 if bits_stored <= 8 else 16
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = bits_allocated
    ds.BitsStored = bits_stored
    ds.HighBit = bits_stored - 1
    ds.PixelRepresentation = int(is_signed)
    ds.RescaleIntercept = str(shift)
    ds.RescaleSlope = "1"
    ds.RescaleType = "US"
    ds.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    ds.WindowCenter = str(2 ** (bits_stored - 1))
    ds.WindowWidth = str(2**bits_stored)
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    kind = f"<{'i' if is_signed else 'u'}{bits_allocated // 8}"
    data = (stored - shift).astype(kind).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB" if bits_allocated == 8 else "OW"


def _finish(ds: Dataset, transfer_syntax: str, attributes: dict[str, Any]) -> Dataset:
    """Encode the pixel data, set what the caller wants, and write the file meta information."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _encode(ds, transfer_syntax)
    # Last, so that a header can say what is not so.
    for keyword, value in attributes.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID")
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    return dcmread(io.BytesIO(to_bytes(ds)))


def _encode(ds: Dataset, transfer_syntax: str) -> None:
    """Bring native little endian pixel data into the transfer syntax."""
    if transfer_syntax in _PYDICOM_ENCODES:
        options: dict[str, Any] = {"jls_error": 2} if transfer_syntax == JPEGLSNearLossless else {}
        ds.compress(UID(transfer_syntax), generate_instance_uid=False, **options)
    elif transfer_syntax in _OPENJPEG_ENCODES:
        codestream = encode_array(
            ds.pixel_array,
            bits_stored=ds.BitsStored,
            compression_ratios=[4] if transfer_syntax == JPEG2000 else None,
        )
        ds.PixelData = encapsulate([codestream])
        ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OB"
    elif transfer_syntax in _GDCM_ENCODES:
        if transfer_syntax == JPEGExtended12Bit and ds.BitsStored > 8:
            message = "gdcm writes 12 bit JPEG Extended wrongly; use dcmcjpeg"
            raise ValueError(message)
        _compress_with_gdcm(ds, transfer_syntax)
    elif transfer_syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").byteswap().tobytes()


def _compress_with_gdcm(ds: Dataset, transfer_syntax: str) -> None:
    """Encode the JPEG processes that pydicom has no encoder for."""
    # Not at the top: gdcm puts its own zlib before Python's where it is loaded first, and then
    # every deflated data set corrupts the heap. pydicom loads them in the right order.
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        path.write_bytes(to_bytes(ds))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(
            gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, _GDCM_ENCODES[UID(transfer_syntax)]))
        )
        if not reader.Read():
            message = "gdcm does not read this phantom"
            raise ValueError(message)
        change.SetInput(reader.GetImage())
        if not change.Change():
            message = f"gdcm does not encode these pixels as {UID(transfer_syntax).name}"
            raise ValueError(message)
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            message = "gdcm does not write this phantom"
            raise ValueError(message)
        encoded = dcmread(path)
    ds.PixelData = encoded.PixelData
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
