"""The Storage and Verification SCP: who may associate, and what open associations have brought.

What an association has brought before it broke is kept. Archives that are asked for storage
commitment report here too: for that the node is the SCU, whoever asked for the association.
Queries come by the same door, and are answered by handlers that are handed in.
"""

import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pydicom.config
from pydicom.dataset import Dataset
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation

from node.delivery.commitment import answer_report
from node.delivery.commitment_log import CommitmentLog
from node.errors import PermanentError
from node.intake.answers import (
    LOCAL_LIMIT_EXCEEDED,
    REJECTIONS,
    SUCCESS,
    TEMPORARY_CONGESTION,
    StoreAnswers,
    peer,
    since_ms,
)
from node.intake.contexts import SupportedContexts
from node.intake.spool import (
    MAX_PDU_BYTES,
    MAX_WAITING_CONNECTIONS,
    MAX_WAITING_CONNECTIONS_OF_ONE_PEER,
    StorageAssociation,
    StorageServer,
)
from node.settings import Confirmation, Settings
from node.store import Store
from node.study_log.database import Database

logger = logging.getLogger(__name__)

STOP_DEADLINE_S = 10.0
SWITCH_INTERVAL_S = 0.001

QueryHandler = tuple[evt.InterventionEvent, Callable[[evt.Event], Iterator[Any]]]
"""What answers one kind of request of PS3.4 Annex C, as pynetdicom calls it."""


def utc_now() -> datetime:
    """Give the present moment, aware UTC."""
    return datetime.now(UTC)


class Receiver:
    """The SCP of one data folder.

    Parameters
    ----------
    settings
        Its `[receive]` section counts, and which destinations are asked for storage commitment.
    database
        Of the study log, migrated.
    store
        Of the files.
    clock
        Gives the present moment, aware UTC.
    query
        Handlers of ``EVT_C_FIND``, ``EVT_C_MOVE`` and ``EVT_C_GET``; what has none is not offered.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: Store,
        clock: Callable[[], datetime] = utc_now,
        *,
        query: Sequence[QueryHandler] = (),
    ) -> None:
        self._settings = settings.receive
        self._max_querying = settings.query.max_associations
        self._query = list(query)
        self._store = store
        self._answers = StoreAnswers(
            settings.receive, database, store, clock=clock, note_study=self._note_study
        )
        self._commitment = CommitmentLog(settings=settings, database=database, now=clock)
        self._contexts = SupportedContexts(
            senders=settings.receive.allowed_ae_titles,
            reporters=[
                destination.ae_title
                for destination in settings.destinations
                if destination.confirm is Confirmation.COMMITMENT
            ],
            queriers=settings.queriers,
            served=[event for event, _ in query],
        )
        self._server: StorageServer | None = None
        self._asking: set[StorageAssociation] = set()
        self._querying: set[StorageAssociation] = set()
        self._brought: dict[StorageAssociation, _Brought] = {}
        self._changed = threading.Condition()
        self._set_up = ExitStack()

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
        self._set_up.enter_context(_libraries_set_up(self._store))
        self._set_up.enter_context(_threads_switched_soon())
        ae = ApplicationEntity(ae_title=self._settings.ae_title)
        ae.maximum_pdu_size = MAX_PDU_BYTES
        # Counted here: pynetdicom would count every connection, one that never says a word too.
        ae.maximum_associations = sys.maxsize
        ae.acse_timeout = self._settings.acse_timeout_s
        ae.network_timeout = self._settings.network_timeout_s
        ae.require_called_aet = True
        ae.require_calling_aet = self._contexts.callers
        address = (self._settings.host, self._settings.port)
        try:
            self._server = StorageServer(
                ae,
                address,
                self._settings.ae_title,
                self._contexts.offered_to(""),
                max_connections=self._settings.max_associations + MAX_WAITING_CONNECTIONS,
                max_connections_of_one_peer=self._settings.associations_of_one_peer
                + MAX_WAITING_CONNECTIONS_OF_ONE_PEER,
                max_dataset_bytes=self._settings.max_object_bytes,
                dimse_timeout_s=self._settings.dimse_timeout_s,
                on_end=self._on_end,
                evt_handlers=[
                    (evt.EVT_REQUESTED, self._on_requested),
                    (evt.EVT_REJECTED, self._on_rejected),
                    (evt.EVT_ACCEPTED, self._on_accepted),
                    (evt.EVT_C_STORE, self._answers.answer),
                    (evt.EVT_C_ECHO, lambda _event: SUCCESS),
                    (evt.EVT_N_EVENT_REPORT, self._on_report),
                    *self._query,
                ],
            )
        except OSError as error:
            self._set_up.close()
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
        self._set_up.close()
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
        """Offer the caller what it may do; turn it away if the disk is low or its place is taken.

        Room is kept ahead of what arrives: an object is on the disk before it can be refused. A
        peer is an address: an AE title is what a caller says of itself, and whoever borrowed one
        could take up the places of its owner.
        """
        assoc: Any = event.assoc
        request = assoc.requestor.primitive
        caller = request.calling_ae_title.strip()
        assoc.acceptor.supported_contexts = self._contexts.offered_to(caller, _scp_roles(request))
        is_query = self._contexts.is_query(caller, request.presentation_context_definition_list)
        address = assoc.requestor.address
        with self._changed:
            open_ones = [*self._asking, *self._brought]
            of_peer = sum(each.requestor.address == address for each in open_ones)
            limit = ""
            if len(open_ones) >= self._settings.max_associations:
                limit = "receive.max_associations are open"
            elif is_query and len(self._querying) >= self._max_querying:
                limit = "query.max_associations are open"
            elif of_peer >= self._settings.associations_of_one_peer:
                limit = f"this address has {of_peer} open, as many as one may have"
            else:
                self._asking.add(assoc)
                if is_query:
                    self._querying.add(assoc)
        if not limit and not self._is_disk_low():
            return
        assoc.requestor.ae_title = assoc.requestor.primitive.calling_ae_title
        rejection = LOCAL_LIMIT_EXCEEDED if limit else TEMPORARY_CONGESTION
        assoc.acse.send_reject(*rejection)
        _tell_rejected(assoc, limit or REJECTIONS[rejection])
        assoc.kill()

    def _on_rejected(self, event: evt.Event) -> None:
        reject: Any = event.assoc.acceptor.primitive
        reason = (reject.result, reject.result_source, reject.diagnostic)
        _tell_rejected(event.assoc, REJECTIONS.get(reason, str(reason)))

    def _on_accepted(self, event: evt.Event) -> None:
        assoc = cast("StorageAssociation", event.assoc)
        with self._changed:
            self._asking.discard(assoc)
            self._brought[assoc] = _Brought(accepted_at_s=time.monotonic())
        refused = [str(context.abstract_syntax) for context in assoc.rejected_contexts]
        logger.log(
            logging.WARNING if refused else logging.INFO,
            "Association accepted",
            extra={
                "event": "association_accepted",
                **peer(assoc),
                "accepted_contexts": len(assoc.accepted_contexts),
                "refused_sop_classes": sorted(set(refused)),
            },
        )

    def _on_report(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Take a report on storage commitment from the archive that was asked."""
        caller = event.assoc.requestor.ae_title.strip()
        return answer_report(
            event, lambda report: self._commitment.take_report(report, ae_title=caller)
        )

    def _on_end(self, assoc: StorageAssociation) -> None:
        with self._changed:
            self._asking.discard(assoc)
            self._querying.discard(assoc)
            brought = self._brought.pop(assoc, None)
            self._changed.notify_all()
        if brought is None:
            return
        logger.info(
            "Association ended",
            extra={
                "event": "association_ended",
                **peer(assoc),
                "is_released": assoc.is_released,
                "instances": brought.instance_count,
                "studies": sorted(brought.studies),
                "duration_ms": since_ms(brought.accepted_at_s),
            },
        )

    def _note_study(self, assoc: StorageAssociation, study_instance_uid: str) -> None:
        with self._changed:
            brought = self._brought[assoc]
            brought.studies.add(study_instance_uid)
            brought.instance_count += 1


def _tell_rejected(assoc: Any, reason: str) -> None:
    logger.warning(
        "Association rejected",
        extra={"event": "association_rejected", **peer(assoc), "reason": reason},
    )


def _scp_roles(request: A_ASSOCIATE) -> list[str]:
    """Give the SOP classes that a requestor proposes to be the SCP of, PS3.7 D.3.3.4."""
    return [
        str(item.sop_class_uid)
        for item in request.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.scp_role
    ]


class _Brought:
    """What an open association has brought so far."""

    def __init__(self, *, accepted_at_s: float) -> None:
        self.accepted_at_s = accepted_at_s
        self.studies: set[str] = set()
        self.instance_count = 0


@contextmanager
def _threads_switched_soon() -> Iterator[None]:
    """Have a thread that only computes hold the others up for less than Python's 5 ms each time.

    A C-STORE gives the interpreter up a dozen times, to disk, database and socket, and waits for it
    as often: beside long answers to queries it took three times as long.
    """
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


@contextmanager
def _libraries_set_up(store: Store) -> Iterator[None]:
    """Have pynetdicom stream to our disk, and pydicom not quote values in warnings."""
    settings: tuple[tuple[Any, str, object], ...] = (
        (_config, "STORE_RECV_CHUNKED_DATASET", True),
        (_config, "LOG_HANDLER_LEVEL", "none"),
        (_config, "LOG_REQUEST_IDENTIFIERS", False),
        (_config, "LOG_RESPONSE_IDENTIFIERS", False),
        (pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE),
        (pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE),
        # pynetdicom asks `tempfile` for the file that it streams to.
        (tempfile, "tempdir", str(store.incoming)),
    )
    before = [getattr(where, name) for where, name, _ in settings]
    for where, name, value in settings:
        setattr(where, name, value)
    try:
        yield
    finally:
        for (where, name, _), value in zip(settings, before, strict=True):
            setattr(where, name, value)
