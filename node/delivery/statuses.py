"""What the answer to a C-STORE request means for the object that was sent.

The tables are read by the sender and by the conformance statement alike.
"""

from dataclasses import dataclass
from enum import StrEnum


class StatusClass(StrEnum):
    """What follows from the status of a C-STORE response.

    SUCCESS and WARNING: the archive has the object; it is not sent again, and the status is kept.
    TRANSIENT: sent again later. PERMANENT: never sent again by the clock; a person is shown why.
    """

    SUCCESS = "success"
    WARNING = "warning"
    TRANSIENT = "transient"
    PERMANENT = "permanent"

    @property
    def is_acknowledged(self) -> bool:
        """Whether the archive has the object."""
        return self in (StatusClass.SUCCESS, StatusClass.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRule:
    """A range of status codes, both ends included, with its meaning and its source."""

    first: int
    last: int
    status_class: StatusClass
    meaning: str
    source: str


STATUS_RULES = (
    StatusRule(
        first=0x0000,
        last=0x0000,
        status_class=StatusClass.SUCCESS,
        meaning="Success",
        source="PS3.4 B.2.3",
    ),
    StatusRule(
        first=0xB000,
        last=0xBFFF,
        status_class=StatusClass.WARNING,
        meaning="Stored, with elements coerced or discarded",
        source="PS3.4 B.2.3",
    ),
    StatusRule(
        first=0x0001,
        last=0x0001,
        status_class=StatusClass.WARNING,
        meaning="Requested optional attributes are not supported",
        source="PS3.7 C",
    ),
    StatusRule(
        first=0x0107,
        last=0x0107,
        status_class=StatusClass.WARNING,
        meaning="Attribute list error",
        source="PS3.7 C",
    ),
    StatusRule(
        first=0x0116,
        last=0x0116,
        status_class=StatusClass.WARNING,
        meaning="Attribute value out of range",
        source="PS3.7 C",
    ),
    StatusRule(
        # The UID is derived from the content, so what the archive has under it is this object.
        first=0x0111,
        last=0x0111,
        status_class=StatusClass.WARNING,
        meaning="Duplicate SOP Instance: the archive has it already",
        source="PS3.7 C.5",
    ),
    StatusRule(
        first=0xA700,
        last=0xA7FF,
        status_class=StatusClass.TRANSIENT,
        meaning="Refused: out of resources",
        source="PS3.4 B.2.3",
    ),
    StatusRule(
        first=0x0110,
        last=0x0110,
        status_class=StatusClass.TRANSIENT,
        meaning="Processing failure",
        source="PS3.7 C.5",
    ),
    StatusRule(
        first=0x0210,
        last=0x0210,
        status_class=StatusClass.TRANSIENT,
        meaning="Duplicate invocation",
        source="PS3.7 C.5",
    ),
    StatusRule(
        first=0x0213,
        last=0x0213,
        status_class=StatusClass.TRANSIENT,
        meaning="Resource limitation",
        source="PS3.7 C.5",
    ),
    StatusRule(
        first=0x0122,
        last=0x0122,
        status_class=StatusClass.PERMANENT,
        meaning="Refused: SOP class not supported",
        source="PS3.7 C.5",
    ),
    StatusRule(
        first=0x0124,
        last=0x0124,
        status_class=StatusClass.PERMANENT,
        meaning="Refused: not authorised",
        source="PS3.7 C.5",
    ),
    StatusRule(
        first=0xA900,
        last=0xA9FF,
        status_class=StatusClass.PERMANENT,
        meaning="Data set does not match SOP class",
        source="PS3.4 B.2.3",
    ),
    StatusRule(
        first=0xC000,
        last=0xCFFF,
        status_class=StatusClass.PERMANENT,
        meaning="Cannot understand",
        source="PS3.4 B.2.3",
    ),
    StatusRule(
        first=0x0100,
        last=0x02FF,
        status_class=StatusClass.PERMANENT,
        meaning="Any other failure of the DIMSE service",
        source="PS3.7 C",
    ),
)
"""Looked up from the top; the first range that holds the status decides."""

UNKNOWN_STATUS = StatusClass.TRANSIENT
"""A status that no part of the standard gives to C-STORE; tried again, and shown in the end."""


def classify_status(status: int) -> StatusClass:
    """Say what follows from the status of a C-STORE response."""
    for rule in STATUS_RULES:
        if rule.first <= status <= rule.last:
            return rule.status_class
    return UNKNOWN_STATUS


def meaning_of(status: int) -> str:
    """Say in words what a status of a C-STORE response means."""
    for rule in STATUS_RULES:
        if rule.first <= status <= rule.last:
            return rule.meaning
    return "Not a status of the C-STORE service"
