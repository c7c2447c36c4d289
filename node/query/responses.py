"""The responses to a retrieval: how far its sub-operations are, and which failed."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dsutils import encode

from node.intake.answers import SUCCESS
from node.query.statuses import CANCELLED, PENDING, SOME_FAILED, UNABLE_TO_PERFORM
from node.query.sub_operations import Counts

MAX_SUB_OPERATIONS = 0xFFFF
"""What the counters of a response take (PS3.7 E.1)."""
_MAX_LIST_BYTES = 0xFFFE
"""Of a value of VR UI in Explicit VR (PS3.5 7.1.2)."""


def final_status(counts: Counts) -> int:
    """Give the status of the last response, PS3.4 C.4.2.3.1."""
    if counts.total and len(counts.failed) == counts.total:
        return UNABLE_TO_PERFORM
    return SOME_FAILED if counts.failed or counts.warnings else SUCCESS


def status_of(value: int) -> Dataset:
    """Make what `response` takes of a status alone."""
    status = Dataset()
    status.Status = value
    return status


def response(event: evt.Event, status: Dataset, counts: Counts | None = None) -> Any:
    """Make a response; with `counts` it says how far the sub-operations are (PS3.4 C.4.2.1.6)."""
    request: Any = event.request
    made: Any = type(request)()
    made.MessageID = made.MessageIDBeingRespondedTo = request.MessageID
    made.AffectedSOPClassUID = request.AffectedSOPClassUID
    for element in status:
        setattr(made, element.keyword, element.value)
    if counts is None:
        return made
    if status.Status in (PENDING, CANCELLED):
        made.NumberOfRemainingSuboperations = counts.remaining
    made.NumberOfCompletedSuboperations = counts.completed
    made.NumberOfFailedSuboperations = len(counts.failed)
    made.NumberOfWarningSuboperations = counts.warnings
    if status.Status in (SOME_FAILED, UNABLE_TO_PERFORM, CANCELLED):
        made.Identifier = _failed_list(counts.failed, UID(event.context.transfer_syntax))
    return made


def _failed_list(sop_instance_uids: Sequence[str], syntax: UID) -> BytesIO:
    """Encode the Failed SOP Instance UID List (0008,0058): as much of it as its VR takes."""
    fitting: list[str] = []
    length = 0
    for uid in sop_instance_uids:
        length += len(uid) + 1
        if length > _MAX_LIST_BYTES:
            break
        fitting.append(uid)
    ds = Dataset()
    ds.FailedSOPInstanceUIDList = fitting
    encoded = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian)
    return BytesIO(encoded or b"")
