"""A study through a node whose log and queue are in a real PostgreSQL."""

import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest
from pydicom import dcmread
from pynetdicom import AE
from sqlalchemy import create_engine, select, text

from databases import PostgresqlLogs
from node.demo.pacs import AE_TITLE, FilingPacs
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.tables import Delivery, StudyState
from peers import send
from phantoms import screening_study
from serving import delivering_settings, running_node, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

STUDY_DEADLINE_S = 200


def test_a_study_is_analysed_and_delivered_on_postgresql(
    tmp_path: Path, untrained_weights: Path, postgresql_logs: PostgresqlLogs
) -> None:
    study = screening_study(seed=11)
    with (
        FilingPacs(tmp_path / "pacs", {}) as pacs,
        postgresql_logs.without_tables() as url,
    ):
        settings = f'[database]\nurl = "{url}"\n' + dedent(
            delivering_settings(
                weights=untrained_weights, pacs_ae_title=AE_TITLE, pacs_port=pacs.port
            )
        )
        with running_node(tmp_path, settings) as node:
            ae = AE()
            ae.add_requested_context(study[0].SOPClassUID, study[0].file_meta.TransferSyntaxUID)
            association = ae.associate("127.0.0.1", node.port, ae_title="MAMMONODE")
            statuses = [association.send_c_store(ds).Status for ds in study]
            association.release()
            wait_until(
                lambda: len(pacs.filed) >= 5, deadline_s=STUDY_DEADLINE_S, what="five results came"
            )
        modalities = sorted(dcmread(one.path).Modality for one in pacs.filed)
        engine = create_engine(url)
        with engine.connect() as connection:
            states = connection.execute(text("SELECT state FROM study")).scalars().all()
        engine.dispose()

    assert statuses == [0x0000] * 4
    assert modalities == ["OT", "OT", "OT", "OT", "SR"]
    assert states == [StudyState.COMPLETED]
    assert not (node.data_dir / "mammonode.sqlite").exists()


def test_a_node_goes_on_where_it_was_after_its_log_was_copied(
    tmp_path: Path, untrained_weights: Path, postgresql_logs: PostgresqlLogs
) -> None:
    """One study is analysed and waits for its PACS, of another one the first view is there."""
    study, other = screening_study(seed=12), screening_study(seed=13)
    log = Database.open(Settings(data_dir=tmp_path / "data"))

    def has_failed_try() -> bool:
        with log.reading() as session:
            return session.scalars(select(Delivery.reason)).first() not in (None, "")

    def settings(port: int) -> str:
        return dedent(
            delivering_settings(weights=untrained_weights, pacs_ae_title=AE_TITLE, pacs_port=port)
        )

    with running_node(tmp_path, settings(closed_port())) as node:
        statuses = send(node.port, study)
        wait_until(
            lambda: log.version() is not None and has_failed_try(),
            deadline_s=STUDY_DEADLINE_S,
            what="a delivery fails",
        )
        statuses += send(node.port, other[:1])
    log.close()
    with FilingPacs(tmp_path / "pacs", {}) as pacs, postgresql_logs.without_tables() as url:
        command = [sys.executable, "-m", "node", "database", "copy", "--to", url]
        subprocess.run([*command, "--config", str(tmp_path / "node.toml")], check=True)
        on_postgresql = f'[database]\nurl = "{url}"\n{settings(pacs.port)}'
        with running_node(tmp_path, on_postgresql) as node:
            statuses += send(node.port, other[1:])
            wait_until(
                lambda: len(pacs.filed) >= 10, deadline_s=STUDY_DEADLINE_S, what="ten results came"
            )
        modalities = Counter(dcmread(one.path).Modality for one in pacs.filed)

    assert statuses == [0x0000] * 8
    assert modalities == {"OT": 8, "SR": 2}


def closed_port() -> int:
    """Give a TCP port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
