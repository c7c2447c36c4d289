"""The Storage and Verification SCP: who may associate, and how each C-STORE is answered.

Success is said only when the file and its row would survive a power cut. What an association has
brought before it broke is kept. Memory stays flat, however large an object is.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

import pydicom.config
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext
from sqlalchemy.exc import SQLAlchemyError

from node.errors import PermanentError, RejectedInstance
from node.intake.admit import Admission, Arrival, admit
from node.intake.header import CANNOT_UNDERSTAND, read_header, text_of
from node.intake.spool import MAX_PDU_BYTES, StorageAssociation, StorageServer
from node.settings import Settings
from node.store import Store, is_uid
from node.study_log.database import Database

logger = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH = 0xA900


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
        ),
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
            "no SOP, Study or Series Instance UID, or one that is not a UID",
        ),
    ),
)
"""Every status that a C-STORE request can be answered with."""

REJECTIONS = MappingProxyType(
    {
        (1, 1, 3): "calling AE title is not allowed",
        (1, 1, 7): "called AE title is not this node's",
        (2, 3, 1): "free disk space is below the low watermark",
        (2, 3, 2): "too many associations are open",
    }
)
"""Result, source and diagnostic of A-ASSOCIATE-RJ (PS3.8 9.3.4), and when it is sent."""

ABORTS = (
    "an object is larger than the limit, or the disk fills up while it arrives",
    "a PDU, a command set or an identifier is longer than was agreed",
    "the peer was silent for longer than the network timeout",
)
"""When the node aborts an association; nothing of the object under way is kept."""

_LAST_CHOICES = (ImplicitVRLittleEndian, ExplicitVRBigEndian)

TRANSFER_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    *(s for s in AllTransferSyntaxes if s not in (ExplicitVRLittleEndian, *_LAST_CHOICES)),
    *_LAST_CHOICES,
)
"""All that pydicom lists, each stored as it comes; of several in one context the first is taken."""

STORAGE_SOP_CLASSES: tuple[UID, ...] = tuple(
    cast("UID", context.abstract_syntax) for context in AllStoragePresentationContexts
)
VERIFICATION_SOP_CLASSES: tuple[UID, ...] = (UID("1.2.840.10008.1.1"),)

STOP_DEADLINE_S = 10.0


def utc_now() -> datetime:
    """Give the present moment, aware UTC."""
    return datetime.now(UTC)


class Receiver:
    """The SCP of one data folder.

    Parameters
    ----------
    settings
        Its `[receive]` section counts.
    database
        Of the study log, migrated.
    store
        Of the files.
    clock
        Gives the present moment, aware UTC.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: Store,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings.receive
        self._database = database
        self._store = store
        self._clock = clock
        self._server: StorageServer | None = None
        self._brought: dict[StorageAssociation, _Brought] = {}
        self._changed = threading.Condition()

    @property
    def port(self) -> int:
        """TCP port that is listened at; the real one where the settings say 0."""
        if self._server is None:
            raise RuntimeError("the receiver has not been started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Throw away what an interrupted reception left behind, and listen.

        Raises
        ------
        PermanentError
            If the address cannot be listened at.
        """
        self._store.prepare()
        left_behind = self._store.empty_incoming()
        _set_up_libraries(self._store)
        ae = ApplicationEntity(ae_title=self._settings.ae_title)
        ae.maximum_pdu_size = MAX_PDU_BYTES
        ae.maximum_associations = self._settings.max_associations
        ae.network_timeout = self._settings.network_timeout_s
        ae.require_called_aet = True
        ae.require_calling_aet = list(self._settings.allowed_ae_titles)
        address = (self._settings.host, self._settings.port)
        try:
            self._server = StorageServer(
                ae,
                address,
                self._settings.ae_title,
                _contexts(),
                max_dataset_bytes=self._settings.max_object_bytes,
                on_end=self._on_end,
                evt_handlers=[
                    (evt.EVT_REQUESTED, self._on_requested),
                    (evt.EVT_REJECTED, self._on_rejected),
                    (evt.EVT_ACCEPTED, self._on_accepted),
                    (evt.EVT_C_STORE, self._on_c_store),
                    (evt.EVT_C_ECHO, lambda _event: SUCCESS),
                ],
            )
        except OSError as error:
            raise PermanentError(
                reason=f"Cannot listen at {address[0]} port {address[1]}: {error.strerror}. "
                "End the program that listens there, or set another receive.port."
            ) from error
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="receiver", daemon=True
        ).start()
        logger.info(
            "Receiver listens",
            extra={
                "event": "receiver_started",
                "host": address[0],
                "port": self.port,
                "ae_title": self._settings.ae_title,
                "incoming_files_deleted": left_behind,
            },
        )

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """Accept no new association, let the open ones end, and abort those that do not.

        Parameters
        ----------
        deadline_s
            How long open associations may go on, in seconds.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        if not self._wait_for_end(deadline_s):
            with self._changed:
                open_ones = list(self._brought)
            for assoc in open_ones:
                threading.Thread(target=assoc.abort, name="abort", daemon=True).start()
            self._wait_for_end(deadline_s)
            logger.warning(
                "Associations were still open when the receiver stopped",
                extra={"event": "associations_aborted_at_stop", "count": len(open_ones)},
            )
        logger.info("Receiver has stopped", extra={"event": "receiver_stopped"})

    def open_studies(self) -> frozenset[str]:
        """Give the Study Instance UIDs that an association brought which is still open."""
        with self._changed:
            return frozenset().union(*(brought.studies for brought in self._brought.values()))

    def _wait_for_end(self, deadline_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._brought, timeout=deadline_s)

    def _is_disk_low(self) -> bool:
        return self._store.free_bytes() < self._settings.low_watermark_bytes

    def _on_requested(self, event: evt.Event) -> None:
        """Keep room ahead of what arrives: an object is on the disk before it can be refused."""
        if not self._is_disk_low():
            return
        assoc: Any = event.assoc
        assoc.requestor.ae_title = assoc.requestor.primitive.calling_ae_title
        assoc.acse.send_reject(0x02, 0x03, 0x01)
        evt.trigger(assoc, evt.EVT_REJECTED, {})
        assoc.kill()

    def _on_rejected(self, event: evt.Event) -> None:
        reject: Any = event.assoc.acceptor.primitive
        reason = (reject.result, reject.result_source, reject.diagnostic)
        logger.warning(
            "Association rejected",
            extra={
                "event": "association_rejected",
                **_peer(event.assoc),
                "reason": REJECTIONS.get(reason, str(reason)),
            },
        )

    def _on_accepted(self, event: evt.Event) -> None:
        assoc = cast("StorageAssociation", event.assoc)
        with self._changed:
            self._brought[assoc] = _Brought(accepted_at_s=time.monotonic())
        refused = [str(context.abstract_syntax) for context in assoc.rejected_contexts]
        logger.log(
            logging.WARNING if refused else logging.INFO,
            "Association accepted",
            extra={
                "event": "association_accepted",
                **_peer(assoc),
                "accepted_contexts": len(assoc.accepted_contexts),
                "refused_sop_classes": sorted(set(refused)),
            },
        )

    def _on_end(self, assoc: StorageAssociation) -> None:
        with self._changed:
            brought = self._brought.pop(assoc, None)
            self._changed.notify_all()
        if brought is None:
            return
        logger.info(
            "Association ended",
            extra={
                "event": "association_ended",
                **_peer(assoc),
                "is_released": assoc.is_released,
                "instances": brought.instance_count,
                "studies": sorted(brought.studies),
                "duration_ms": _since_ms(brought.accepted_at_s),
            },
        )

    def _on_c_store(self, event: evt.Event) -> int:
        """Answer one C-STORE request; whatever happens, there is an answer and one log line."""
        begun_at_s = time.monotonic()
        request: Any = event.request
        fields: dict[str, object] = {
            "sop_instance_uid": str(request.AffectedSOPInstanceUID),
            **_peer(event.assoc),
        }
        try:
            arrival = self._arrival(event)
            fields["study_instance_uid"] = arrival.study_instance_uid
            fields["size_bytes"] = arrival.dataset_bytes
            self._note_study(event.assoc, arrival.study_instance_uid)
            admission = admit(arrival, database=self._database, store=self._store)
        except RejectedInstance as rejected:
            return self._refuse(fields, status=rejected.status, reason=rejected.reason)
        except (OSError, SQLAlchemyError) as error:
            logger.exception(
                "Instance could not be made durable",
                extra={"event": "instance_not_durable", **fields, "error": type(error).__name__},
            )
            return OUT_OF_RESOURCES
        except Exception as error:
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
                "duration_ms": _since_ms(begun_at_s),
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
        if self._is_disk_low():
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

    def _note_study(self, assoc: object, study_instance_uid: str) -> None:
        """Hold the study open before its row can be seen: close-out looks at both."""
        with self._changed:
            brought = self._brought[cast("StorageAssociation", assoc)]
            brought.studies.add(study_instance_uid)
            brought.instance_count += 1

    def _refuse(self, fields: dict[str, object], *, status: int, reason: str) -> int:
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


class _Brought:
    """What an open association has brought so far."""

    def __init__(self, *, accepted_at_s: float) -> None:
        self.accepted_at_s = accepted_at_s
        self.studies: set[str] = set()
        self.instance_count = 0


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


def _contexts() -> list[PresentationContext]:
    """Make the supported presentation contexts; shared by all associations, never changed."""
    contexts = []
    for sop_class, syntaxes in (
        *((uid, TRANSFER_SYNTAXES) for uid in STORAGE_SOP_CLASSES),
        *((uid, _UNCOMPRESSED) for uid in VERIFICATION_SOP_CLASSES),
    ):
        context = PresentationContext()
        context.abstract_syntax = sop_class
        context.transfer_syntax = list(syntaxes)
        contexts.append(context)
    return contexts


_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)


def _set_up_libraries(store: Store) -> None:
    """Tell pynetdicom to stream to our disk, and pydicom not to quote values in warnings."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    # pynetdicom asks `tempfile` for the file that it streams to.
    tempfile.tempdir = str(store.incoming)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE


def _peer(assoc: Any) -> dict[str, object]:
    return {
        "calling_ae_title": str(assoc.requestor.ae_title).strip(),
        "peer_address": assoc.requestor.address,
    }


def _since_ms(begun_at_s: float) -> int:
    return round((time.monotonic() - begun_at_s) * 1000)
