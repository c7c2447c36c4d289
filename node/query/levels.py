"""The levels of a query, and what must be said of those above: PS3.4 C.3, C.4.1.2.1, C.6.1, C.6.2.

A hierarchical search names one entity of each level above its own by its unique key. Relational
queries are not negotiated (PS3.4 C.4.1.2.2.1).
"""

from enum import IntEnum, StrEnum

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from model.attributes import VALUE_ERRORS
from node.errors import RefusedQuery
from node.header import plain
from node.intake.answering import UNABLE_TO_PROCESS
from node.store import is_uid
from node.study_log.matching import has_wild_card

IDENTIFIER_DOES_NOT_MATCH = 0xA900
"""PS3.4 C.4.1.1.4, C.4.2.1.5 and C.4.3.1.4: Identifier does not match SOP Class."""


class Root(StrEnum):
    """An information model, by the level that it begins with."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"

    @classmethod
    def of(cls, sop_class_uid: str) -> "Root":
        """Give the model of a Query/Retrieve SOP class; its UID says it (PS3.4 C.6)."""
        is_patient_root = UID(sop_class_uid).startswith("1.2.840.10008.5.1.4.1.2.1.")
        return cls.PATIENT if is_patient_root else cls.STUDY


class Level(IntEnum):
    """Query/Retrieve Level (0008,0052), from the highest on."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3

    @property
    def unique_key(self) -> str:
        """Keyword of the attribute that names one entity of the level."""
        return UNIQUE_KEYS[self]

    def is_in(self, root: Root) -> bool:
        """Say whether the model has this level."""
        return root is Root.PATIENT or self is not Level.PATIENT


UNIQUE_KEYS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


def read_level(identifier: Dataset, root: Root) -> Level:
    """Read Query/Retrieve Level (0008,0052).

    Raises
    ------
    RefusedQuery
        If it is missing, or none of the model's.
    """
    found = values_of(identifier, "QueryRetrieveLevel")
    accepted = {level.name: level for level in Level if level.is_in(root)}
    if len(found) != 1 or found[0] not in accepted:
        raise RefusedQuery(
            status=IDENTIFIER_DOES_NOT_MATCH,
            reason=f"Level: {', '.join(accepted)}",
            tag=tag_for_keyword("QueryRetrieveLevel"),
        )
    return accepted[found[0]]


def read_unique_keys_above(identifier: Dataset, root: Root, level: Level) -> dict[Level, str]:
    """Read the unique key of each level above, which names one entity.

    Raises
    ------
    RefusedQuery
        If one is missing, or names none, several or any entity.
    """
    keys = {}
    for above in Level:
        if above.is_in(root) and above < level:
            values = values_of(identifier, above.unique_key)
            if len(values) != 1 or has_wild_card(values[0]):
                raise _not_one(above, level)
            if above is not Level.PATIENT and not is_uid(values[0]):
                raise _not_one(above, level)
            keys[above] = values[0]
    return keys


def values_of(identifier: Dataset, keyword: str) -> list[str]:
    """Read the values of an attribute as texts; none if it is missing or empty.

    Raises
    ------
    RefusedQuery
        If its value is not what its VR says, or not in the character set that is named.
    """
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in identifier:
        return []
    return element_values(identifier, tag)


def element_values(identifier: Dataset, tag: int) -> list[str]:
    """Read the values of an element that is there; see `values_of`."""
    try:
        value = identifier[tag].value
        if value is None:
            return []
        if isinstance(value, bytes):  # VR UN, of a private attribute
            value = value.decode("ascii", errors="replace").split("\\")
        if isinstance(value, Sequence):
            raise _unreadable(tag)
        several = value if isinstance(value, list | MultiValue) else [value]
        texts = [plain(str(each)) for each in several]
    except VALUE_ERRORS as error:
        raise _unreadable(tag) from error
    if any("�" in text for text in texts):  # what pydicom puts for bytes that are no characters
        raise _unreadable(tag)
    return texts if any(texts) else []


def _unreadable(tag: int) -> RefusedQuery:
    return RefusedQuery(
        status=UNABLE_TO_PROCESS, reason="the value of this attribute cannot be read", tag=tag
    )


def _not_one(above: Level, level: Level) -> RefusedQuery:
    return RefusedQuery(
        status=IDENTIFIER_DOES_NOT_MATCH,
        reason=f"{level.name} level: one {above.unique_key}; no relational queries",
        tag=tag_for_keyword(above.unique_key),
    )
