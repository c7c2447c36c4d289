"""A request of PS3.4 Annex C as it comes, and how one is refused: C-FIND, C-MOVE, C-GET alike."""

import logging
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt

from node.errors import RefusedQuery, RejectedInstance
from node.header import read_message
from node.intake.answering import UNABLE_TO_PROCESS
from node.intake.answers import peer

logger = logging.getLogger(__name__)


def read_identifier(event: evt.Event) -> Dataset:
    """Decode the identifier of a C-FIND, C-MOVE or C-GET request.

    Raises
    ------
    RefusedQuery
        If there is none, or what is there is no data set.
    """
    request: Any = event.request
    try:
        return read_message(request.Identifier, transfer_syntax_uid=event.context.transfer_syntax)
    except RejectedInstance as rejected:
        raise RefusedQuery(
            status=UNABLE_TO_PROCESS, reason="the identifier is no data set"
        ) from rejected


def error_of_the_node() -> RefusedQuery:
    """Make the refusal of a request that could have been served, had the node made no error."""
    return RefusedQuery(status=UNABLE_TO_PROCESS, reason="an error of the node, which its log has")


def refusal(event: evt.Event, refused: RefusedQuery) -> tuple[Dataset, None]:
    """Log that a request is not served, and make the response that says so (PS3.7 C)."""
    logger.warning(
        "Query refused",
        extra={
            "event": "query_refused",
            **peer(event.assoc),
            "status": f"0x{refused.status:04X}",
            "reason": refused.reason,
            "offending_element": None if refused.tag is None else f"{refused.tag:08X}",
        },
    )
    status = Dataset()
    status.Status = refused.status
    status.ErrorComment = refused.reason
    if refused.tag is not None:
        status.OffendingElement = [refused.tag]
    return status, None
