"""Which files are images, and of which study."""

import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.valuerep import DA, TM

from node.errors import RejectedInstance, TriageReason, UnsuitableInstance
from node.header import dataset_offset, read_header, sha256_from, text_of
from node.intake.triage import is_image, is_own_result, triage
from node.store import is_uid

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
"""The date of results whose images hold no date at all."""

MAX_INFLATED_BYTES = 4 * 1024**3
"""What a deflated data set may grow to."""

# In the order in which they are asked for: the image itself, then what it belongs to.
_DATES = (
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInstance:
    """One image in a file.

    Attributes
    ----------
    dataset_sha256
        Hash of the data set as it lies in the file, without the file meta information.
    made_at
        When the image was made, by its own dates, aware UTC; `UNDATED` if it holds none.
    triage_reason, triage_detail
        Why it is not worth decoding, by its header alone; or None.
    """

    path: Path
    study_instance_uid: str
    sop_instance_uid: str
    dataset_sha256: str
    made_at: datetime
    triage_reason: TriageReason | None
    triage_detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """The images of one study, in the order of their SOP Instance UIDs."""

    study_instance_uid: str
    instances: tuple[FoundInstance, ...]

    @property
    def closed_at(self) -> datetime:
        """The date that its results carry: that of its newest image, never the present.

        So the same images give the same bytes on every day.
        """
        return max(instance.made_at for instance in self.instances)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A DICOM file that no study was made of, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lay in the files and folders that were named.

    Attributes
    ----------
    studies
        In the order of their Study Instance UIDs.
    left_out
        DICOM files that hold no image, or one that is damaged or was there before.
    not_dicom
        How many other files there were.
    """

    studies: tuple[FoundStudy, ...]
    left_out: tuple[LeftOut, ...]
    not_dicom: int


def find_studies(paths: Sequence[Path], *, on_file: Callable[[], None] = lambda: None) -> Found:
    """Sort files into studies, by what they hold and not by where they lie.

    Parameters
    ----------
    paths
        Files, and folders at any depth. A symbolic link to a folder is not followed.
    on_file
        Called after each file, for those who show progress.

    Raises
    ------
    FileNotFoundError
        If one of `paths` is not there.
    """
    instances: dict[str, FoundInstance] = {}
    left_out: list[LeftOut] = []
    not_dicom = 0
    for path in _files(paths):
        try:
            instance = _read(path)
        except InvalidDicomError:
            not_dicom += 1
            continue
        except RejectedInstance as rejected:
            left_out.append(LeftOut(path=path, reason=rejected.reason))
            continue
        finally:
            on_file()
        known = instances.setdefault(instance.sop_instance_uid, instance)
        if known is not instance:
            is_same = known.dataset_sha256 == instance.dataset_sha256
            reason = "the same data set" if is_same else "another data set with the same UID"
            left_out.append(LeftOut(path=path, reason=f"{reason} as {known.path}"))
    return Found(
        studies=_studies(instances.values()), left_out=tuple(left_out), not_dicom=not_dicom
    )


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """List files in a fixed order, each once."""
    seen: set[Path] = set()
    for path in paths:
        for file in sorted(_below(path)):
            if file not in seen:
                seen.add(file)
                yield file


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        path.stat()  # raises if it is not there
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def _read(path: Path) -> FoundInstance:
    """Read one file's header and digest.

    Raises
    ------
    InvalidDicomError
        If it is no DICOM file (PS3.10 7.1).
    RejectedInstance
        If it is damaged, or holds what cannot be part of a study of images.
    """
    offset, header = _header(path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if not is_uid(text_of(header, keyword)):
            raise _left_out(f"expected a UID in {keyword}")
    if is_own_result(header):
        raise _left_out("a result that mammonode wrote")
    if not is_image(header):
        raise _left_out("not an image")
    reason, detail = None, ""
    try:
        triage(header)
    except UnsuitableInstance as unsuitable:
        reason, detail = unsuitable.reason, unsuitable.detail
    return FoundInstance(
        path=path,
        study_instance_uid=text_of(header, "StudyInstanceUID"),
        sop_instance_uid=text_of(header, "SOPInstanceUID"),
        dataset_sha256=sha256_from(path, offset),
        made_at=_made_at(header),
        triage_reason=reason,
        triage_detail=detail,
    )


def _header(path: Path) -> tuple[int, Dataset]:
    """Give where the data set begins, and its elements before the pixels, if it is whole."""
    try:
        meta = read_file_meta_info(path)
    except OSError as error:
        raise _left_out(f"cannot be read ({error.strerror})") from error
    except (EOFError, ValueError, LookupError, NotImplementedError, struct.error) as error:
        raise _left_out(f"cannot be understood ({type(error).__name__})") from error
    if "TransferSyntaxUID" not in meta:
        raise _left_out("expected a TransferSyntaxUID in the file meta information")
    offset = dataset_offset(path)
    header = read_header(
        path,
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
        dataset_offset=offset,
        max_dataset_bytes=MAX_INFLATED_BYTES,
    )
    return offset, header


def _left_out(reason: str) -> RejectedInstance:
    """Refuse a file as the receiver would: error, cannot understand (PS3.4 B.2.3)."""
    return RejectedInstance(status=0xC000, reason=reason)


def _made_at(header: Dataset) -> datetime:
    """Give the first date and time that the header holds, its time zone heeded (PS3.3 C.12.1.1)."""
    for date_keyword, time_keyword in _DATES:
        try:
            date = DA(text_of(header, date_keyword))
            time = TM(text_of(header, time_keyword))
        except ValueError:
            continue
        if date is None:
            continue
        moment = datetime(date.year, date.month, date.day, tzinfo=UTC)
        if time is not None:
            moment = moment.replace(hour=time.hour, minute=time.minute, second=time.second)
        return moment - _offset_from_utc(header)
    return UNDATED


def _offset_from_utc(header: Dataset) -> timedelta:
    """Read Timezone Offset From UTC (0008,0201), as in ``+0100``; zero where there is none."""
    written = re.fullmatch(r"([+-])(\d\d)(\d\d)", text_of(header, "TimezoneOffsetFromUTC"))
    if written is None:
        return timedelta()
    sign = -1 if written[1] == "-" else 1
    return sign * timedelta(hours=int(written[2]), minutes=int(written[3]))


def _studies(instances: Iterable[FoundInstance]) -> tuple[FoundStudy, ...]:
    by_study: dict[str, list[FoundInstance]] = {}
    for instance in sorted(instances, key=lambda found: found.sop_instance_uid):
        by_study.setdefault(instance.study_instance_uid, []).append(instance)
    return tuple(
        FoundStudy(study_instance_uid=uid, instances=tuple(by_study[uid]))
        for uid in sorted(by_study)
    )
