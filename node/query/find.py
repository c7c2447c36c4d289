"""The C-FIND SCP: Patient Root and Study Root over the study log, PS3.4 C.4.1."""

import logging
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from sqlalchemy.exc import SQLAlchemyError

from node.errors import RefusedQuery
from node.intake.answers import peer, since_ms
from node.intake.spool import StorageAssociation
from node.query.answer import answer_of
from node.query.identifier import Query, read_query
from node.query.levels import Level, Root
from node.query.places import Places
from node.query.request import error_of_the_node, read_identifier, refusal
from node.query.statuses import (
    CANCELLED,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_PARTLY_SUPPORTED,
)
from node.study_log.database import Database
from node.study_log.entities import (
    Found,
    find_instances,
    find_patients,
    find_series,
    find_studies,
)

logger = logging.getLogger(__name__)

ANSWERS_IN_A_TURN = 16
GIVE_WAY_S = 0.002
"""After a turn, so that whoever waits for the processor gets it: another query, or a C-STORE."""

Response = tuple[int | Dataset, Dataset | None]


class FindAnswers:
    """Answers C-FIND requests.

    Parameters
    ----------
    database
        Of the study log.
    places
        To be answered in.
    ae_title
        Of this node.
    """

    def __init__(self, database: Database, places: Places, *, ae_title: str) -> None:
        self._database = database
        self._places = places
        self._ae_title = ae_title
        self._turn = threading.Lock()

    def answer(self, event: evt.Event) -> Iterator[Response]:
        """Answer one C-FIND request; whatever is asked, there is an answer.

        Parameters
        ----------
        event
            ``EVT_C_FIND`` of a `StorageAssociation`.

        Yields
        ------
        status, identifier
            Of each response but the last one, which pynetdicom adds if all was answered.
        """
        begun_at_s = time.monotonic()
        try:
            request: Any = event.request
            query = read_query(read_identifier(event), Root.of(request.AffectedSOPClassUID))
            with self._places.taken() as is_taken:
                _require(is_taken)
                counted = _Counted(query, event, begun_at_s)
                try:
                    yield from self._responses(event, query, counted)
                except GeneratorExit:  # the peer is gone, and nobody asks for the next response
                    counted.outcome = counted.outcome or "the association ended"
                    raise
                finally:
                    counted.log()
        except RefusedQuery as refused:
            yield refusal(event, refused)
        except Exception:  # the peer waits for an answer; pynetdicom would log what the error says
            logger.exception("Query failed", extra={"event": "query_failed"})
            yield refusal(event, error_of_the_node())

    def _responses(self, event: evt.Event, query: Query, counted: "_Counted") -> Iterator[Response]:
        status = PENDING_PARTLY_SUPPORTED if query.is_partly_supported else PENDING
        assoc = cast("StorageAssociation", event.assoc)
        try:
            for lot in _in_lots(self._found(query)):
                assoc.wait_for_room()
                # One at a time: answers are made by Python alone, which what is received needs too.
                with self._turn:
                    for found in lot:
                        if event.is_cancelled:
                            counted.outcome = "cancelled"
                            yield CANCELLED, None
                            return
                        yield status, answer_of(found, query, ae_title=self._ae_title)
                        counted.answers += 1
                if len(lot) == ANSWERS_IN_A_TURN:
                    time.sleep(GIVE_WAY_S)
        except SQLAlchemyError as error:
            counted.outcome = type(error).__name__
            logger.exception("Study log does not answer", extra={"event": "query_failed"})
            raise RefusedQuery(
                status=OUT_OF_RESOURCES, reason="the study log does not answer now"
            ) from error
        counted.outcome = "answered"

    def _found(self, query: Query) -> Iterator[Found]:
        counts = query.needs_contents
        if query.level is Level.PATIENT:
            return find_patients(self._database, query.studies, with_contents=counts)
        if query.level is Level.STUDY:
            return find_studies(self._database, query.studies, with_contents=counts)
        find = find_series if query.level is Level.SERIES else find_instances
        return find(self._database, query.studies, query.holdings, with_contents=counts)


def _require(is_taken: bool) -> None:  # the answer of a context manager
    if not is_taken:
        raise RefusedQuery(status=OUT_OF_RESOURCES, reason="too many queries at the same time")


def _in_lots(found: Iterator[Found]) -> Iterator[list[Found]]:
    while lot := list(islice(found, ANSWERS_IN_A_TURN)):
        yield lot


class _Counted:
    """How far a query was answered, for its log line."""

    def __init__(self, query: Query, event: evt.Event, begun_at_s: float) -> None:
        self._query = query
        self._event = event
        self._begun_at_s = begun_at_s
        self.answers = 0
        self.outcome = ""

    def log(self) -> None:
        """Write the line; the names of keys, and none of their values."""
        logger.info(
            "Query answered",
            extra={
                "event": "query_answered",
                **peer(self._event.assoc),
                "model": self._query.root.value,
                "level": self._query.level.name,
                "matched_keys": list(self._query.matched),
                "answers": self.answers,
                "outcome": self.outcome or "failed",
                "duration_ms": since_ms(self._begun_at_s),
            },
        )
