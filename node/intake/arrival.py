"""An instance that has arrived, and what every way of keeping it has to do."""

import errno
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset
from sqlalchemy import insert
from sqlalchemy.orm import Session

from node.store import Store
from node.study_log.tables import Event, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An instance that arrived whole, with sound UIDs.

    Attributes
    ----------
    header
        Everything before the pixel data.
    file
        Where it was received: a closed file on the store's file system.
    transfer_syntax_uid
        As negotiated, and as written in the file meta information.
    dataset_bytes, dataset_sha256
        Of the data set as sent, without the file meta information.
    received_at
        Aware UTC.
    """

    header: Dataset
    file: Path
    transfer_syntax_uid: str
    dataset_bytes: int
    dataset_sha256: str
    calling_ae_title: str
    called_ae_title: str
    received_at: datetime

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return str(self.header.StudyInstanceUID)

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""
        return str(self.header.SOPInstanceUID)


def require_file(store: Store, place: str) -> None:
    """Promise no file that is not there.

    Whoever deletes one does it in a transaction that looks for a promise first. So either that one
    came before this one, which sees it here, or it finds the row that is about to be written.
    """
    if not store.path(place).exists():
        raise FileNotFoundError(errno.ENOENT, "the file was deleted before its row was written")


def note(
    session: Session, study: Study, arrival: Arrival, event: str, **fields: str | int | None
) -> None:
    """Add an event to the study's story."""
    session.execute(
        insert(Event).values(
            study_id=study.id,
            at=arrival.received_at,
            event=event,
            fields={"sop_instance_uid": arrival.sop_instance_uid, **fields},
        )
    )
