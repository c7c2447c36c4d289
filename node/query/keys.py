"""What can be asked for, level by level: one row a key, for matching, for answers and for docs.

References
----------
DICOM PS3.4 C.6.1.1 (Patient Root), C.6.2.1 (Study Root), C.2.2.2 (matching).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import cache

from pydicom.datadict import dictionary_VR, tag_for_keyword

from node.query.levels import Level, Root


@unique
class Matching(StrEnum):
    """How a key is matched; the values are the words of PS3.4 C.2.2.2."""

    NONE = "universal alone"
    UID_LIST = "list of UID"
    TEXT = "single value, wild card"
    NAME = "single value, wild card; without regard to case and accents, any group of the name"
    CODES = "single value, wild card, several values"
    NUMBER = "single value"
    DATE = "single value, range"
    TIME = "single value, range; without seconds, all of that minute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An attribute that may be in an identifier.

    Attributes
    ----------
    source
        Where its value is, from `node.study_log.entities.Found` on.
    field
        Of `StudyFilter`, or from SERIES level on of `HoldingFilter`, that holds what is asked for;
        a range has ``_from`` and ``_to`` of it. Empty: not matched, answered alone.
    root
        The only model that has it; None: both.
    """

    keyword: str
    level: Level
    source: str
    matching: Matching = Matching.NONE
    field: str = ""
    root: Root | None = None

    @property
    def tag(self) -> int:
        """Of the attribute, PS3.6."""
        return _tag_and_vr(self.keyword)[0]

    @property
    def vr(self) -> str:
        """Of the attribute, PS3.6."""
        return _tag_and_vr(self.keyword)[1]

    @property
    def is_unique(self) -> bool:
        """Whether it names one entity of its level."""
        return self.keyword == self.level.unique_key

    @property
    def needs_contents(self) -> bool:
        """Whether its value is counted from what a study or a patient holds."""
        return self.source.startswith("contents.") or self.source == "availability"


@cache
def _tag_and_vr(keyword: str) -> tuple[int, str]:
    tag = tag_for_keyword(keyword) or 0
    return tag, dictionary_VR(tag)


def _patient(keyword: str, field: str, matching: Matching) -> Key:
    return Key(
        keyword=keyword,
        level=Level.PATIENT,
        source=f"study.{field}",
        matching=matching,
        field=field,
    )


def _study(keyword: str, field: str, matching: Matching) -> Key:
    return Key(
        keyword=keyword, level=Level.STUDY, source=f"study.{field}", matching=matching, field=field
    )


KEYS: Sequence[Key] = (
    _patient("PatientID", "patient_id", Matching.TEXT),
    _patient("IssuerOfPatientID", "issuer_of_patient_id", Matching.TEXT),
    _patient("PatientName", "patient_name", Matching.NAME),
    Key(
        keyword="PatientBirthDate",
        level=Level.PATIENT,
        source="study.patient_birth_date",
        matching=Matching.DATE,
        field="birth_date",
    ),
    _patient("PatientSex", "patient_sex", Matching.TEXT),
    *(
        Key(keyword=keyword, level=Level.PATIENT, source=source, root=Root.PATIENT)
        for keyword, source in (
            ("NumberOfPatientRelatedStudies", "contents.studies"),
            ("NumberOfPatientRelatedSeries", "contents.series"),
            ("NumberOfPatientRelatedInstances", "contents.instances"),
        )
    ),
    Key(
        keyword="StudyInstanceUID",
        level=Level.STUDY,
        source="study.study_instance_uid",
        matching=Matching.UID_LIST,
        field="study_instance_uids",
    ),
    _study("StudyDate", "study_date", Matching.DATE),
    _study("StudyTime", "study_time", Matching.TIME),
    _study("AccessionNumber", "accession_number", Matching.TEXT),
    _study("StudyID", "study_id", Matching.TEXT),
    _study("ReferringPhysicianName", "referring_physician_name", Matching.NAME),
    _study("StudyDescription", "study_description", Matching.TEXT),
    Key(
        keyword="ModalitiesInStudy",
        level=Level.STUDY,
        source="contents.modalities",
        matching=Matching.CODES,
        field="modalities",
    ),
    Key(
        keyword="SOPClassesInStudy",
        level=Level.STUDY,
        source="contents.sop_class_uids",
        matching=Matching.UID_LIST,
        field="sop_class_uids",
    ),
    Key(keyword="NumberOfStudyRelatedSeries", level=Level.STUDY, source="contents.series"),
    Key(keyword="NumberOfStudyRelatedInstances", level=Level.STUDY, source="contents.instances"),
    Key(keyword="InstanceAvailability", level=Level.STUDY, source="availability"),
    Key(
        keyword="SeriesInstanceUID",
        level=Level.SERIES,
        source="series.series_instance_uid",
        matching=Matching.UID_LIST,
        field="series_instance_uids",
    ),
    Key(
        keyword="Modality",
        level=Level.SERIES,
        source="series.modality",
        matching=Matching.TEXT,
        field="modality",
    ),
    Key(
        keyword="SeriesNumber",
        level=Level.SERIES,
        source="series.series_number",
        matching=Matching.NUMBER,
        field="series_number",
    ),
    Key(
        keyword="SeriesDescription",
        level=Level.SERIES,
        source="series.series_description",
        matching=Matching.TEXT,
        field="series_description",
    ),
    Key(keyword="NumberOfSeriesRelatedInstances", level=Level.SERIES, source="series.instances"),
    Key(
        keyword="SOPInstanceUID",
        level=Level.IMAGE,
        source="instance.sop_instance_uid",
        matching=Matching.UID_LIST,
        field="sop_instance_uids",
    ),
    Key(
        keyword="SOPClassUID",
        level=Level.IMAGE,
        source="instance.sop_class_uid",
        matching=Matching.UID_LIST,
        field="sop_class_uids",
    ),
    Key(
        keyword="InstanceNumber",
        level=Level.IMAGE,
        source="instance.instance_number",
        matching=Matching.NUMBER,
        field="instance_number",
    ),
    Key(
        keyword="ImageLaterality",
        level=Level.IMAGE,
        source="instance.laterality",
        matching=Matching.TEXT,
        field="laterality",
    ),
    Key(
        keyword="ViewPosition",
        level=Level.IMAGE,
        source="instance.view_position",
        matching=Matching.TEXT,
        field="view_position",
    ),
    Key(
        keyword="AvailableTransferSyntaxUID",
        level=Level.IMAGE,
        source="instance.transfer_syntax_uid",
    ),
)
"""Every key, those of the Standard; the private ones are in `private`."""


def keys_at(root: Root, level: Level) -> dict[int, Key]:
    """Give the keys that are known at a level, by tag: its own, and those of the levels above."""
    return {
        key.tag: key
        for key in KEYS
        if key.level <= level and (key.root is None or (key.root is root and key.level is level))
    }
