"""A person looks at a running node from another process, and has things done again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from node.errors import UnknownStudy
from node.settings import Settings
from node.study_log.answers import StudyAnswer
from node.study_log.database import Database
from node.study_log.queries import read_study
from node.study_log.tables import DeliveryState, StudyState
from peers import loopback_pacs, send
from phantoms import screening_study
from serving import RunningNode, delivering_settings, running_node, wait_until
from validators import require_peer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

REFUSED = 0xC000
STUDY_DEADLINE_S = 240
"""The first study waits for TensorFlow's start."""


def mammonode(node: RunningNode, *arguments: str) -> Any:
    """Run a command beside the node, and read the JSON that it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "node", *arguments, "--json"],
        env={**os.environ, "MAMMONODE_DATA_DIR": str(node.data_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def study_of(node: RunningNode, study_instance_uid: str) -> StudyAnswer | None:
    """Read a study, if it is there already; cheaper than a command, to wait for something."""
    database = Database.open(Settings(data_dir=node.data_dir))
    try:
        with database.reading() as session:
            return read_study(session, study_instance_uid)
    except UnknownStudy:
        return None
    finally:
        database.close()


def deliveries(node: RunningNode, study_instance_uid: str) -> list[DeliveryState]:
    """Read the states of all deliveries of a study."""
    study = study_of(node, study_instance_uid)
    return [] if study is None else [each.state for each in study.deliveries]


def revisions(node: RunningNode, study_instance_uid: str) -> list[StudyState]:
    """Read the states of all revisions of a study."""
    study = study_of(node, study_instance_uid)
    return [] if study is None else [each.state for each in study.revisions]


def test_a_refused_delivery_is_retried_and_a_study_is_analysed_with_other_weights(
    tmp_path: Path, untrained_weights: Path
) -> None:
    from networks import write_untrained_weights

    other_weights = write_untrained_weights(tmp_path / "other", seed=11)
    views = screening_study()
    uid = str(views[0].StudyInstanceUID)
    with loopback_pacs(status=REFUSED) as pacs:
        settings = delivering_settings(
            weights=untrained_weights, pacs_ae_title="PACS", pacs_port=pacs.port
        )
        with running_node(tmp_path, settings) as node:
            assert send(node.port, views) == [0, 0, 0, 0]

            def answer() -> Any:
                return mammonode(node, "studies", "show", uid)

            wait_until(
                lambda: deliveries(node, uid) == [DeliveryState.FAILED],
                deadline_s=STUDY_DEADLINE_S,
                what="the delivery is given up",
            )
            refused = answer()
            assert refused["summary"]["state"] == "COMPLETED"
            assert refused["deliveries"][0]["statuses"] == [REFUSED]
            assert pacs.received == []

            pacs.status = 0x0000
            retried = mammonode(node, "studies", "retry", uid)
            assert retried["destinations"] == ["pacs"]
            first = pacs.wait_for(5, deadline_s=60)

            reanalysed = mammonode(
                node, "studies", "reanalyse", uid, "--weights", str(other_weights)
            )
            assert (reanalysed["revision"], reanalysed["attempt"]) == (2, 1)
            both = pacs.wait_for(10, deadline_s=STUDY_DEADLINE_S)
            wait_until(
                lambda: deliveries(node, uid) == [DeliveryState.COMPLETED] * 2,
                deadline_s=60,
                what="both deliveries are complete",
            )
            one, other = answer()["revisions"]

    assert one["weights_sha256"] != other["weights_sha256"]
    assert one["score"] != other["score"]
    (old_report,) = [ds for ds in first if ds.Modality == "SR"]
    (new_report,) = [ds for ds in both[5:] if ds.Modality == "SR"]
    replaced = new_report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert replaced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old_report.SOPInstanceUID
    assert len({ds.SOPInstanceUID for ds in both}) == 10


def test_an_analysis_is_canceled_while_a_worker_is_in_it_and_results_are_fetched_of_another(
    tmp_path: Path, untrained_weights: Path
) -> None:
    views = screening_study()
    uid = str(views[0].StudyInstanceUID)

    with loopback_pacs() as pacs:
        settings = delivering_settings(
            weights=untrained_weights, pacs_ae_title="PACS", pacs_port=pacs.port
        )
        with running_node(tmp_path, settings) as node:
            assert send(node.port, views) == [0, 0, 0, 0]
            # The first analysis of a node waits for the network to be loaded.
            wait_until(
                lambda: revisions(node, uid) == [StudyState.IN_PROGRESS],
                deadline_s=STUDY_DEADLINE_S,
                what="a worker has the study",
            )
            canceled = mammonode(node, "studies", "cancel", uid, "--reason", "a test")
            assert (canceled["state"], canceled["revisions"]) == ("CANCELED", [1])

            mammonode(node, "studies", "reanalyse", uid)
            pacs.wait_for(5, deadline_s=STUDY_DEADLINE_S)
            wait_until(
                lambda: deliveries(node, uid) == [DeliveryState.COMPLETED],
                deadline_s=60,
                what="the delivery is complete",
            )
            assert revisions(node, uid) == [StudyState.CANCELED, StudyState.COMPLETED]
            left_over = node.data_dir / "studies" / uid / "results" / "1"
            wait_until(
                lambda: not left_over.exists(),
                deadline_s=120,
                what="the clock deletes what the first analysis has left",
            )

            config = str(tmp_path / "node.toml")
            mammonode(node, "studies", "resend", uid, "--to", "pacs", "--config", config)
            pacs.wait_for(10, deadline_s=60)
            fetched = fetch(node, uid, tmp_path / "fetched")
            exported = mammonode(node, "studies", "export", uid, "--out", str(tmp_path / "out"))

    (study,) = exported["studies"]
    written = [name for name in study["files"] if name.endswith(".dcm")]
    assert {uid for uid, _ in pacs.requests} < fetched
    assert len(written) == len(fetched)


def fetch(node: RunningNode, study_instance_uid: str, folder: Path) -> set[str]:
    """Fetch the results of a study by DCMTK's getscu, and give their SOP Instance UIDs."""
    folder.mkdir()
    subprocess.run(
        [
            require_peer("getscu"), "--study", "--call", "MAMMONODE", "--bit-preserving",
            "--output-directory", folder, "--key", "QueryRetrieveLevel=STUDY",
            "--key", f"StudyInstanceUID={study_instance_uid}", "127.0.0.1", str(node.port),
        ],
        check=True,
        timeout=60,
    )  # fmt: skip
    return {str(dcmread(file).SOPInstanceUID) for file in folder.iterdir()}
