"""Storage Commitment Push Model, as SCU (PS3.4 Annex J): the request, and reading the report.

What the report comes to is written down elsewhere (`commitment_log`): it may come over the
association of the request, or over a new one to the node's own SCP, where the archive asks for the
SCP role (PS3.4 J.3.3, PS3.7 D.3.3.4).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context

from node.delivery.association import associated
from node.delivery.statuses import StatusClass, classify_status, meaning_of
from node.errors import PermanentError, TransientError
from node.settings import DeliverySettings, DestinationSettings

STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
"""Storage Commitment Push Model SOP Class, PS3.4 J.5."""
WELL_KNOWN_INSTANCE = UID("1.2.840.10008.1.20.1.1")
"""Its one SOP Instance, PS3.4 J.3.5."""
REQUEST_STORAGE_COMMITMENT = 1
"""Action Type ID, PS3.4 Table J.3-1."""
ALL_COMMITTED = 1
FAILURES_EXIST = 2
"""Event Type IDs, PS3.4 Table J.3-2."""

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT_VALUE = 0x0115
"""Statuses that a report is answered with, PS3.7 C."""


class Remedy(StrEnum):
    """What follows when an archive does not commit itself to an object."""

    SEND_AGAIN = "sent again, then asked for again"
    ASK_AGAIN = "asked for again"
    GIVE_UP = "given up until a person asks for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRule:
    """A Failure Reason (0008,1197) with its meaning in PS3.3 C.14.1.1, and what follows."""

    reason: int
    meaning: str
    remedy: Remedy


FAILURE_RULES = (
    FailureRule(reason=0x0110, meaning="Processing failure", remedy=Remedy.SEND_AGAIN),
    FailureRule(reason=0x0112, meaning="No such object instance", remedy=Remedy.SEND_AGAIN),
    FailureRule(reason=0x0213, meaning="Resource limitation", remedy=Remedy.SEND_AGAIN),
    FailureRule(reason=0x0122, meaning="Referenced SOP Class not supported", remedy=Remedy.GIVE_UP),
    FailureRule(reason=0x0119, meaning="Class/instance conflict", remedy=Remedy.GIVE_UP),
    FailureRule(reason=0x0131, meaning="Duplicate transaction UID", remedy=Remedy.ASK_AGAIN),
)
"""Every Failure Reason that PS3.3 C.14.1.1 gives."""


def failure_rule(reason: int) -> FailureRule:
    """Say what a Failure Reason means; one that the standard does not give is sent again."""
    for rule in FAILURE_RULES:
        if rule.reason == reason:
            return rule
    return FailureRule(
        reason=reason, meaning="Not a reason of the Standard", remedy=Remedy.SEND_AGAIN
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object that commitment is asked for."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an archive says of one request.

    Attributes
    ----------
    transaction_uid
        Transaction UID (0008,1195) of the request.
    committed
        SOP Instance UIDs that it keeps.
    failed
        Failure Reason (0008,1197) by SOP Instance UID.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


def request_commitment(
    references: Sequence[Reference],
    destination: DestinationSettings,
    *,
    transaction_uid: str,
    calling_ae_title: str,
    delivery: DeliverySettings,
    take_report: Callable[[Report], bool],
    wait_for_report: Callable[[], object],
) -> None:
    """Ask an archive to commit itself to keeping objects (N-ACTION, PS3.4 J.3.2).

    Parameters
    ----------
    references
        What is asked for.
    destination
        The archive.
    transaction_uid
        Never used before.
    calling_ae_title
        The node's own AE title.
    delivery
        Its time-outs count.
    take_report
        Takes a report that comes over this same association, and says whether its request is
        known; called from another thread.
    wait_for_report
        Called once the request is accepted: the association is held until it returns.

    Raises
    ------
    TransientError
        If no association could be had, no answer came, or one that may be another later.
    PermanentError
        If the archive offers no storage commitment, or refuses the request for good.
    """
    answers = _Answers(take_report)
    with associated(
        destination,
        [build_context(STORAGE_COMMITMENT)],
        calling_ae_title=calling_ae_title,
        delivery=delivery,
        evt_handlers=[
            (evt.EVT_N_EVENT_REPORT, answers.answer),
            (evt.EVT_PDU_SENT, answers.note_sent),
        ],
    ) as association:
        if not association.accepted_contexts:
            raise PermanentError(
                reason=f"{destination.ae_title} accepts no Storage Commitment Push Model: allow it "
                'there, or set confirm = "query" or "none"'
            )
        try:
            response, _ = association.send_n_action(
                _action_information(references, transaction_uid),
                REQUEST_STORAGE_COMMITMENT,
                STORAGE_COMMITMENT,
                WELL_KNOWN_INSTANCE,
            )
        except RuntimeError:  # the association ended at this very moment
            response = Dataset()
        if "Status" not in response:
            raise TransientError(
                reason=f"{destination.ae_title} gave no answer to the request for storage "
                "commitment: the association ended or timed out"
            )
        status = int(response.Status)
        status_class = classify_status(status)
        if not status_class.is_acknowledged:
            reason = (
                f"{destination.ae_title} answered the request for storage commitment with "
                f"0x{status:04X} ({meaning_of(status)})"
            )
            if status_class is StatusClass.TRANSIENT:
                raise TransientError(reason=reason)
            raise PermanentError(reason=reason)
        wait_for_report()
        answers.wait_until_sent(delivery.network_timeout_s)


class _Answers:
    """Answers to reports over the association of the request, which is not released before them.

    After a request for release nothing may be sent (PS3.8 9.2, Sta7): an answer that came later
    would never reach the archive, and end the thread that the answer to the release is read by.

    Parameters
    ----------
    take_report
        As for `request_commitment`.
    """

    def __init__(self, take_report: Callable[[Report], bool]) -> None:
        self._take_report = take_report
        self._is_sent = threading.Event()
        self._is_sent.set()

    def answer(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Answer a report."""
        self._is_sent.clear()
        return answer_report(event, self._take_report)

    def note_sent(self, event: evt.Event) -> None:
        """Note that a message has gone out, which is the answer if one is due."""
        if isinstance(event.pdu, P_DATA_TF):
            self._is_sent.set()

    def wait_until_sent(self, timeout_s: float) -> None:
        """Wait for the answer to a report that has come, if one has."""
        self._is_sent.wait(timeout_s)


def answer_report(
    event: evt.Event, take_report: Callable[[Report], bool]
) -> tuple[int, Dataset | None]:
    """Answer an N-EVENT-REPORT request (PS3.4 J.3.3), once what it says is written down.

    Parameters
    ----------
    event
        Of pynetdicom.
    take_report
        Writes the report down, and says whether its request is known.

    Returns
    -------
    status, event_reply
        Of the response. A report of a request that nobody made, or that was made to another, has
        an invalid argument value.
    """
    if event.event_type not in (ALL_COMMITTED, FAILURES_EXIST):
        return NO_SUCH_EVENT_TYPE, None
    report = _read_report(event.event_information)
    if report is None or not take_report(report):
        return INVALID_ARGUMENT_VALUE, None
    return SUCCESS, None


def _action_information(references: Sequence[Reference], transaction_uid: str) -> Dataset:
    """Write what the request holds, PS3.4 Table J.3-1."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    ds.ReferencedSOPSequence = []
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        ds.ReferencedSOPSequence.append(item)
    return ds


def _read_report(ds: Dataset) -> Report | None:
    """Read what the report holds, PS3.4 Table J.3-2; None if it is not of a request."""
    if not ds.get("TransactionUID"):
        return None
    return Report(
        transaction_uid=str(ds.TransactionUID),
        committed=frozenset(
            str(item.get("ReferencedSOPInstanceUID", ""))
            for item in ds.get("ReferencedSOPSequence") or ()
        ),
        failed={
            str(item.get("ReferencedSOPInstanceUID", "")): int(
                item.get("FailureReason") or PROCESSING_FAILURE
            )
            for item in ds.get("FailedSOPSequence") or ()
        },
    )
