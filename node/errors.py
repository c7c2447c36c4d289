"""Every exception of the node, grouped by what the catcher does.

::

    NodeError
    ├── SettingsError       stop at start; says which key, what it held, what it accepts
    ├── UnknownStudy        the person asking named a study that is not in the log
    ├── RejectedInstance    refuse on the wire; carries the DICOM status the sender will see
    ├── RefusedQuery        the same of a query or retrieval, with the attribute that is wrong
    ├── UnsuitableInstance  leave that view out, with the reason an operator can read
    ├── TransientError      try again later: disk full, PACS unreachable, association refused
    └── PermanentError      fail the work now and show it: never retried by the clock

No message holds a patient's name, ID, birth date or accession number.
"""

from enum import StrEnum


class TriageReason(StrEnum):
    """Why an instance is stored but not analysed; the values stand in the log and the reports."""

    NOT_MAMMOGRAPHY = "not a mammogram"
    FOR_PROCESSING = "for processing"
    TOMOSYNTHESIS = "tomosynthesis"
    MULTI_FRAME = "more than one frame"
    SPOT_OR_MAGNIFICATION = "spot or magnification view"
    SPECIMEN = "specimen"
    IMPLANT_NOT_DISPLACED = "implant in the view"
    UNDECODABLE_PIXELS = "pixels cannot be decoded"
    ALL_ZERO_PIXELS = "pixels are all zero"
    NO_BREAST_FOUND = "no breast found"
    ANALYSIS_FAILED = "the analysis failed"
    REJECTED = "rejected"


class NodeError(Exception):
    """Base of all errors that the node raises on purpose."""


class SettingsError(NodeError):
    """A setting is unknown or holds a value that is not accepted.

    Parameters
    ----------
    key
        The setting with its section, as in ``receive.port``.
    found
        What it held; the text shown to the operator.
    accepted
        What would be accepted, as a phrase.
    nearest
        The known key that is spelled most like `key`, if the key is unknown.
    """

    def __init__(self, *, key: str, found: str, accepted: str, nearest: str | None = None) -> None:
        hint = f" Did you mean {nearest}?" if nearest else ""
        super().__init__(f"{key}: found {found}; accepted: {accepted}.{hint}")
        self.key = key
        self.nearest = nearest


class UnknownStudy(NodeError):
    """The log holds no study with that Study Instance UID, or several that end so.

    Parameters
    ----------
    study_instance_uid
        What the person gave: a Study Instance UID (0020,000D) or the end of one.
    matches
        How many studies it fits: none, or more than one.
    """

    def __init__(self, *, study_instance_uid: str, matches: int = 0) -> None:
        if matches:
            found = f"{matches} studies end in {study_instance_uid}; give more of the UID."
        elif not study_instance_uid:
            found = "Expected a Study Instance UID or the end of one, found nothing."
        else:
            found = f"No study {study_instance_uid} in the log."
        super().__init__(f"{found} `mammonode studies list` shows the studies that were received.")


class RejectedInstance(NodeError):
    """A composite instance that is refused on the wire.

    Parameters
    ----------
    status
        The C-STORE response status, PS3.4 B.2.3.
    reason
        Why, without patient attributes; goes to the log.
    """

    def __init__(self, *, status: int, reason: str) -> None:
        super().__init__(f"Refused with status 0x{status:04X}: {reason}")
        self.status = status
        self.reason = reason


class RefusedQuery(NodeError):
    """A C-FIND, C-MOVE or C-GET request that is not served.

    Parameters
    ----------
    status
        The response status, PS3.4 C.4.1.1.4, C.4.2.1.5 or C.4.3.1.4.
    reason
        What was expected, in the 64 characters that Error Comment (0000,0902) takes; no value of an
        attribute of the patient. Goes to the log too.
    tag
        Of the attribute that is wrong, for Offending Element (0000,0901); None: no single one is.
    """

    def __init__(self, *, status: int, reason: str, tag: int | None = None) -> None:
        super().__init__(f"Refused with status 0x{status:04X}: {reason}")
        self.status = status
        self.reason = reason
        self.tag = tag


class UnsuitableInstance(NodeError):
    """An instance that is safe with us but cannot be analysed.

    Parameters
    ----------
    reason
        One of the closed set of reasons.
    detail
        What was found, with the attribute's keyword and tag.
    """

    def __init__(self, *, reason: TriageReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class TransientError(NodeError):
    """Something that may well succeed later; `reason` says what was expected and found."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PermanentError(NodeError):
    """Something that no later try would change; `reason` says what a person can do."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
