"""How requests of PS3.4 Annex C are served, where pynetdicom would do it in another way.

A query or retrieval counts in a presentation context of its own SOP class alone: who is not offered
that cannot ask by another one. C-MOVE and C-GET are left to their handler altogether: pynetdicom
would ask it for data sets in memory, encode them anew, and choose association and time-outs by
itself.
"""

import contextlib
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import ServiceClass

from node.intake.contexts import QUERY_SOP_CLASSES
from node.intake.upper_layer import DATA_TRANSFER, UpperLayer

SOP_CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 C.5.6."""
UNABLE_TO_PROCESS = 0xC000
"""PS3.4 C.4.1.1.4, C.4.2.1.5 and C.4.3.1.4."""

_QUERIES: dict[type, evt.InterventionEvent] = {
    C_FIND: evt.EVT_C_FIND,
    C_MOVE: evt.EVT_C_MOVE,
    C_GET: evt.EVT_C_GET,
}


class AnsweringAssociation(Association):
    """An association that may be asked."""

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Serve a request; however long that takes, the peer had no reason to speak meanwhile."""
        try:
            self._serve(msg, context_id)
        finally:
            cast("UpperLayer", self.dul).begin_idle_time()

    def _serve(self, msg: Any, context_id: int) -> None:
        """Serve a request; queries in their own presentation context alone (PS3.7 7.1.2)."""
        event = _QUERIES.get(type(msg))
        context = self._accepted_cx.get(context_id)
        if event is None or context is None or self._sent_release:
            super()._serve_request(msg, context_id)
        elif not msg.is_valid_request:
            # pynetdicom would say nothing, and have the peer wait.
            if msg.MessageID is not None and msg.MessageIDBeingRespondedTo is None:
                comment = "expected an identifier and all of the command set"
                self.dimse.send_msg(_refused(msg, UNABLE_TO_PROCESS, comment), context_id)
        elif (
            context.abstract_syntax != msg.AffectedSOPClassUID
            or msg.AffectedSOPClassUID not in QUERY_SOP_CLASSES[event]
        ):
            comment = "not in the presentation context of another SOP class"
            self.dimse.send_msg(_refused(msg, SOP_CLASS_NOT_SUPPORTED, comment), context_id)
        elif event is evt.EVT_C_FIND:
            super()._serve_request(msg, context_id)
        else:
            self._serve_retrieval(event, msg, context)

    def _serve_retrieval(
        self, event: evt.InterventionEvent, msg: Any, context: PresentationContext
    ) -> None:
        """Send each response that the handler gives; what goes out between them it sends itself."""
        self.dimse.cancel_req = {}  # of requests that are over
        self._is_paused = True  # the handler waits for answers over this association
        try:
            attributes = {
                "request": msg,
                "context": context.as_tuple,
                "_is_cancelled": ServiceClass(self).is_cancelled,
            }
            answer: Any = evt.trigger(self, event, attributes)
            with contextlib.closing(answer) as responses:
                for response in responses:
                    if not self._is_listened_to():
                        return
                    self.dimse.send_msg(response, cast("int", context.context_id))
        finally:
            self._is_paused = False
            self.dimse.cancel_req = {}

    def _is_listened_to(self) -> bool:
        """Say whether the peer is still there; the association hears of it between requests."""
        state = self.dul.state_machine.current_state
        return self.is_established and self.dul.is_alive() and state == DATA_TRANSFER


def _refused(msg: Any, status: int, comment: str) -> Any:
    """Make the response to a request that no handler is asked about."""
    response: Any = type(msg)()
    response.MessageID = response.MessageIDBeingRespondedTo = msg.MessageID
    response.AffectedSOPClassUID = msg.AffectedSOPClassUID
    response.Status, response.ErrorComment = status, comment
    return response
