"""A study log with one completed study whose results are to be delivered, and what delivers them.

Time stands still until a test moves it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from log_entries import add_delivery, study_entry
from node.delivery.commitment_log import CommitmentLog
from node.delivery.deliver import Deliverer
from node.errors import PermanentError, TransientError
from node.settings import DeliverySettings, DestinationSettings, ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Delivery, DeliveryObject, DeliveryState
from node.work_queue import DeliveryWork
from phantoms import mammogram, to_bytes

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OBJECTS = 5


@dataclass
class DeliveringNode:
    """A study log with one completed study whose results are to be delivered."""

    database: Database
    store: Store
    study_instance_uid: str
    uids: list[str]
    now: datetime = NOW

    def settings(self, port: int, *, max_attempts: int = 3, **destination: Any) -> Settings:
        """Give settings with one destination, named pacs."""
        facts: dict[str, Any] = {
            "name": "pacs",
            "ae_title": "PACS",
            "host": "127.0.0.1",
            "port": port,
            "profile": "ohif",
        }
        return Settings(
            data_dir=self.store.path("x").parent,
            receive=ReceiveSettings(port=0, low_watermark_bytes=0),
            destinations=(DestinationSettings.model_validate(facts | destination),),
            delivery=DeliverySettings(max_attempts=max_attempts, first_retry_s=30),
        )

    def deliverer(self, port: int, *, max_attempts: int = 3, **destination: Any) -> Deliverer:
        """Give what delivers to the destination."""
        return Deliverer(
            settings=self.settings(port, max_attempts=max_attempts, **destination),
            database=self.database,
            store=self.store,
            now=lambda: self.now,
        )

    def commitment_log(self, **destination: Any) -> CommitmentLog:
        """Give what any process of the node knows of storage commitment."""
        settings = self.settings(1, **{"confirm": "commitment", **destination})
        return CommitmentLog(settings=settings, database=self.database, now=lambda: self.now)

    def work(self, attempt: int = 1, destination: str = "pacs") -> DeliveryWork:
        """Name a try."""
        return DeliveryWork(
            study_instance_uid=self.study_instance_uid,
            revision=1,
            destination=destination,
            attempt=attempt,
        )

    def attempt(self, deliverer: Deliverer, attempt: int = 1) -> None:
        """Try as the worker loop does."""
        work = self.work(attempt)
        try:
            deliverer.deliver(work)
        except (TransientError, PermanentError) as error:
            deliverer.failed(work, error)

    def delivery(self) -> Delivery:
        """Read the delivery with its objects, their results, and its requests for commitment."""
        with self.database.reading() as session:
            return session.scalars(
                select(Delivery).options(
                    selectinload(Delivery.objects).selectinload(DeliveryObject.result),
                    selectinload(Delivery.commitment_requests),
                )
            ).one()

    def wait(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)


@contextmanager
def delivering_node(folder: Path, log: Database | None = None) -> Iterator[DeliveringNode]:
    """Make a study log with a completed study and its pending delivery to ``pacs``.

    Parameters
    ----------
    folder
        For the store.
    log
        An empty log with its tables; without it one in SQLite is made in the folder.
    """
    database = log or Database.open(Settings(data_dir=folder))
    if log is None:
        database.migrate()
    store = Store(folder)
    store.prepare()
    study = study_entry()
    revision = study.revisions[0]
    uids = []
    for number, result in enumerate(revision.results):
        ds = mammogram(
            seed=1,
            instance_number=number,
            rows=64,
            columns=48,
            study_instance_uid=study.study_instance_uid,
        )
        result.sop_class_uid = str(ds.SOPClassUID)
        result.sop_instance_uid = str(ds.SOPInstanceUID)
        result.series_instance_uid = str(ds.SeriesInstanceUID)
        uids.append(result.sop_instance_uid)
        store.keep_bytes(to_bytes(ds), result.path)
    delivery = add_delivery(revision, "pacs", DeliveryState.PENDING, statuses=(None,) * OBJECTS)
    delivery.attempt = 0
    delivery.ended_at = None
    with database.writing() as session:
        session.add(study)
    yield DeliveringNode(database, store, study.study_instance_uid, uids)
    database.close()
