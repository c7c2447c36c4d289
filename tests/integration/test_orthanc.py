"""A real Orthanc sends a study to a real node, and finds the results in the same study."""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phantoms import screening_study, to_bytes
from serving import RunningNode, delivering_settings, running_node, wait_until
from validators import require_peer

pytestmark = pytest.mark.integration

AE_TITLE = "ORTHANC"
STUDY_DEADLINE_S = 240
"""From the study sent to the results there: the first study waits for TensorFlow's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc and its REST API."""

    http_port: int
    dicom_port: int

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> Any:
        """Send one request, and read the JSON that is answered."""
        url = f"http://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(url, data=body, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return json.loads(response.read() or b"null")

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.ask("/system")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def tags(self, study_id: str) -> list[dict[str, Any]]:
        """Read the attributes of every instance of a study, by keyword."""
        instances = self.ask(f"/studies/{study_id}/instances")
        return [self.ask(f"/instances/{one['ID']}/simplified-tags") for one in instances]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    program = require_peer("Orthanc")
    folder = tmp_path_factory.mktemp("orthanc")
    http_port, dicom_port = free_ports(2)
    settings = {
        "Name": "Test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "DicomAet": AE_TITLE,
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DefaultEncoding": "Latin1",
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    peer = Orthanc(http_port=http_port, dicom_port=dicom_port)
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [program, folder / "orthanc.json"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(
            lambda: process.poll() is not None or peer.is_up(), deadline_s=60, what="Orthanc is up"
        )
        assert process.poll() is None, (folder / "orthanc.log").read_text()
        yield peer
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def node(
    orthanc: Orthanc, untrained_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("node")
    settings = delivering_settings(
        weights=untrained_weights,
        pacs_ae_title=AE_TITLE,
        pacs_port=orthanc.dicom_port,
        allowed_ae_titles=[AE_TITLE],
    )
    with running_node(folder, settings) as running:
        address = ["MAMMONODE", "127.0.0.1", running.port]
        orthanc.ask("/modalities/mammonode", method="PUT", body=json.dumps(address).encode())
        yield running


def free_ports(count: int) -> list[int]:
    """Find free loopback ports; Orthanc cannot choose its own and say which."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def send_study(orthanc: Orthanc, **options: Any) -> str:
    """Put a study into Orthanc, have it sent to the node, and give Orthanc's id of it."""
    for ds in screening_study(**options):
        stored = orthanc.ask("/instances", method="POST", body=to_bytes(ds))
    study_id = str(stored["ParentStudy"])
    orthanc.ask("/modalities/mammonode/store", method="POST", body=study_id.encode())
    return study_id


def wait_for_results(orthanc: Orthanc, study_id: str) -> list[dict[str, Any]]:
    """Wait for a score report and four heat maps, and give what the study then holds."""
    wait_until(
        lambda: len(orthanc.ask(f"/studies/{study_id}/instances")) >= 9,
        deadline_s=STUDY_DEADLINE_S,
        what="nine instances in the study",
    )
    return orthanc.tags(study_id)


def test_results_sit_under_the_same_patient_and_study(orthanc: Orthanc, node: RunningNode) -> None:
    study_id = send_study(orthanc, seed=1)

    tags = wait_for_results(orthanc, study_id)

    originals = [one for one in tags if one["SOPClassUID"] == "1.2.840.10008.5.1.4.1.1.1.2"]
    reports = [one for one in tags if one["Modality"] == "SR"]
    heat_maps = [one for one in tags if one["SOPClassUID"] == "1.2.840.10008.5.1.4.1.1.7"]
    assert (len(originals), len(reports), len(heat_maps)) == (4, 1, 4)
    assert reports[0]["ConceptNameCodeSequence"][0]["CodeValue"] == "126001"
    sources = {one["SourceImageSequence"][0]["ReferencedSOPInstanceUID"] for one in heat_maps}
    assert sources == {one["SOPInstanceUID"] for one in originals}
    # Orthanc's ids are made of Patient ID and Study Instance UID: one difference is another id.
    assert len(orthanc.ask("/studies")) == len(orthanc.ask("/patients")) == 1


def test_a_name_in_latin_1_comes_back_as_it_went(orthanc: Orthanc, node: RunningNode) -> None:
    name = "Müller-Ångström^Zoë"
    study_id = send_study(orthanc, seed=2, SpecificCharacterSet="ISO_IR 100", PatientName=name)

    tags = wait_for_results(orthanc, study_id)

    assert {one["PatientName"] for one in tags} == {name}
    assert len({one["PatientID"] for one in tags}) == 1
