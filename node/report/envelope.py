"""What every result object has in common: patient, study, series, dates, character set.

Identity is copied from the source, never invented; dates come from the close-out, never from now.
"""

from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from model.views import STANDARD_VIEWS
from node import __version__
from node.equipment import MANUFACTURER, MODEL_NAME
from node.report import provenance
from node.report.source_image import copy_of
from node.results import InstanceResult, ResultKind, StudyResult

_KATAKANA = "ISO_IR 13"
"""JIS X 0201: pydicom reads it, but writes kana beside Latin letters as question marks."""

SERIES_DESCRIPTION_SUFFIX = "(AI, not for diagnostic use)"

# What a result takes over from its source, so that an archive files it under the same patient
# and study (PS3.3 C.7.1.1 Patient Module, C.7.2.1 General Study Module). Type 2 attributes are
# there even when the source has none; the others only if it has them.
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_TYPE_3 = (
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "QualityControlSubject",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "IssuerOfAccessionNumberSequence",
    "TimezoneOffsetFromUTC",
)


def begin(
    result: StudyResult,
    *,
    kind: ResultKind,
    sop_class_uid: str,
    modality: str,
    series_number: int,
    series_description: str,
    instance_number: int,
    index: int,
    inputs: tuple[InstanceResult, ...],
    is_series_shared: bool = False,
    part: str = "",
) -> Dataset:
    """Make the part that all result objects have in common.

    Parameters
    ----------
    result
        The analysis.
    kind, index, inputs
        What the object is and what it is made from; its UIDs derive from these.
    sop_class_uid, modality, instance_number
        What they are called in the object.
    series_number
        From 9001 on: after whatever a modality would number.
    series_description
        Without the suffix that says it is no diagnosis; differs from other kinds within its first
        22 characters, which is what OHIF's list shows.
    is_series_shared
        Whether objects of other revisions may join the series.
    part
        Where the objects of a kind share several series: which one.

    Returns
    -------
    dataset
        Patient, General Study, General Series, Enhanced General Equipment and SOP Common modules,
        with file meta information for Explicit VR Little Endian.

    References
    ----------
    DICOM PS3.3 C.7.1.1, C.7.2.1, C.7.3.1, C.7.5.2, C.12.1.
    """
    first = inputs[0].source
    ds = Dataset()
    _copy_identity(first, ds)
    ds.StudyInstanceUID = result.study_instance_uid
    ds.SOPClassUID = sop_class_uid
    ds.SOPInstanceUID = provenance.sop_instance_uid(result, kind, index, *inputs)
    ds.SeriesInstanceUID = provenance.series_instance_uid(
        result, kind, *(() if is_series_shared else inputs), part=part
    )
    ds.Modality = modality
    ds.SeriesNumber = series_number
    ds.SeriesDescription = f"{series_description} {SERIES_DESCRIPTION_SUFFIX}"
    ds.InstanceNumber = instance_number

    date, time = _date_and_time(moment_of(result, first))
    ds.ContentDate = ds.InstanceCreationDate = date
    ds.ContentTime = ds.InstanceCreationTime = time
    if not is_series_shared:
        # Where revisions share a series its date would differ within it.
        ds.SeriesDate, ds.SeriesTime = date, time

    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = MODEL_NAME
    ds.DeviceSerialNumber = provenance.serial_number(result)
    ds.SoftwareVersions = provenance.software_versions(result)
    ds.ContributingEquipmentSequence = Sequence(provenance.contributing_equipment(result, first))
    _choose_character_set(first, ds)
    widen_character_set(ds, result.manifest.model_dump_json())

    ds.file_meta = FileMetaDataset()
    ds.file_meta.FileMetaInformationVersion = b"\x00\x01"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = UID(provenance.IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = f"MAMMONODE_{__version__}"[:16]
    ds.preamble = b"\x00" * 128
    return ds


def moment_of(result: StudyResult, source: Dataset) -> datetime:
    """Tell when the study was closed out, in the source's time zone.

    Parameters
    ----------
    result
        The analysis.
    source
        Its Timezone Offset From UTC (0008,0201) holds for every date and time in the object, those
        that were copied included. A source that says none leaves ours in UTC.

    Returns
    -------
    moment
        `StudyResult.closed_at`, aware.
    """
    return result.closed_at.astimezone(_zone(str(source.get("TimezoneOffsetFromUTC", ""))))


def view_number(result: StudyResult, instance: InstanceResult) -> int:
    """Choose the Instance Number (0020,0013) of what is made of one view.

    Parameters
    ----------
    result
        The analysis.
    instance
        One of its instances.

    Returns
    -------
    number
        1 to 4 for the first of each standard view, in hanging order, so that a late view does not
        shift the others; then as the instances come.
    """
    view = (instance.laterality, instance.view_position)
    same = [i for i in result.instances if (i.laterality, i.view_position) == view]
    standard = list(STANDARD_VIEWS)
    if view in standard and same[0] is instance:
        return standard.index(view) + 1
    return len(standard) + 1 + result.instances.index(instance)


def _copy_identity(source: Dataset, ds: Dataset) -> None:
    """Copy patient and study; elements as they are, so that an odd value is passed on, not lost."""
    for keyword in (*_TYPE_2, *_TYPE_3):
        if keyword in source:
            ds[keyword] = copy_of(source, keyword)
        elif keyword in _TYPE_2:
            setattr(ds, keyword, None)


def widen_character_set(ds: Dataset, text: str) -> None:
    """Bring a data set into UTF-8 if its Specific Character Set does not hold a text.

    Parameters
    ----------
    ds
        From `begin`.
    text
        What was added to it, or will be, that the source of its identity does not hold.
    """
    if not text.isascii() and not _can_encode(ds.get("SpecificCharacterSet"), text):
        ds.SpecificCharacterSet = "ISO_IR 192"


def _choose_character_set(source: Dataset, ds: Dataset) -> None:
    """Keep the source's Specific Character Set unless pydicom cannot write what it has read."""
    declared = source.get("SpecificCharacterSet")
    if declared == _KATAKANA:
        ds.SpecificCharacterSet = "ISO_IR 192"
    # Type 1C: an empty one says what none says, and may not be there (PS3.3 C.12.1).
    elif declared:
        ds["SpecificCharacterSet"] = deepcopy(source["SpecificCharacterSet"])


def _can_encode(declared: object, text: str) -> bool:
    """Whether a single-valued Specific Character Set holds this text."""
    if not isinstance(declared, str) or declared not in python_encoding or not declared:
        return False
    try:
        text.encode(python_encoding[declared])
    except UnicodeEncodeError:
        return False
    return True


def _zone(offset: str) -> tzinfo:
    """Read an offset such as -0500; anything else is UTC."""
    sign, digits = offset[:1], offset[1:]
    if sign not in ("+", "-") or len(digits) != 4 or not digits.isdigit():
        return UTC
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    if minutes > 14 * 60:
        return UTC
    return timezone(timedelta(minutes=-minutes if sign == "-" else minutes))


def _date_and_time(moment: datetime) -> tuple[str, str]:
    """Values for DA and TM (PS3.5 6.2)."""
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
