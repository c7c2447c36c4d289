"""The upper layer of an association (PS3.8 9.2), for peers that keep to nothing.

pynetdicom's state machine does the work. Five things are added: an event that crosses another one
ends the connection in order instead of the thread; what a peer goes on sending after an abort is
thrown away unread, not answered and logged piece by piece; a silent connection costs next to
nothing; a system clock that is set ends no association and prolongs none; and a long answer waits
for its reader, who is heard in the middle of it.
"""

import logging
import time
from typing import cast

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.timer import Timer
from pynetdicom.transport import AssociationSocket

from model.attributes import VALUE_ERRORS

logger = logging.getLogger(__name__)

IDLE, AWAITING_REQUEST, DATA_TRANSFER, AWAITING_CLOSE = "Sta1", "Sta2", "Sta6", "Sta13"
"""PS3.8 tables 9-1, 9-2, 9-4 and 9-5: no connection yet; awaiting A-ASSOCIATE-RQ; association
established and ready for data transfer; awaiting transport connection close indication."""

ATTENTIVE_S = 0.5
"""After so long without a word a connection is looked at more seldom."""
ATTENTIVE_LOOK_S = 0.001
IDLE_LOOK_S = 0.05
"""Between two looks: hundreds of silent connections must not take the processor from the others."""

MAX_SENT_IN_A_ROW = 32
"""Primitives sent before the peer is listened to again: it may want no more (C-CANCEL)."""
MAX_UNSENT = 64
"""Primitives that may wait to be sent, two for an answer with a data set."""

SERVICE_PROVIDER = 0x02
INVALID_PDU_PARAMETER_VALUE = 0x06
"""Source and reason of an A-ABORT, PS3.8 table 9-26."""

_DISCARDED_BYTES = 64 * 1024


class SteadyTimer(Timer):
    """A timer by a clock that nobody sets: pynetdicom's goes by the system's."""

    def start(self) -> None:
        """Begin anew."""
        self._start_time, self._end_time = time.monotonic(), None

    def stop(self) -> None:
        """Stand still."""
        self._end_time = time.monotonic()

    @property
    def remaining(self) -> float:
        """Seconds until it expires, negative afterwards; 1 if it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        until_s = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (until_s - self._start_time)


class UpperLayer(DULServiceProvider):
    """The upper layer service provider of an association that the node accepts."""

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self._heard_at_s = time.monotonic()
        self._idle_timer = SteadyTimer(self._idle_timer.timeout)
        self.artim_timer = SteadyTimer(self.artim_timer.timeout)
        self._sent_in_a_row = 0

    def patience_s(self) -> float:
        """Give how long the next bytes of a PDU may take, in seconds.

        The ARTIM timer goes on while a request for an association comes in, PS3.8 9.1.5.
        """
        patience_s = cast("float", self.network_timeout)
        if self.state_machine.current_state in (IDLE, AWAITING_REQUEST):
            return min(patience_s, self.artim_timer.remaining)
        return patience_s

    def run_reactor(self) -> None:
        """Serve the connection until it ends."""
        is_in_order = False
        try:
            super().run_reactor()
            is_in_order = True
        except InvalidEventError:
            # As when the node accepts an association that the peer has broken at that moment: the
            # state machine of PS3.8 9.2 has no such transition. There is nobody left to talk to.
            self._note_end("spoke out of turn")
        except (AttributeError, *VALUE_ERRORS) as error:
            self._note_end(f"sent a PDU that cannot be understood: {type(error).__name__}")
            self._abort()
        finally:
            if not is_in_order:
                self._connection().close()
            # The association may still be waiting for its request: none will come.
            self.to_user_queue.put(None)

    def begin_idle_time(self) -> None:
        """Count the silence of the peer from now on."""
        self._idle_timer.restart()

    def wait_for_room(self) -> None:
        """Wait until little is left to be sent, or nobody is there any more to read it.

        Without this all of a long answer would lie in memory when the peer reads its first part.
        """
        while (
            self.to_provider_queue.qsize() > MAX_UNSENT
            and self.is_alive()
            and self.state_machine.current_state != AWAITING_CLOSE
        ):
            time.sleep(ATTENTIVE_LOOK_S)

    def _process_recv_primitive(self) -> bool:
        """Take what is to be sent next, but let the peer have a word in between."""
        self._sent_in_a_row += 1
        if self._sent_in_a_row > MAX_SENT_IN_A_ROW or not super()._process_recv_primitive():
            self._sent_in_a_row = 0
            return False  # so that the transport is looked at
        self._heard_at_s = time.monotonic()
        return True

    def _abort(self) -> None:
        """Send an A-ABORT past the state machine, PS3.8 9.3.8."""
        abort = A_ABORT_RQ()
        abort.source = SERVICE_PROVIDER
        abort.reason_diagnostic = INVALID_PDU_PARAMETER_VALUE
        self._connection().send(abort.encode())

    def _note_end(self, reason: str) -> None:
        logger.warning(
            "Connection ended by the node", extra={"event": "connection_ended", "reason": reason}
        )

    def _is_transport_event(self) -> bool:
        """See whether something has come; look more seldom where nothing has for a while."""
        has_come = super()._is_transport_event()
        now_s = time.monotonic()
        if has_come:
            self._heard_at_s = now_s
        is_attentive = now_s - self._heard_at_s < ATTENTIVE_S
        self._run_loop_delay = ATTENTIVE_LOOK_S if is_attentive else IDLE_LOOK_S
        return has_come

    def _read_pdu_data(self) -> None:
        """Read one PDU; once the association is over, only take what comes from the line."""
        if self.state_machine.current_state != AWAITING_CLOSE:
            super()._read_pdu_data()
            return
        connection = self._connection().socket
        try:
            is_closed = connection is None or not connection.recv(_DISCARDED_BYTES)
        except OSError:
            is_closed = True
        if is_closed:
            self.event_queue.put("Evt17")  # PS3.8 table 9-3: transport connection closed

    def _connection(self) -> AssociationSocket:
        return cast("AssociationSocket", self.socket)
