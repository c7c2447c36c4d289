"""A data folder with pending work, left by the version before, opened by this one."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import select

from databases import PostgresqlLogs
from node.settings import DatabaseSettings, Settings
from node.study_log.database import Database, newest_version
from node.study_log.tables import Delivery, DeliveryState, Event, Revision, Study, StudyState
from older_version import (
    WORKFLOW_VERSION_BEFORE,
    WORKFLOW_VERSION_LONG_BEFORE,
    OlderDataFolder,
)
from peers import loopback_pacs
from serving import delivering_settings, running_node, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DEADLINE_S = 300


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """`[database] url` without tables; empty: SQLite in the data folder."""
    if request.param == "sqlite":
        yield ""
        return
    postgresql_logs: PostgresqlLogs = request.getfixturevalue("postgresql_logs")
    with postgresql_logs.without_tables() as url:
        yield url


def test_all_that_the_version_before_left_pending_ends_well(
    tmp_path: Path, untrained_weights: Path, url: str
) -> None:
    older = OlderDataFolder(tmp_path / "data", url=url)
    worker_slot = f"{socket.gethostname()}-1" if url else "worker-1"
    receiving = older.add_study(1, "RECEIVING")
    queued = older.add_study(2, "SCHEDULED")
    older.queue_analysis(queued, workflow_version=WORKFLOW_VERSION_LONG_BEFORE)
    between_steps = older.add_study(3, "IN PROGRESS")
    older.begin_analysis(
        between_steps,
        workflow_version=WORKFLOW_VERSION_BEFORE,
        worker_slot=worker_slot,
        first_step="analyse",
    )
    other_steps = older.add_study(4, "IN PROGRESS")
    older.begin_analysis(
        other_steps,
        workflow_version=WORKFLOW_VERSION_LONG_BEFORE,
        worker_slot=worker_slot,
        first_step="read",
    )
    undelivered = older.add_study(5, "COMPLETED")
    object_uid = older.queue_delivery(
        undelivered, "pacs", workflow_version=WORKFLOW_VERSION_LONG_BEFORE
    )
    analysed = {receiving, queued, between_steps, other_steps}

    with loopback_pacs() as pacs:
        settings = f'[database]\nurl = "{url}"\n' + dedent(
            delivering_settings(
                weights=untrained_weights, pacs_ae_title="PACS", pacs_port=pacs.port
            )
        )
        database = Database.open(
            Settings(data_dir=tmp_path / "data", database=DatabaseSettings(url=url))
        )

        def is_over() -> bool:
            with database.reading() as session:
                if database.version() != newest_version():
                    return False
                deliveries = session.scalars(select(Delivery.state)).all()
            return len(deliveries) == 5 and set(deliveries) == {DeliveryState.COMPLETED}

        with running_node(tmp_path, settings):
            wait_until(is_over, deadline_s=DEADLINE_S, what="five studies are delivered")
        arrived = Counter(str(ds.SOPInstanceUID) for ds in pacs.received)

    with database.reading() as session:
        studies = {s.study_instance_uid: s.state for s in session.scalars(select(Study))}
        revisions = session.scalars(select(Revision)).all()
        events = Counter(session.scalars(select(Event.event)))
    database.close()
    assert studies == dict.fromkeys((*analysed, undelivered), StudyState.COMPLETED)
    assert [(row.number, row.attempt, row.reason) for row in revisions] == [(1, 1, "")] * 5
    assert events["analysis_completed"] == 4
    assert arrived[object_uid] == 1
    # One score report and four heat maps of each study that was analysed.
    assert set(arrived.values()) == {1}
    assert len(arrived) == 4 * 5 + 1
