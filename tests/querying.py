"""Whoever asks the node over DICOM: pynetdicom's client, and a receiver to be asked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from node.intake.contexts import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from node.intake.receive import Receiver
from node.query.serve import query_handlers
from node.settings import DestinationSettings, QuerySettings, ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database

PRIVATE_GROUP, CREATOR = 0x4D4D, "MAMMONODE 1.0"
SUCCESS, PENDING, PENDING_PARTLY_SUPPORTED = 0x0000, 0xFF00, 0xFF01


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a C-FIND request was answered with.

    Attributes
    ----------
    status
        Of the last response, with Error Comment and Offending Element where it has them.
    pending
        Statuses of the responses that carry an identifier.
    """

    status: Dataset
    pending: tuple[int, ...]
    identifiers: tuple[Dataset, ...]

    def values(self, keyword: str) -> list[Any]:
        """Give the value of one attribute from each identifier."""
        return [ds[keyword].value for ds in self.identifiers]


@contextmanager
def asked_node(
    database: Database,
    data_dir: Path,
    *,
    query: QuerySettings | None = None,
    destinations: Sequence[DestinationSettings] = (),
    **receive: Any,
) -> Iterator[Receiver]:
    """Run the receiver of a study log and all that answers queries, as long as the block lasts."""
    settings = Settings(
        data_dir=data_dir,
        receive=ReceiveSettings(port=0, **{"low_watermark_bytes": 0, **receive}),
        query=query or QuerySettings(),
        destinations=tuple(destinations),
    )
    store = Store(data_dir)
    receiver = Receiver(settings, database, store, query=query_handlers(settings, database, store))
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop(deadline_s=5)


@contextmanager
def querying(
    port: int, *, calling_ae_title: str = "READER", transfer_syntaxes: Sequence[str] = ()
) -> Iterator[Association]:
    """Open an association that can query by either model; release it."""
    ae = AE(ae_title=calling_ae_title)
    for sop_class in (STUDY_ROOT_FIND, PATIENT_ROOT_FIND):
        ae.add_requested_context(sop_class, list(transfer_syntaxes) or None)
    assoc = ae.associate("127.0.0.1", port, ae_title="MAMMONODE", max_pdu=0)
    try:
        yield assoc
    finally:
        if assoc.is_established:
            assoc.release()


def keys(level: str | list[str] | None = "STUDY", **values: Any) -> Dataset:
    """Make an identifier; None leaves a value empty."""
    ds = Dataset()
    for keyword, value in {"QueryRetrieveLevel": level, **values}.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        if keyword != "QueryRetrieveLevel" or level is not None:
            # What is wrong is to be sent, not to be warned of.
            ds.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
    return ds


def with_private(identifier: Dataset, block: int = 0x10, **values: Any) -> Dataset:
    """Add private keys, each by the two digits of its element, as in ``e0D``."""
    identifier.add_new(PRIVATE_GROUP << 16 | block, "LO", CREATOR)
    vrs = {0x01: "CS", 0x02: "CS", 0x06: "CS", 0x08: "LO", 0x0B: "AE", 0x0C: "DT"}
    for name, value in values.items():
        element = int(name[1:], 16)
        tag = PRIVATE_GROUP << 16 | block << 8 | element
        identifier.add_new(tag, vrs.get(element, "DS"), value)
    return identifier


def private(ds: Dataset, element: int, block: int = 0x10) -> Any:
    """Give the value of a private key that was answered."""
    return ds[PRIVATE_GROUP << 16 | block << 8 | element].value


def find(assoc: Association, identifier: Dataset, model: str = STUDY_ROOT_FIND) -> Answers:
    """Send one C-FIND request, and read all of its responses."""
    responses = list(assoc.send_c_find(identifier, model))
    status, _ = responses[-1]
    return Answers(
        status=status,
        pending=tuple(status.Status for status, _ in responses[:-1]),
        identifiers=tuple(ds for _, ds in responses[:-1] if ds is not None),
    )
