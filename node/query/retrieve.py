"""The C-MOVE and C-GET SCP: results of the node, PS3.4 C.4.2 and C.4.3.

Given away is what this node made, of the newest revision of each study; at IMAGE level, where every
object is named, of earlier revisions too. Images that came from outside are not: the archive that
they came from has them. Nothing here holds a connection to the database while an object goes out.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from pynetdicom import evt
from sqlalchemy.exc import SQLAlchemyError

from node.delivery.send import Originator
from node.errors import RefusedQuery
from node.intake.answering import UNABLE_TO_PROCESS
from node.intake.answers import peer, since_ms
from node.query.levels import Level, Root
from node.query.places import Places
from node.query.request import error_of_the_node, read_identifier, refusal
from node.query.responses import (
    MAX_SUB_OPERATIONS,
    final_status,
    response,
    status_of,
)
from node.query.statuses import (
    CANCELLED,
    MOVE_DESTINATION_UNKNOWN,
    PENDING,
    UNABLE_TO_COUNT_MATCHES,
    UNABLE_TO_PERFORM,
)
from node.query.sub_operations import Counts, Retriever, by_get, by_move
from node.query.unique_keys import read_unique_keys
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.stored_results import (
    ResultKeys,
    StoredResult,
    find_results,
    is_one_from_outside,
    is_one_of_another_patient,
    is_one_under_way,
    issuers_of,
)

logger = logging.getLogger(__name__)

SubOperations = Callable[[Sequence[StoredResult], Counts], Generator[None]]


class RetrieveAnswers:
    """Answers C-MOVE and C-GET requests.

    Parameters
    ----------
    settings
        Of the node: its AE title, and the AEs that C-MOVE may send to.
    database
        Of the study log.
    store
        Where the results are.
    places
        To be served in.
    """

    def __init__(
        self, settings: Settings, database: Database, store: Store, places: Places
    ) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._places = places

    def move(self, event: evt.Event) -> Iterator[Any]:
        """Serve one C-MOVE request.

        Parameters
        ----------
        event
            ``EVT_C_MOVE`` of a `StorageAssociation`.

        Yields
        ------
        response
            Each as a primitive of pynetdicom, the last one included.
        """

        def begin() -> SubOperations:
            to = self._destination_of(event)
            return lambda results, counts: by_move(results, self._store, counts, to=to)

        return self._answer(event, begin)

    def get(self, event: evt.Event) -> Iterator[Any]:
        """Serve one C-GET request; see `move`."""

        def begin() -> SubOperations:
            return lambda results, counts: by_get(
                results, self._store, counts, association=event.assoc
            )

        return self._answer(event, begin)

    def _destination_of(self, event: evt.Event) -> Retriever:
        request: Any = event.request
        found = self._settings.move_destination(str(request.MoveDestination).strip())
        if found is None:
            raise RefusedQuery(
                status=MOVE_DESTINATION_UNKNOWN, reason="no such AE title in the node's settings"
            )
        destination, delivery = found
        return Retriever(
            destination=destination,
            delivery=delivery,
            originator=Originator(
                ae_title=event.assoc.requestor.ae_title.strip(), message_id=request.MessageID
            ),
            calling_ae_title=self._settings.receive.ae_title,
        )

    def _answer(self, event: evt.Event, begin: Callable[[], SubOperations]) -> Iterator[Any]:
        """Serve a request; whatever is asked, there is an answer and one log line."""
        try:
            request: Any = event.request
            root = Root.of(request.AffectedSOPClassUID)
            level, keys = read_unique_keys(read_identifier(event), root)
            sub_operations = begin()
            with self._places.taken() as is_taken:
                _require(is_taken)
                results = self._results_meant(level, keys)
                served = _Served(event, level, Counts(total=len(results)))
                try:
                    yield from served.responses(sub_operations(results, served.counts))
                finally:  # also when the peer is gone, and nobody asks for the next response
                    served.log()
        except RefusedQuery as refused:
            status, _ = refusal(event, refused)
            yield response(event, status)
        except Exception:  # the peer waits for an answer, whatever went wrong
            logger.exception("Retrieval failed", extra={"event": "retrieval_failed"})
            status, _ = refusal(event, error_of_the_node())
            yield response(event, status)

    def _results_meant(self, level: Level, keys: ResultKeys) -> tuple[StoredResult, ...]:
        """Find what is to be sent; say why there is nothing, where there is a reason.

        Raises
        ------
        RefusedQuery
            If there are too many, or none for a reason: no match at all is a success (PS3.4
            C.4.2.3.1).
        """
        try:
            with self._database.reading() as session:
                if keys.patient_id and len(issuers_of(session, keys)) > 1:
                    raise RefusedQuery(
                        status=UNABLE_TO_PROCESS,
                        reason="several patients of this ID: add Issuer of Patient ID",
                    )
                results = find_results(session, keys, limit=MAX_SUB_OPERATIONS + 1)
                if not results and is_one_under_way(session, keys):
                    raise RefusedQuery(
                        status=UNABLE_TO_PERFORM,
                        reason="results are not ready yet: ask later",
                    )
                if not results and is_one_of_another_patient(session, keys):
                    raise RefusedQuery(
                        status=UNABLE_TO_PERFORM,
                        reason="results name the patient as before a correction",
                    )
                if not results and level >= Level.SERIES and is_one_from_outside(session, keys):
                    raise RefusedQuery(
                        status=UNABLE_TO_PERFORM,
                        reason="only results are given: ask the archive for images",
                    )
        except SQLAlchemyError as error:
            logger.exception("Study log does not answer", extra={"event": "retrieval_failed"})
            raise RefusedQuery(
                status=UNABLE_TO_COUNT_MATCHES, reason="the study log does not answer now"
            ) from error
        if len(results) > MAX_SUB_OPERATIONS:
            raise RefusedQuery(
                status=UNABLE_TO_COUNT_MATCHES, reason=f"more than {MAX_SUB_OPERATIONS} objects"
            )
        return results


class _Served:
    """A retrieval that is being served: its responses, and how far it came, for the log."""

    def __init__(self, event: evt.Event, level: Level, counts: Counts) -> None:
        self._event = event
        self._level = level
        self._begun_at_s = time.monotonic()
        self._outcome = "the association ended"
        self.counts = counts

    def responses(self, sub_operations: Generator[None]) -> Iterator[Any]:
        """Do the sub-operations, with a response before each, and a last one."""
        counts = self.counts
        with closing(sub_operations):
            while counts.remaining:
                yield response(self._event, status_of(PENDING), counts)
                next(sub_operations)
                if counts.remaining and self._event.is_cancelled:
                    break
        self._outcome = "cancelled" if counts.remaining else "answered"
        last = CANCELLED if counts.remaining else final_status(counts)
        yield response(self._event, status_of(last), counts)

    def log(self) -> None:
        """Write the line; no value of an attribute of the patient."""
        request: Any = self._event.request
        move_destination = getattr(request, "MoveDestination", None)
        logger.info(
            "Retrieval answered",
            extra={
                "event": "retrieval_answered",
                **peer(self._event.assoc),
                "model": Root.of(request.AffectedSOPClassUID).value,
                "level": self._level.name,
                "move_destination": None if move_destination is None else str(move_destination),
                "completed": self.counts.completed,
                "warnings": self.counts.warnings,
                "failed": len(self.counts.failed),
                "remaining": self.counts.remaining,
                "outcome": self._outcome,
                "duration_ms": since_ms(self._begun_at_s),
            },
        )


def _require(is_taken: bool) -> None:  # the answer of a context manager
    if not is_taken:
        raise RefusedQuery(status=UNABLE_TO_PERFORM, reason="too many retrievals at the same time")
