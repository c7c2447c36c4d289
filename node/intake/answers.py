"""How a C-STORE request is answered, and what else a sender may be told.

Success is said only when the file and its row would survive a power cut.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from sqlalchemy.exc import SQLAlchemyError

from node.errors import RejectedInstance
from node.header import CANNOT_UNDERSTAND, read_header, text_of
from node.intake.admit import OUT_OF_RESOURCES, Admission, admit
from node.intake.arrival import Arrival
from node.intake.spool import StorageAssociation
from node.settings import ReceiveSettings
from node.store import Store, is_uid
from node.study_log.database import Database

logger = logging.getLogger(__name__)

SUCCESS = 0x0000
DATA_SET_DOES_NOT_MATCH = 0xA900
NOT_AUTHORIZED = 0x0124


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A C-STORE response status that the node sends: its meaning in PS3.4 B.2.3, and when."""

    status: int
    meaning: str
    when: tuple[str, ...]


ANSWERS = (
    Answer(
        status=SUCCESS,
        meaning="Success",
        when=(
            "the instance is durable: file and log entry",
            "it cannot be analysed, but is durable all the same; the log and the report say why",
            "the same data set is here already; nothing is done again",
            "another data set is here under its UID; this one is kept aside, listed as a conflict",
        ),
    ),
    Answer(
        status=OUT_OF_RESOURCES,
        meaning="Refused: Out of Resources",
        when=(
            "free disk space is below the low watermark; nothing is kept",
            "the disk or the database cannot take the instance now",
            "the study has as many instances or bytes as one may have; nothing is kept",
        ),
    ),
    Answer(
        status=NOT_AUTHORIZED,
        meaning="Refused: Not Authorized",
        when=("the sender proposed the presentation context to retrieve by, and not to send",),
    ),
    Answer(
        status=DATA_SET_DOES_NOT_MATCH,
        meaning="Error: Data Set Does Not Match SOP Class",
        when=(
            "SOP Class UID of the data set is not that of the request and presentation context",
            "SOP Instance UID of the data set is not that of the request",
        ),
    ),
    Answer(
        status=CANNOT_UNDERSTAND,
        meaning="Error: Cannot Understand",
        when=(
            "not a data set, or only the beginning of one",
            "a deflated data set that inflates to too much",
            "no SOP, Study or Series Instance UID, or one that is not a UID",
        ),
    ),
)
"""Every status that a C-STORE request can be answered with."""

TEMPORARY_CONGESTION = (2, 3, 1)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
"""Transient, by the service provider (presentation): PS3.8 table 9-21."""

REJECTIONS = MappingProxyType(
    {
        (1, 1, 3): "calling AE title is not allowed",
        (1, 1, 7): "called AE title is not this node's",
        TEMPORARY_CONGESTION: "free disk space is below the low watermark",
        LOCAL_LIMIT_EXCEEDED: "too many associations are open, in all or from one address",
    }
)
"""Result, source and diagnostic of A-ASSOCIATE-RJ (PS3.8 9.3.4), and when it is sent."""

ABORTS = (
    "an object is larger than the limit, or the disk fills up while it arrives",
    "a PDU, a command set or an identifier is longer than was agreed",
    "a command set cannot be read, or its presentation context was not accepted",
    "the peer was silent, or took over one PDU, longer than the network timeout",
    "a message is not whole when the DIMSE timeout is over",
)
"""When the node aborts an association; nothing of the object under way is kept."""


class StoreAnswers:
    """Answers C-STORE requests.

    Parameters
    ----------
    settings
        The limits.
    database
        Of the study log.
    store
        Of the files.
    clock
        Gives the present moment, aware UTC.
    note_study
        Called with association and Study Instance UID of every sound instance, before it is kept.
    """

    def __init__(
        self,
        settings: ReceiveSettings,
        database: Database,
        store: Store,
        *,
        clock: Callable[[], datetime],
        note_study: Callable[[StorageAssociation, str], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._clock = clock
        self._note_study = note_study

    def answer(self, event: evt.Event) -> int:
        """Answer one C-STORE request; whatever happens, there is an answer and one log line.

        Parameters
        ----------
        event
            ``EVT_C_STORE`` of a `StorageAssociation`.

        Returns
        -------
        status
            One of `ANSWERS`.
        """
        begun_at_s = time.monotonic()
        request: Any = event.request
        fields: dict[str, object] = {
            "sop_instance_uid": str(request.AffectedSOPInstanceUID),
            **peer(event.assoc),
        }
        try:
            arrival = self._arrival(event)
            fields["study_instance_uid"] = arrival.study_instance_uid
            fields["size_bytes"] = arrival.dataset_bytes
            # Before its row can be seen: close-out looks at both.
            self._note_study(cast("StorageAssociation", event.assoc), arrival.study_instance_uid)
            admission = admit(
                arrival, database=self._database, store=self._store, limits=self._settings
            )
        except RejectedInstance as rejected:
            return _refuse(fields, status=rejected.status, reason=rejected.reason)
        except (OSError, SQLAlchemyError) as error:
            logger.exception(
                "Instance could not be made durable",
                extra={"event": "instance_not_durable", **fields, "error": type(error).__name__},
            )
            return OUT_OF_RESOURCES
        except Exception as error:  # the sender must get a status whatever a data set does to us
            logger.exception(
                "Instance could not be understood",
                extra={"event": "instance_not_understood", **fields, "error": type(error).__name__},
            )
            return CANNOT_UNDERSTAND
        logger.log(
            logging.WARNING if admission is Admission.CONFLICT else logging.INFO,
            "Instance received",
            extra={
                "event": "instance_received",
                **fields,
                "outcome": admission.value,
                "duration_ms": since_ms(begun_at_s),
            },
        )
        return SUCCESS

    def _arrival(self, event: evt.Event) -> Arrival:
        """Check what came against what was said about it.

        Raises
        ------
        RejectedInstance
            If it is not kept.
        """
        assoc = cast("StorageAssociation", event.assoc)
        path = event.dataset_path
        reception = assoc.take_reception(path)
        if not assoc.is_scp_of(event.context.context_id):
            raise RejectedInstance(
                status=NOT_AUTHORIZED,
                reason="it came in a presentation context that the sender is the SCP of",
            )
        if self._store.free_bytes() < self._settings.low_watermark_bytes:
            raise RejectedInstance(
                status=OUT_OF_RESOURCES, reason="free disk space is below the low watermark"
            )
        header = read_header(
            path,
            transfer_syntax_uid=event.context.transfer_syntax,
            dataset_offset=path.stat().st_size - reception.dataset_bytes,
            max_dataset_bytes=self._settings.max_object_bytes,
        )
        _check_identity(header, event)
        return Arrival(
            header=header,
            file=path,
            transfer_syntax_uid=str(event.context.transfer_syntax),
            dataset_bytes=reception.dataset_bytes,
            dataset_sha256=reception.dataset_sha256,
            calling_ae_title=assoc.requestor.ae_title.strip(),
            called_ae_title=assoc.acceptor.ae_title.strip(),
            received_at=self._clock(),
        )


def peer(assoc: Any) -> dict[str, object]:
    """Give the fields of a log line that say who is at the other end of an association."""
    return {
        "calling_ae_title": str(assoc.requestor.ae_title).strip(),
        "peer_address": assoc.requestor.address,
    }


def since_ms(begun_at_s: float) -> int:
    """Give the milliseconds since a reading of the monotonic clock."""
    return round((time.monotonic() - begun_at_s) * 1000)


def _refuse(fields: dict[str, object], *, status: int, reason: str) -> int:
    logger.warning(
        "Instance refused",
        extra={
            "event": "instance_refused",
            **fields,
            "status": f"0x{status:04X}",
            "reason": reason,
        },
    )
    return status


def _check_identity(header: Dataset, event: evt.Event) -> None:
    """Let an instance pass whose UIDs are there, are UIDs, and are those of the request."""
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        value = text_of(header, keyword)
        if not is_uid(value):
            found = "something else" if value else "nothing"
            raise RejectedInstance(
                status=CANNOT_UNDERSTAND, reason=f"expected a UID in {keyword}, found {found}"
            )
    request: Any = event.request
    sop_class_uid = text_of(header, "SOPClassUID")
    if {sop_class_uid} != {request.AffectedSOPClassUID, event.context.abstract_syntax}:
        raise RejectedInstance(
            status=DATA_SET_DOES_NOT_MATCH,
            reason=f"SOP Class UID is {sop_class_uid} in the data set, "
            f"{request.AffectedSOPClassUID} in the request, "
            f"{event.context.abstract_syntax} in the presentation context",
        )
    if text_of(header, "SOPInstanceUID") != request.AffectedSOPInstanceUID:
        raise RejectedInstance(
            status=DATA_SET_DOES_NOT_MATCH,
            reason="SOP Instance UID of the data set is not that of the request",
        )
