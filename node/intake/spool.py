"""How an object streams from the socket to a file, hashed and bounded on the way.

pynetdicom's chunked mode writes a data set to a temporary file while it arrives and calls the
C-STORE handler when the whole object is there. What it leaves open is done here, in subclasses of
its own public classes: the hash is taken from the bytes as they pass, an object over the limit or
a full disk ends the association, a PDU longer than was agreed is not read, and nothing that was
never answered stays behind. The socket is read in large pieces: pynetdicom reads 4 KiB at a time.
"""

import contextlib
import hashlib
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from model.attributes import VALUE_ERRORS
from node.intake.answering import AnsweringAssociation
from node.intake.pending import pending_response
from node.intake.upper_layer import UpperLayer

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import P_DATA

logger = logging.getLogger(__name__)

MAX_PDU_BYTES = 256 * 1024
"""The PDU length that is agreed to, PS3.8 D.1: long enough for the cost of each not to count."""

MAX_PDU_BYTES_READ = 1024**2
"""No PDU longer than this is read, an A-ASSOCIATE-RQ with all its presentation contexts either."""

MAX_WAITING_CONNECTIONS = 400
"""Connections without an association: who opens more of them holds nobody up."""

MAX_WAITING_CONNECTIONS_OF_ONE_PEER = 300
"""Of those, for one address, so that there are some left for the others."""

MAX_COMMAND_BYTES = 64 * 1024
MAX_IDENTIFIER_BYTES = 1024**2
"""Of the data set of any other message than C-STORE: pynetdicom keeps those in memory."""

_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux alone has it

_NO_TIME_S = 0.001
"""0 would mean not to wait at all, and what is there already is read."""

_IS_COMMAND = 0x01
_IS_LAST = 0x02
"""Bits of the Message Control Header, PS3.8 E.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """A data set as it came over the wire.

    Attributes
    ----------
    dataset_bytes
        Its length, without the file meta information.
    dataset_sha256
        SHA-256 of the same bytes, in hexadecimal.
    """

    dataset_bytes: int
    dataset_sha256: str


class SpoolingDIMSE(DIMSEServiceProvider):
    """The DIMSE provider of an association that receives objects.

    Parameters
    ----------
    assoc
        The association it serves.
    max_dataset_bytes
        A larger data set ends the association while it is still arriving.
    dimse_timeout_s
        So does a message that is not whole so long after its beginning. One that comes to a halt is
        the business of the network time-out; this is for one that trickles.
    """

    def __init__(
        self, assoc: "StorageAssociation", max_dataset_bytes: int, dimse_timeout_s: float
    ) -> None:
        super().__init__(assoc)
        self._max_dataset_bytes = max_dataset_bytes
        self._dimse_timeout_s = dimse_timeout_s
        self._begun_at_s: float | None = None
        # Messages arrive in the thread of the upper layer, their end comes in the association's.
        self._lock = threading.Lock()
        self._is_ended = False
        self._hash = hashlib.sha256()
        self._dataset_bytes = 0
        self._command_bytes = 0
        self._receptions: dict[Path, Reception] = {}
        self._spooled: set[Path] = set()

    def receive_primitive(self, primitive: "P_DATA") -> None:
        """Pass what arrived on to pynetdicom, unless a limit was broken."""
        with self._lock:
            if self._is_ended:
                return
            fault = self._account_for(primitive) or self._decode(primitive)
            if self.message is not None and self.message._data_set_path is not None:
                self._spooled.add(cast("Path", self.message._data_set_path))
            if fault:
                self._end(fault)

    def _decode(self, primitive: "P_DATA") -> str:
        """Let pynetdicom have it; return what went wrong, or nothing."""
        try:
            super().receive_primitive(primitive)
        except OSError as error:
            return f"the object could not be written to disk: {error.strerror}"
        except (AttributeError, *VALUE_ERRORS) as error:  # of a command set that is none
            return f"a message that cannot be understood: {type(error).__name__}"
        return ""

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message; one of many responses to a query in the shortest way."""
        is_find = isinstance(primitive, C_FIND)
        pending = pending_response(primitive, context_id, self.maximum_pdu_size) if is_find else []
        if not pending:
            super().send_msg(primitive, context_id)
        for part in pending:
            self.dul.send_pdu(part)

    def note_message(self, event: evt.Event) -> None:
        """Put the finished hash beside the file it belongs to; bound to ``EVT_DIMSE_RECV``."""
        if isinstance(event.message, C_STORE_RQ) and event.message._data_set_path:
            path = cast("Path", event.message._data_set_path)
            self._spooled.add(path)
            self._receptions[path] = Reception(
                dataset_bytes=self._dataset_bytes, dataset_sha256=self._hash.hexdigest()
            )
        self._hash = hashlib.sha256()
        self._dataset_bytes = 0
        self._command_bytes = 0
        self._begun_at_s = None

    def take_reception(self, path: Path) -> Reception:
        """Give what is known of a data set that has arrived whole, once."""
        return self._receptions.pop(path)

    def discard(self) -> None:
        """Delete every file that was not moved away: its object was never acknowledged."""
        with self._lock:
            self._is_ended = True  # what still comes in is too late to be answered
            if self.message is not None and self.message._data_set_file is not None:
                with contextlib.suppress(OSError):  # closing writes once more: the disk may be full
                    self.message._data_set_file.close()
            for path in self._spooled:
                path.unlink(missing_ok=True)
            self._spooled.clear()
            self._receptions.clear()

    def _account_for(self, primitive: "P_DATA") -> str:
        """Count and hash the fragments; return which rule they break, or nothing."""
        now_s = time.monotonic()
        if self._begun_at_s is None:
            self._begun_at_s = now_s
        if now_s - self._begun_at_s > self._dimse_timeout_s:
            return f"a message that is not whole after {self._dimse_timeout_s:g} s"
        for context_id, fragment in primitive.presentation_data_value_list:
            if context_id not in self.assoc._accepted_cx:
                return "a message in a presentation context that was not accepted"
            if not fragment:
                return "a fragment without its message control header"
            if fragment[0] & _IS_COMMAND:
                self._command_bytes += len(fragment) - 1
                if self._command_bytes > MAX_COMMAND_BYTES:
                    return f"a command set of more than {MAX_COMMAND_BYTES} bytes"
                continue
            self._dataset_bytes += len(fragment) - 1
            self._hash.update(memoryview(fragment)[1:])
            if self._dataset_bytes > self._max_dataset_bytes:
                return f"an object of more than {self._max_dataset_bytes} bytes"
            if fragment[0] & _IS_LAST:
                break
        if self._dataset_bytes > MAX_IDENTIFIER_BYTES and not self._is_streaming(primitive):
            return f"a message of more than {MAX_IDENTIFIER_BYTES} bytes that stores nothing"
        return ""

    def _is_streaming(self, primitive: "P_DATA") -> bool:
        """Say whether the data set goes to a file; not known before its command is complete."""
        is_begun = self.message is not None
        return not is_begun or isinstance(self.message, C_STORE_RQ)

    def _end(self, reason: str) -> None:
        """Abort the association, from a thread of its own: this one has to send the A-ABORT."""
        self._is_ended = True
        logger.warning(
            "Association aborted",
            extra={
                "event": "association_aborted",
                "calling_ae_title": self.assoc.requestor.ae_title.strip(),
                "reason": reason,
            },
        )
        threading.Thread(target=self.assoc.abort, name="abort", daemon=True).start()


class StorageAssociation(AnsweringAssociation):
    """An association that streams what it receives, and tells when it is over.

    Parameters
    ----------
    ae
        The AE that accepts it.
    max_dataset_bytes, dimse_timeout_s
        As for `SpoolingDIMSE`.
    on_end
        Called once with the association, when nothing of it runs any more.
    """

    def __init__(
        self,
        ae: ApplicationEntity,
        max_dataset_bytes: int,
        dimse_timeout_s: float,
        on_end: Callable[["StorageAssociation"], None],
    ) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self._on_end = on_end
        self.dul = UpperLayer(self)
        # Set again, for they set the timers of the upper layer too.
        self.acse_timeout = self.acse_timeout
        self.network_timeout = self.network_timeout
        self._spooling = SpoolingDIMSE(self, max_dataset_bytes, dimse_timeout_s)
        self.dimse = self._spooling
        self.bind(evt.EVT_DIMSE_RECV, self._spooling.note_message)

    def take_reception(self, path: Path) -> Reception:
        """Give what is known of a data set that has arrived whole, once."""
        return self._spooling.take_reception(path)

    def wait_for_room(self) -> None:
        """Wait until the peer has read most of what it was answered."""
        cast("UpperLayer", self.dul).wait_for_room()

    def is_scp_of(self, context_id: int) -> bool:
        """Say whether requests may come in a presentation context; in others only answers may."""
        return bool(self._accepted_cx[context_id].as_scp)

    def run_reactor(self) -> None:
        """Serve the association until it ends, and leave nothing behind."""
        try:
            super().run_reactor()
        finally:
            self._spooling.discard()
            self._on_end(self)

    def _run_reactor(self) -> None:
        """Serve requests, and let the last word to the peer go out before the connection ends."""
        super()._run_reactor()
        self.dul.join(self.acse_timeout)


class PDUSocket(AssociationSocket):
    """A socket that takes a PDU in as few reads as the kernel allows."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or fewer if the peer ends the connection.

        Raises
        ------
        OSError
            If that is more than any PDU may be: the connection is closed then, and nothing read.
            `TimeoutError`, if they do not come in time, however many of them do.
        """
        if nr_bytes > MAX_PDU_BYTES_READ:
            message = f"expected a PDU of {MAX_PDU_BYTES_READ} bytes or less, found {nr_bytes}"
            raise OSError(message)
        connection = cast("socket.socket", self.socket)
        if _QUICK_ACK is not None:
            # Senders that gather small packets (Nagle) wait with the end of each object until its
            # beginning is acknowledged, which the kernel puts off for 40 ms; it forgets this soon.
            connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        upper_layer = cast("UpperLayer", self.assoc.dul)
        deadline_s = time.monotonic() + upper_layer.patience_s()
        pdu = bytearray(nr_bytes)
        view = memoryview(pdu)
        received = 0
        try:
            while received < nr_bytes:
                connection.settimeout(max(deadline_s - time.monotonic(), _NO_TIME_S))
                count = connection.recv_into(view[received:])
                if count == 0:
                    view.release()
                    del pdu[received:]
                    break
                received += count
        finally:
            connection.settimeout(self.assoc.network_timeout)  # for what is sent
        return pdu


class StorageServer(ThreadedAssociationServer):
    """A server whose connections become `StorageAssociation`.

    Parameters
    ----------
    ae, address, ae_title, contexts, evt_handlers
        As for its base.
    max_connections
        Open at the same time; a further one is closed unheard.
    max_connections_of_one_peer
        The same for one address.
    max_dataset_bytes, dimse_timeout_s, on_end
        As for `StorageAssociation`.
    """

    request_queue_size = 128
    """Connections that may wait to be accepted; a PACS opens many at once."""

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[PresentationContext],
        *,
        max_connections: int,
        max_connections_of_one_peer: int,
        max_dataset_bytes: int,
        dimse_timeout_s: float,
        on_end: Callable[[StorageAssociation], None],
        evt_handlers: list[evt.EventHandlerType],
    ) -> None:
        self.max_connections = max_connections
        self._max_connections_of_one_peer = max_connections_of_one_peer
        self._connections: list[tuple[str, socket.socket]] = []
        self.max_dataset_bytes = max_dataset_bytes
        self.dimse_timeout_s = dimse_timeout_s
        self.on_end = on_end
        super().__init__(
            ae,
            address,
            ae_title,
            contexts,
            evt_handlers=evt_handlers,
            request_handler=_StorageRequestHandler,
        )

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let a connection in unless too many are open: each takes a file descriptor for itself."""
        address = client_address[0]
        self._connections = [each for each in self._connections if each[1].fileno() >= 0]
        of_peer = sum(each[0] == address for each in self._connections)
        if (
            len(self._connections) >= self.max_connections
            or of_peer >= self._max_connections_of_one_peer
        ):
            return False
        self._connections.append((address, request))
        return True

    def close(self) -> None:
        """Take no further connection; those that are open go on."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()


class _StorageRequestHandler(RequestHandler):
    """Makes the association for a new connection, as its base does, of our classes."""

    server: StorageServer

    def _create_association(self) -> StorageAssociation:
        server = self.server
        assoc = StorageAssociation(
            self.ae, server.max_dataset_bytes, server.dimse_timeout_s, server.on_end
        )
        assoc._server = server
        # The server finds its associations by this name.
        assoc.name = f"AcceptorThread@{self.client_address[1]}"
        request: socket.socket = self.request
        # A peer that falls silent within a PDU would otherwise hold its threads for ever.
        request.settimeout(self.ae.network_timeout)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assoc.set_socket(PDUSocket(assoc, client_socket=request))

        # A connection that never asks for an association must not keep the process from ending.
        assoc.dul.daemon = True

        acceptor = assoc.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        # Not copied for each association (56 ms): negotiation only reads them.
        acceptor.supported_contexts = server.contexts
        assoc.requestor.address_info = self.remote

        for event, handlers in server._handlers.items():
            # One handler for an intervention event, a list of them for a notification event.
            for handler, arguments in [handlers] if isinstance(handlers, tuple) else handlers:
                assoc.bind(event, handler, arguments)
        return assoc
