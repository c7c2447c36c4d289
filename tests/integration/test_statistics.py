"""A node that runs a few studies has their statistics in its log, and `mammonode stats` tells."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from manifests import made_up_reference
from model.image_statistics import image_statistics
from model.manifest import MANIFEST_FILE, read_manifest
from model.pixels import read_display
from model.preprocess import to_network_input
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.tables import Delivery, DeliveryState, InstanceOutcome
from peers import loopback_pacs, send
from phantoms import mammogram, screening_study, uid
from serving import RunningNode, delivering_settings, running_node, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

DEADLINE_S = 300


def stats(node: RunningNode, settings_file: Path) -> Any:
    """Ask beside the running node, as a person would."""
    ended = subprocess.run(
        [sys.executable, "-m", "node", "stats", "--json", "--config", str(settings_file)],
        env={name: value for name, value in os.environ.items() if name != "MAMMONODE_CONFIG"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert node.process.poll() is None
    return json.loads(ended.stdout)


def test_a_running_node_tells_what_came_what_became_of_it_and_what_its_pixels_are_like(
    tmp_path: Path, untrained_weights: Path
) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(untrained_weights, weights)
    manifest = read_manifest(weights).model_copy(update={"reference": made_up_reference()})
    (weights / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    views = [
        view
        for number in (1, 2)
        for view in screening_study(seed=number, study_instance_uid=uid("stats", number))
    ]
    raw = mammogram(
        seed=9, study_instance_uid=uid("stats", 3), PresentationIntentType="FOR PROCESSING"
    )

    with loopback_pacs() as pacs:
        settings = delivering_settings(weights=weights, pacs_ae_title="PACS", pacs_port=pacs.port)
        settings = settings.replace("view_set_quiet_s = 0.5", "view_set_quiet_s = 0.5\nquiet_s = 1")
        with running_node(tmp_path, settings) as node:
            assert set(send(node.port, [*views, raw])) == {0}
            database = Database.open(Settings(data_dir=node.data_dir))

            def delivered() -> int:
                with database.reading() as session:
                    states = session.scalars(select(Delivery.state)).all()
                return sum(state == DeliveryState.COMPLETED for state in states)

            wait_until(
                lambda: delivered() == 3, deadline_s=DEADLINE_S, what="three studies are delivered"
            )
            answer = stats(node, tmp_path / "node.toml")

    with database.reading() as session:
        outcomes = {
            row.instance.sop_instance_uid: row for row in session.scalars(select(InstanceOutcome))
        }
        for ds in views:
            row = outcomes[ds.SOPInstanceUID]
            network_input = to_network_input(read_display(ds), manifest.input_size_px)
            expected = asdict(image_statistics(network_input))
            assert {name: getattr(row, name) for name in expected} == pytest.approx(expected)
        unanalysed = outcomes[raw.SOPInstanceUID]
        assert (unanalysed.triage_reason, unanalysed.detail) == ("for processing", None)
    database.close()
    total = answer["total"]
    assert (total["studies"], total["images"], total["scored"], total["skipped"]) == (3, 9, 2, 1)
    assert {row["reason"]: row["count"] for row in answer["states"]} == {
        "COMPLETED": 2,
        "SKIPPED": 1,
    }
    assert answer["triage"] == [{"reason": "for processing", "count": 1}]
    latencies = {row["interval"]: row for row in answer["latencies"]}
    assert latencies["received to closed"]["studies"] == 3
    assert latencies["received to delivered"]["studies"] == 2
    assert 0 < latencies["received to delivered"]["p50_s"] < DEADLINE_S
    drift = answer["drift"]
    assert drift["weights_sha256"] == manifest.sha256
    assert {row["images"] for row in drift["statistics"]} == {8}
    assert {row["verdict"] for row in drift["statistics"]} == {"too few to say"}
