"""The C-STORE sub-operations of a retrieval: PS3.4 C.4.2.3.1, C.4.3.3.1.

Objects go out as they are stored, in the transfer syntax that they are stored in. What cannot be
read or does not get there is counted and logged, and holds up no other.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from pynetdicom.association import Association

from node.delivery.send import (
    Answer,
    Originator,
    StoredObject,
    send,
    send_one,
    transfer_syntax_of,
)
from node.delivery.statuses import StatusClass, classify_status, meaning_of
from node.errors import NodeError
from node.settings import DeliverySettings, PeerSettings
from node.store import Store
from node.study_log.stored_results import StoredResult

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Counts:
    """How far the sub-operations of a retrieval are.

    Attributes
    ----------
    total
        How many there are to be.
    failed
        SOP Instance UIDs of those that did not succeed.
    """

    total: int
    completed: int = 0
    warnings: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """How many are still to come."""
        return self.total - self.completed - self.warnings - len(self.failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retriever:
    """Whom a retrieval is for, and how results go there.

    Attributes
    ----------
    destination, delivery
        Of a C-MOVE.
    originator
        Who asked.
    calling_ae_title
        The node's own AE title.
    """

    destination: PeerSettings
    delivery: DeliverySettings
    originator: Originator
    calling_ae_title: str


def by_move(
    results: Sequence[StoredResult], store: Store, counts: Counts, *, to: Retriever
) -> Generator[None]:
    """Send results to the move destination, over an association of its own.

    Parameters
    ----------
    results
        What is to be sent.
    store
        Where it is.
    counts
        Kept up to date.
    to
        The move destination.

    Yields
    ------
    nothing
        After each sub-operation; ending it here ends the association in order.
    """
    readable: list[StoredObject] = []
    for result in results:
        reason = _fault_of(result, store)
        if reason:
            _fail(counts, result.sop_instance_uid, reason)
            yield
        else:
            readable.append(_stored_object(result, store))
    waiting = {item.key: item.sop_instance_uid for item in readable}
    reason = "no answer came"
    try:
        if readable:
            with closing(
                send(
                    readable,
                    to.destination,
                    calling_ae_title=to.calling_ae_title,
                    delivery=to.delivery,
                    originator=to.originator,
                )
            ) as answers:
                for answer in answers:
                    _count(counts, waiting.pop(answer.key), answer)
                    yield
    except NodeError as error:
        reason = str(error)
    except OSError as error:
        reason = f"a file cannot be read: {error.strerror}"
    for sop_instance_uid in waiting.values():
        _fail(counts, sop_instance_uid, reason)
        yield


def by_get(
    results: Sequence[StoredResult], store: Store, counts: Counts, *, association: Association
) -> Generator[None]:
    """Send results back over the association that the request came by.

    Parameters
    ----------
    results, store, counts
        As for `by_move`.
    association
        Of the requestor, which is the SCP of the presentation contexts that it proposed so.

    Yields
    ------
    nothing
        After each sub-operation.
    """
    ae_title = association.requestor.ae_title.strip()
    accepted = {
        (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in association.accepted_contexts
        if context.as_scu
    }
    for number, result in enumerate(results):
        reason = _fault_of(result, store)
        if not reason:
            item = _stored_object(result, store)
            syntax = transfer_syntax_of(item)
            if (item.sop_class_uid, syntax) not in accepted:
                reason = (
                    f"{ae_title} is no SCP of SOP class {item.sop_class_uid} in transfer syntax "
                    f"{syntax} here"
                )
        if reason:
            _fail(counts, result.sop_instance_uid, reason)
        else:
            answer = send_one(association, item, ae_title, message_id=number % 0xFFFF + 1)
            _count(counts, result.sop_instance_uid, answer)
        yield


def _fault_of(result: StoredResult, store: Store) -> str:
    """Say why a result cannot be sent; empty if it can."""
    if result.removed_at is not None:
        return "its file is gone"
    item = _stored_object(result, store)
    try:
        size_bytes = item.path.stat().st_size
        if size_bytes != result.size_bytes:
            return f"its file is damaged: expected {result.size_bytes} bytes, found {size_bytes}"
        transfer_syntax_of(item)
    except OSError as error:
        return f"its file cannot be read: {error.strerror}"
    except NodeError as error:
        return str(error)
    return ""


def _stored_object(result: StoredResult, store: Store) -> StoredObject:
    return StoredObject(
        key=result.key,
        path=store.path(result.path),
        sop_class_uid=result.sop_class_uid,
        sop_instance_uid=result.sop_instance_uid,
    )


def _count(counts: Counts, sop_instance_uid: str, answer: Answer) -> None:
    if answer.status is None:
        _fail(counts, sop_instance_uid, answer.problem)
        return
    status_class = classify_status(answer.status)
    if not status_class.is_acknowledged:
        _fail(
            counts,
            sop_instance_uid,
            f"answered 0x{answer.status:04X} ({meaning_of(answer.status)})",
        )
    elif status_class is StatusClass.WARNING:
        counts.warnings += 1
    else:
        counts.completed += 1


def _fail(counts: Counts, sop_instance_uid: str, reason: str) -> None:
    counts.failed.append(sop_instance_uid)
    logger.warning(
        "Result object could not be retrieved",
        extra={
            "event": "sub_operation_failed",
            "sop_instance_uid": sop_instance_uid,
            "reason": reason,
        },
    )
