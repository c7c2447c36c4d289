"""The far PACS: a real Storage and Verification SCP on the loopback that records what it gets."""

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from node.header import dataset_offset

DEADLINE_S = 30.0
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
NO_SUCH_OBJECT_INSTANCE = 0x0112
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Of Storage Commitment Push Model, PS3.4 J.3.5."""


class Mood(StrEnum):
    """How a PACS is for the length of one association.

    REFUSING: it rejects the association as transient. FULL: it answers 0xA700. ABORTING: it aborts
    in place of an answer. SILENT: it says nothing for `SILENCE_S`, and aborts. SLOW: its answers
    take `SLOWNESS_S`. CLOSING: it aborts after each answer.
    """

    WELL = "well"
    REFUSING = "refusing"
    FULL = "full"
    ABORTING = "aborting"
    SILENT = "silent"
    SLOW = "slow"
    CLOSING = "closing"


SILENCE_S = 15.0
SLOWNESS_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsTo:
    """How a PACS reports on storage commitment.

    Attributes
    ----------
    way
        "same association", "new association" or "never".
    port, ae_title
        Of the SCU, for a new association.
    proposes_role
        Whether it proposes the SCP role for a new association.
    status
        Of its N-ACTION response.
    """

    way: str = "never"
    port: int = 0
    ae_title: str = "MAMMONODE"
    proposes_role: bool = True
    status: int = SUCCESS


@dataclass(kw_only=True)
class LoopbackPACS:
    """A PACS that runs in this process.

    Attributes
    ----------
    received
        Every data set that was answered with success or a warning, in order.
    keeps_received
        Whether data sets are kept there; for hours of them there is no room.
    contents
        The data sets of C-STORE requests as they came, encoded, by SOP Instance UID.
    originators
        Move Originator AE title and Message ID of every C-STORE request, in order.
    requests
        SOP Instance UID and status of every C-STORE request, in order.
    statuses
        What to answer, by SOP Instance UID; others by `status`.
    status
        What to answer otherwise. Statuses of failure file nothing.
    delay_s
        How long each answer takes.
    aborts_on
        SOP Instance UIDs that it answers with an A-ABORT.
    ends_after
        It aborts each association after so many answers, 0: at once; None: it does not.
    moods
        How it is, association by association; when they have run out, and if None, it is well.
        FULL, ABORTING, SILENT and SLOW begin after as many answers as the number beside the mood.
    mood_counts
        How many associations met it in each mood.
    associations
        How many it has accepted.
    not_listed
        SOP Instance UIDs that C-FIND does not find, though they were received.
    query_delay_s
        How long it takes over each C-FIND.
    query_status
        What it answers each C-FIND with; 0: the matches.
    queries
        SOP Instance UIDs of each C-FIND request, in order.
    not_committed
        Failure Reason (0008,1197) by SOP Instance UID; the others are committed if they are here.
    reports_to
        How it reports on storage commitment.
    transactions
        Transaction UID and SOP Instance UIDs of each request for storage commitment, in order.
    report_statuses
        Statuses that its N-EVENT-REPORT requests were answered with; None where none came.
    """

    ae_title: str = "PACS"
    port: int = 0
    status: int = SUCCESS
    delay_s: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    aborts_on: set[str] = field(default_factory=set)
    ends_after: int | None = None
    moods: Iterator[tuple[Mood, int]] | None = None
    mood_counts: Counter[Mood] = field(default_factory=Counter)
    associations: int = 0
    not_listed: set[str] = field(default_factory=set)
    query_delay_s: float = 0.0
    query_status: int = SUCCESS
    queries: list[list[str]] = field(default_factory=list)
    not_committed: dict[str, int] = field(default_factory=dict)
    reports_to: "ReportsTo" = field(default_factory=lambda: ReportsTo())
    transactions: list[tuple[str, list[str]]] = field(default_factory=list)
    report_statuses: list[int | None] = field(default_factory=list)
    received: list[Dataset] = field(default_factory=list)
    keeps_received: bool = True
    contents: dict[str, bytes] = field(default_factory=dict)
    originators: list[tuple[str | None, int | None]] = field(default_factory=list)
    requests: list[tuple[str, int]] = field(default_factory=list)
    calling_ae_titles: list[str] = field(default_factory=list)
    _answered: dict[Association, int] = field(default_factory=dict)
    _mood_in: dict[Association, tuple[Mood, int]] = field(default_factory=dict)
    _to_report: dict[Association, tuple[str, list[str]]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, *, deadline_s: float = DEADLINE_S) -> list[Dataset]:
        """Wait until so many data sets were received, and return them.

        Raises
        ------
        TimeoutError
            If they do not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.received) >= count, deadline_s):
                message = f"expected {count} data sets, got {len(self.received)}: {self.requests}"
                raise TimeoutError(message)
            return list(self.received)

    def wait_for_requests(self, count: int, *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until so many C-STORE requests were answered, whatever the status."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, deadline_s):
                message = f"expected {count} requests, got {self.requests}"
                raise TimeoutError(message)

    def of_class(self, sop_class_uid: str) -> list[Dataset]:
        """Give the data sets of one SOP class that were received."""
        with self._changed:
            return [ds for ds in self.received if ds.SOPClassUID == sop_class_uid]

    def wait_for_reports(self, count: int, *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until so many reports on storage commitment were answered."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.report_statuses) >= count, deadline_s):
                message = f"expected {count} reports, got {self.report_statuses}"
                raise TimeoutError(message)

    def report(self, transaction_uid: str, uids: Iterable[str], assoc: Association) -> None:
        """Report on storage commitment over an association, as the SCP (PS3.4 J.3.3)."""
        with self._changed:
            here = {str(ds.SOPInstanceUID): str(ds.SOPClassUID) for ds in self.received}
            failures = dict(self.not_committed)
        ds = Dataset()
        ds.TransactionUID = transaction_uid
        ds.ReferencedSOPSequence, failed = [], []
        for uid in uids:
            item = Dataset()
            item.ReferencedSOPClassUID = here.get(uid, SECONDARY_CAPTURE)
            item.ReferencedSOPInstanceUID = uid
            if uid in here and uid not in failures:
                ds.ReferencedSOPSequence.append(item)
            else:
                item.FailureReason = failures.get(uid, NO_SUCH_OBJECT_INSTANCE)
                failed.append(item)
        if failed:
            ds.FailedSOPSequence = failed
        response, _ = assoc.send_n_event_report(
            ds, 2 if failed else 1, StorageCommitmentPushModel, WELL_KNOWN_INSTANCE
        )
        with self._changed:
            self.report_statuses.append(response.get("Status"))
            self._changed.notify_all()

    def report_anew(self, transaction_uid: str, uids: Iterable[str]) -> None:
        """Report over a new association to the SCU, proposing the SCP role or nothing."""
        to = self.reports_to
        ae = AE(ae_title=self.ae_title)
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        assoc = ae.associate(
            "127.0.0.1", to.port, ae_title=to.ae_title, ext_neg=[role] if to.proposes_role else []
        )
        assert assoc.is_established
        assert assoc.accepted_contexts
        try:
            for context in assoc.accepted_contexts:
                context._as_scp = True  # for a peer that sends without having asked for the role
            self.report(transaction_uid, uids, assoc)
        finally:
            assoc.release()

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        ds = event.action_information
        with self._changed:
            uids = [str(item.ReferencedSOPInstanceUID) for item in ds.ReferencedSOPSequence]
            self.transactions.append((str(ds.TransactionUID), uids))
            self._changed.notify_all()
        return self.reports_to.status, None

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        keys = event.identifier
        assert keys.QueryRetrieveLevel == "IMAGE"
        if self.query_delay_s:
            threading.Event().wait(self.query_delay_s)
        uids = keys.SOPInstanceUID
        asked = [uids] if isinstance(uids, str) else [str(uid) for uid in uids]
        with self._changed:
            self.queries.append(asked)
            here = list(self.received)
        if self.query_status != SUCCESS:
            yield self.query_status, None
            return
        for ds in here:
            is_asked = (
                ds.SOPInstanceUID in asked
                and ds.StudyInstanceUID == keys.StudyInstanceUID
                and ds.SeriesInstanceUID == keys.SeriesInstanceUID
            )
            if is_asked and ds.SOPInstanceUID not in self.not_listed:
                match = Dataset()
                match.QueryRetrieveLevel = "IMAGE"
                match.StudyInstanceUID = ds.StudyInstanceUID
                match.SeriesInstanceUID = ds.SeriesInstanceUID
                match.SOPInstanceUID = ds.SOPInstanceUID
                yield 0xFF00, match

    def _before_answer(self, event: evt.Event) -> None:
        """Note that a report is to follow; pynetdicom calls this before the answer is sent."""
        is_accepted = self.reports_to.status == SUCCESS
        if type(event.message).__name__ == "N_ACTION_RSP" and is_accepted:
            self._to_report[event.assoc] = self.transactions[-1]

    def _before_accepting(self, event: evt.Event) -> None:
        """Be in a mood for the association that is asked for; it may be a refusal."""
        if self.moods is None:
            return
        assoc = event.assoc
        with self._changed:
            mood, after = next(self.moods, (Mood.WELL, 0))
            self.mood_counts[mood] += 1
            self._mood_in[assoc] = (mood, after)
        if mood is Mood.REFUSING:
            assoc.acse.send_reject(0x02, 0x01, 0x01)  # transient, by the user, no reason given
            assoc.kill()

    def _after_connection(self, event: evt.Event) -> None:
        """Forget the association that has ended."""
        with self._changed:
            self._mood_in.pop(event.assoc, None)
            self._answered.pop(event.assoc, None)

    def _show_mood(self, assoc: Association) -> int | None:
        """Do to an object what the mood is; None: it is taken as ever."""
        mood, after = self._mood_in.get(assoc, (Mood.WELL, 0))
        if self._answered.get(assoc, 0) < after:
            return None
        if mood is Mood.SLOW:
            threading.Event().wait(SLOWNESS_S)
        elif mood is Mood.FULL:
            return OUT_OF_RESOURCES
        elif mood in (Mood.ABORTING, Mood.SILENT):
            if mood is Mood.SILENT:
                threading.Event().wait(SILENCE_S)
            assoc.abort()
            return OUT_OF_RESOURCES  # which is not sent any more
        return None

    def _after_accepting(self, event: evt.Event) -> None:
        """Count the association, or end it at once."""
        with self._changed:
            self.associations += 1
        if self.ends_after == 0:
            threading.Thread(target=event.assoc.abort, daemon=True).start()

    def _after_pdu(self, event: evt.Event) -> None:
        """Report, or end the association after so many answers; each is one P-DATA-TF PDU."""
        assoc = event.assoc
        if not isinstance(event.pdu, P_DATA_TF):
            return
        transaction = self._to_report.pop(assoc, None)
        if transaction is not None and self.reports_to.way == "same association":
            arguments = (*transaction, assoc)
            threading.Thread(target=self.report, args=arguments, daemon=True).start()
        elif transaction is not None and self.reports_to.way == "new association":
            threading.Thread(target=self.report_anew, args=transaction, daemon=True).start()
        mood, _ = self._mood_in.get(assoc, (Mood.WELL, 0))
        self._answered[assoc] = self._answered.get(assoc, 0) + 1
        if mood is Mood.CLOSING or self._answered[assoc] == self.ends_after:
            threading.Thread(target=assoc.abort, daemon=True).start()

    def _store(self, event: evt.Event) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        if self.delay_s:
            threading.Event().wait(self.delay_s)
        if str(ds.SOPInstanceUID) in self.aborts_on:
            event.assoc.abort()
            return SUCCESS  # which is not sent any more
        refusal = self._show_mood(event.assoc)
        with self._changed:
            status = self.statuses.get(str(ds.SOPInstanceUID), self.status)
            if refusal is not None:
                status = refusal
            self.requests.append((str(ds.SOPInstanceUID), status))
            if self.keeps_received:
                self.contents[str(ds.SOPInstanceUID)] = encoded_dataset(event)
            request: Any = event.request
            self.originators.append(
                (request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID)
            )
            self.calling_ae_titles.append(event.assoc.requestor.ae_title.strip())
            if self.keeps_received and (status == SUCCESS or 0xB000 <= status <= 0xBFFF):
                self.received.append(ds)
            self._changed.notify_all()
        return status


def encoded_dataset(event: evt.Event) -> bytes:
    """Give the data set of a C-STORE request as it came.

    pynetdicom streams it to a file where a receiver of the node runs in this process.
    """
    if not _config.STORE_RECV_CHUNKED_DATASET:
        return event.encoded_dataset(include_meta=False)
    path = event.dataset_path
    return path.read_bytes()[dataset_offset(path) :]


@contextmanager
def loopback_pacs(
    *,
    ae_title: str = "PACS",
    status: int = SUCCESS,
    statuses: Mapping[str, int] | None = None,
    delay_s: float = 0.0,
    refused_sop_classes: Iterable[str] = (),
    transfer_syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
    max_associations: int = 100,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> Iterator[LoopbackPACS]:
    """Run a PACS as long as the block lasts.

    Parameters
    ----------
    status, statuses
        What it answers to C-STORE; see `LoopbackPACS`.
    delay_s
        How long each answer takes.
    refused_sop_classes
        SOP classes that it accepts no presentation context for.
    transfer_syntaxes
        Those that it stores objects in.
    max_associations
        Open at the same time; further ones are rejected as transient.
    tls
        To speak TLS; None: it does not.
    port
        0 for a free one; another to come back where it was.
    """
    pacs = LoopbackPACS(
        ae_title=ae_title, status=status, statuses=dict(statuses or {}), delay_s=delay_s
    )
    refused = set(refused_sop_classes)
    ae = AE(ae_title=ae_title)
    ae.require_called_aet = True
    ae.maximum_pdu_size = 0
    ae.maximum_associations = max_associations
    ae.add_supported_context(Verification)
    for sop_class in (StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind):
        if str(sop_class) not in refused:
            ae.add_supported_context(sop_class)
    for context in AllStoragePresentationContexts:
        if str(context.abstract_syntax) not in refused:
            ae.add_supported_context(str(context.abstract_syntax), list(transfer_syntaxes))
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_STORE, pacs._store),
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        (evt.EVT_C_FIND, pacs._find),
        (evt.EVT_N_ACTION, pacs._commit),
        (evt.EVT_DIMSE_SENT, pacs._before_answer),
        (evt.EVT_PDU_SENT, pacs._after_pdu),
        (evt.EVT_REQUESTED, pacs._before_accepting),
        (evt.EVT_ESTABLISHED, pacs._after_accepting),
        (evt.EVT_CONN_CLOSE, pacs._after_connection),
    ]
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=tls
    )
    assert server is not None
    pacs.port = server.server_address[1]
    try:
        yield pacs
    finally:
        server.shutdown()


@contextmanager
def silent_peer() -> Iterator[int]:
    """Listen as long as the block lasts, take every connection, and never say a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def association_to(
    port: int,
    datasets: Iterable[Dataset],
    *,
    called_ae_title: str = "MAMMONODE",
    calling_ae_title: str = "TESTSCU",
) -> Iterator[Association]:
    """Open an association that can send these data sets as they are encoded; release it."""
    ae = AE(ae_title=calling_ae_title)
    for sop_class, syntax in sorted(
        {(str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)) for ds in datasets}
    ):
        ae.add_requested_context(sop_class, syntax)
    ae.add_requested_context(Verification)
    assoc = ae.associate("127.0.0.1", port, ae_title=called_ae_title, max_pdu=0)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()


def send(port: int, datasets: Iterable[Dataset], **options: str) -> list[int]:
    """Send data sets over one association, and return the statuses; none where none came."""
    datasets = list(datasets)
    with association_to(port, datasets, **options) as assoc:
        assert assoc.is_established
        return [int(assoc.send_c_store(ds).get("Status", -1)) for ds in datasets]


def echo(port: int, *, called_ae_title: str = "MAMMONODE") -> bool:
    """Say whether C-ECHO is answered with success."""
    with association_to(port, [], called_ae_title=called_ae_title) as assoc:
        return assoc.is_established and assoc.send_c_echo().get("Status") == SUCCESS


def wait_until(
    is_so: Callable[[], bool], what: str, *, deadline_s: float = DEADLINE_S, step_s: float = 0.02
) -> None:
    """Look again and again until something is so.

    Raises
    ------
    TimeoutError
        If it is not so in time; `what` says what was waited for.
    """
    deadline = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() > deadline:
            message = f"waited {deadline_s:g} s for {what}"
            raise TimeoutError(message)
        time.sleep(step_s)


def files_below(folder: Path) -> list[Path]:
    """Give all files in a folder and its folders, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
