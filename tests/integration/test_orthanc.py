"""A real Orthanc sends a study to a real node, and finds the results in the same study."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orthanc import AE_TITLE, Orthanc, running_orthanc
from phantoms import screening_study, to_bytes
from serving import RunningNode, delivering_settings, running_node, wait_until

pytestmark = pytest.mark.integration

STUDY_DEADLINE_S = 240
"""From the study sent to the results there: the first study waits for TensorFlow's start."""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


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
