"""A study through a node whose log and queue are in a real PostgreSQL."""

from pathlib import Path
from textwrap import dedent

import pytest
from pydicom import dcmread
from pynetdicom import AE
from sqlalchemy import create_engine, text

from databases import PostgresqlLogs
from node.demo.pacs import AE_TITLE, FilingPacs
from node.study_log.tables import StudyState
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
