"""Many studies on their way to several destinations, through the real queue and clock."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import func, select

from log_entries import add_delivery, study_entry
from node.analysis.worker import AnalysisWorker
from node.delivery.deliver import Deliverer
from node.schedule import Clock
from node.service.work_role import WorkHandlers
from node.settings import DeliverySettings, DestinationSettings, Settings
from node.store import Store
from node.study_log.database import Database, database_url
from node.study_log.tables import Delivery, DeliveryState
from node.work_queue import WorkQueue
from peers import loopback_pacs, silent_peer, wait_until
from phantoms import mammogram, to_bytes

pytestmark = pytest.mark.integration

STUDIES = 8


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A log whose studies are all to go to two destinations."""
    database = Database.open(Settings(data_dir=tmp_path))
    database.migrate()
    store = Store(tmp_path)
    store.prepare()
    studies = [study_entry(number) for number in range(STUDIES)]
    for study in studies:
        for number, result in enumerate(study.revisions[0].results):
            ds = mammogram(
                instance_number=number,
                rows=16,
                columns=12,
                study_instance_uid=study.study_instance_uid,
            )
            result.sop_class_uid = str(ds.SOPClassUID)
            result.sop_instance_uid = str(ds.SOPInstanceUID)
            store.keep_bytes(to_bytes(ds), result.path)
        for destination in ("silent", "pacs"):
            row = add_delivery(
                study.revisions[0], destination, DeliveryState.PENDING, statuses=(None,) * 5
            )
            row.attempt, row.ended_at = 0, None
    with database.writing() as session:
        session.add_all(studies)
    yield database
    database.close()


def count(database: Database, destination: str, state: DeliveryState) -> int:
    with database.reading() as session:
        return (
            session.scalar(
                select(func.count(Delivery.id)).where(
                    Delivery.destination == destination, Delivery.state == state
                )
            )
            or 0
        )


def test_a_destination_that_is_silent_delays_no_other(database: Database, tmp_path: Path) -> None:
    with silent_peer() as silent_port, loopback_pacs() as pacs:
        ports = {"silent": silent_port, "pacs": pacs.port}
        settings = Settings(
            data_dir=tmp_path,
            destinations=tuple(
                DestinationSettings(
                    name=name, ae_title="PACS", host="127.0.0.1", port=port, profile="ohif"
                )
                for name, port in ports.items()
            ),
            delivery=DeliverySettings(acse_timeout_s=10, max_associations=2),
        )
        store = Store(tmp_path)
        queue = WorkQueue(database_url(settings), associations=settings.associations_by_destination)
        queue.migrate()
        clock = Clock(
            settings=settings,
            database=database,
            store=store,
            queue=queue,
            close_out=lambda: None,
            now=now,
        )
        handlers = WorkHandlers(
            AnalysisWorker(
                settings=settings,
                database=database,
                store=store,
                queue=queue,
                analyser_for=_no_analysis,
                now=now,
            ),
            Deliverer(settings=settings, database=database, store=store, now=now),
        )
        with queue.running("worker-1", handlers, stop_timeout_s=0):
            clock.start()
            wait_until(
                lambda: count(database, "pacs", DeliveryState.COMPLETED) == STUDIES,
                "everything is delivered to the one that answers",
                deadline_s=60,
            )
            silent = count(database, "silent", DeliveryState.COMPLETED)
            under_way = count(database, "silent", DeliveryState.IN_PROGRESS)
            clock.stop()
        queue.close()

    assert len(pacs.received) == 5 * STUDIES
    assert silent == 0
    assert under_way <= 2  # its own limit


def _no_analysis(weights: str) -> NoReturn:
    raise AssertionError(weights)
