"""The far PACS: a real Storage and Verification SCP on the loopback that records what it gets."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

DEADLINE_S = 30.0
SUCCESS = 0x0000


@dataclass(kw_only=True)
class LoopbackPACS:
    """A PACS that runs in this process.

    Attributes
    ----------
    received
        Every data set that was answered with success or a warning, in order.
    requests
        SOP Instance UID and status of every C-STORE request, in order.
    statuses
        What to answer, by SOP Instance UID; others by `status`.
    status
        What to answer otherwise. Statuses of failure file nothing.
    delay_s
        How long each answer takes.
    """

    ae_title: str = "PACS"
    port: int = 0
    status: int = SUCCESS
    delay_s: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    received: list[Dataset] = field(default_factory=list)
    requests: list[tuple[str, int]] = field(default_factory=list)
    calling_ae_titles: list[str] = field(default_factory=list)
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

    def _store(self, event: evt.Event) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        if self.delay_s:
            threading.Event().wait(self.delay_s)
        with self._changed:
            status = self.statuses.get(str(ds.SOPInstanceUID), self.status)
            self.requests.append((str(ds.SOPInstanceUID), status))
            self.calling_ae_titles.append(event.assoc.requestor.ae_title.strip())
            if status == SUCCESS or 0xB000 <= status <= 0xBFFF:
                self.received.append(ds)
            self._changed.notify_all()
        return status


@contextmanager
def loopback_pacs(
    *,
    ae_title: str = "PACS",
    status: int = SUCCESS,
    statuses: Mapping[str, int] | None = None,
    delay_s: float = 0.0,
    refused_sop_classes: Iterable[str] = (),
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
    ae.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        if str(context.abstract_syntax) not in refused:
            ae.add_supported_context(str(context.abstract_syntax), ExplicitVRLittleEndian)
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_C_STORE, pacs._store),
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
    ]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    pacs.port = server.server_address[1]
    try:
        yield pacs
    finally:
        server.shutdown()


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
