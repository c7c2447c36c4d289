"""A data folder for tests: log, store and queue, filled with phantoms without a network."""

import hashlib
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import select

from node.header import dataset_offset, read_header
from node.intake.admit import Admission, admit
from node.intake.arrival import Arrival
from node.settings import DatabaseSettings, Settings
from node.store import Store
from node.study_log.database import Database, database_url
from node.study_log.tables import Conflict, Instance, Study, StudyState
from node.work_queue import WorkQueue
from phantoms import mammogram, write

BEGIN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def phantom(**options: Any) -> Dataset:
    """Make a small mammogram, as `phantoms.mammogram` does."""
    return mammogram(rows=32, columns=24, **options)


class Bench:
    """A log and a store that instances are admitted to without a network."""

    def __init__(self, folder: Path, *, url: str = "", data: str = "data") -> None:
        self.settings = Settings(data_dir=folder / data, database=DatabaseSettings(url=url))
        self.database = Database.open(self.settings)
        self.database.migrate()
        self.store = Store(self.settings.data_dir)
        self.store.prepare()

    @cached_property
    def queue(self) -> WorkQueue:
        """Durable work, for those who queue any."""
        queue = WorkQueue(database_url(self.settings))
        queue.migrate()
        return queue

    def close(self) -> None:
        if "queue" in self.__dict__:
            self.queue.close()
        self.database.close()

    def admit(self, ds: Dataset, at: datetime = BEGIN) -> Admission:
        return admit(self.arrival(ds, at), database=self.database, store=self.store)

    def arrival(self, ds: Dataset, at: datetime = BEGIN) -> Arrival:
        file = write(ds, self.store.incoming)
        offset = dataset_offset(file)
        dataset = file.read_bytes()[offset:]
        return Arrival(
            header=read_header(
                file,
                transfer_syntax_uid=ds.file_meta.TransferSyntaxUID,
                dataset_offset=offset,
                max_dataset_bytes=10**8,
            ),
            file=file,
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            dataset_bytes=len(dataset),
            dataset_sha256=hashlib.sha256(dataset).hexdigest(),
            calling_ae_title="MODALITY",
            called_ae_title="MAMMONODE",
            received_at=at,
        )

    def study(self) -> Study:
        with self.database.reading() as session:
            return session.scalars(select(Study)).one()

    def events(self) -> list[str]:
        with self.database.reading() as session:
            return [event.event for event in session.scalars(select(Study)).one().events]

    def instances(self) -> list[Instance]:
        with self.database.reading() as session:
            return list(session.scalars(select(Instance).order_by(Instance.id)))

    def conflicts(self) -> list[Conflict]:
        with self.database.reading() as session:
            return list(session.scalars(select(Conflict).order_by(Conflict.id)))

    def set_state(self, state: StudyState) -> None:
        with self.database.writing() as session:
            session.scalars(select(Study)).one().state = state
