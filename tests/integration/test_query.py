"""Programs that others wrote ask the node: DCMTK's findscu, and Orthanc by its REST API."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from large_logs import fill_log, patient_id, study_instance_uid
from node.conformance import statement
from node.intake.receive import Receiver
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.tables import Study
from orthanc import Orthanc, running_orthanc
from querying import CREATOR, asked_node, private
from validators import require_peer

pytestmark = pytest.mark.integration

DICTIONARY = Path(__file__).parents[2] / "docs" / "mammonode.dic"
STUDIES = 200
NAME_IN_LATIN_1 = "Müller-Ångström^Zoë"
"""Orthanc as the tests set it up has no other letters."""
NAME_IN_CHINESE = "Wang^XiaoDong=王^小东"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    data_dir = tmp_path_factory.mktemp("data")
    database = Database.open(Settings(data_dir=data_dir))
    database.migrate()
    fill_log(database, STUDIES)
    with database.writing() as session:
        for number, name in ((5, NAME_IN_CHINESE), (7, NAME_IN_LATIN_1)):
            study = session.get(Study, number)
            assert study is not None
            study.patient_name = name
    with asked_node(database, data_dir) as receiver:
        yield receiver
    database.close()


def findscu(node: Receiver, folder: Path, *arguments: str) -> tuple[str, list[Dataset]]:
    """Ask with findscu; give what it says, and the identifiers that it was answered with."""
    dictionaries = [*sorted(Path("/usr/share").glob("libdcmtk*/dicom.dic"))[-1:], DICTIONARY]
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(
        [
            require_peer("findscu"), "-v", "-X", "-od", folder, "-aec", "MAMMONODE",
            "127.0.0.1", str(node.port), *arguments,
        ],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "DCMDICTPATH": ":".join(map(str, dictionaries))},
    )  # fmt: skip
    answers: list[Dataset] = [dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]
    return ended.stdout + ended.stderr, answers


def as_keys(*keys: str) -> list[str]:
    return [part for key in keys for part in ("-k", key)]


def test_findscu_asks_at_every_level_of_study_root(node: Receiver, tmp_path: Path) -> None:
    uid = study_instance_uid(9)
    study = f"StudyInstanceUID={uid}"

    _, studies = findscu(
        node, tmp_path / "studies", "-S",
        *as_keys("QueryRetrieveLevel=STUDY", f"PatientID={patient_id(9)}", "StudyInstanceUID"),
    )  # fmt: skip
    _, series = findscu(
        node, tmp_path / "series", "-S",
        *as_keys("QueryRetrieveLevel=SERIES", study, "SeriesInstanceUID", "Modality"),
    )  # fmt: skip
    _, images = findscu(
        node, tmp_path / "images", "-S",
        *as_keys(
            "QueryRetrieveLevel=IMAGE", study, f"SeriesInstanceUID={uid}.1", "SOPInstanceUID"
        ),
    )  # fmt: skip

    assert [ds.StudyInstanceUID for ds in studies] == [study_instance_uid(10), uid]
    assert {ds.Modality for ds in series} >= {"MG", "SR"}
    assert {ds.SOPInstanceUID for ds in images} >= {f"{uid}.1.{index}" for index in range(1, 5)}


def test_findscu_asks_in_patient_root(node: Receiver, tmp_path: Path) -> None:
    _, patients = findscu(
        node, tmp_path, "-P",
        *as_keys("QueryRetrieveLevel=PATIENT", "PatientID=P000000?", "PatientName"),
    )  # fmt: skip

    assert [ds.PatientID for ds in patients] == [f"P000000{number}" for number in range(1, 10)]


def test_findscu_is_answered_in_the_character_set_that_a_name_needs(
    node: Receiver, tmp_path: Path
) -> None:
    _, answers = findscu(
        node, tmp_path, "-S",
        *as_keys(
            "SpecificCharacterSet=ISO_IR 192", "QueryRetrieveLevel=STUDY", "PatientName=王^小*",
        ),
    )  # fmt: skip

    (answer,) = answers
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert str(answer.PatientName) == NAME_IN_CHINESE


def test_findscu_ends_a_long_answer(node: Receiver, tmp_path: Path) -> None:
    said, answers = findscu(
        node, tmp_path, "-S", "--cancel", "5", *as_keys("QueryRetrieveLevel=STUDY", "PatientName")
    )

    assert "Cancel" in said
    assert 5 <= len(answers) < STUDIES


def test_findscu_is_told_why_it_is_refused(node: Receiver, tmp_path: Path) -> None:
    said, answers = findscu(
        node, tmp_path, "-S", "-d", *as_keys("QueryRetrieveLevel=SERIES", "SeriesInstanceUID")
    )

    assert answers == []
    assert "SERIES level: one StudyInstanceUID" in said


def examples() -> list[list[str]]:
    """Give the arguments behind host and port of every findscu of the conformance statement."""
    text = statement().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("findscu ")]
    return [shlex.split(line.split(" 11112 ")[1]) for line in lines]


def test_the_examples_of_the_statement_are_understood(node: Receiver, tmp_path: Path) -> None:
    for number, arguments in enumerate(examples()):
        said, answers = findscu(node, tmp_path / str(number), "-S", *arguments)

        assert "Success" in said
        assert "WarningUnsupportedOptionalKeys" not in said
        assert all(answer[0x4D4D, 0x0010].value == CREATOR for answer in answers)
    assert number == 2


def test_findscu_matches_private_attributes(node: Receiver, tmp_path: Path) -> None:
    _, answers = findscu(
        node, tmp_path, "-S",
        *as_keys(
            "QueryRetrieveLevel=STUDY", "StudyInstanceUID", f"4d4d,0010={CREATOR}",
            "4d4d,1001=COMPLETED", "4d4d,1002", "4d4d,1003", "4d4d,1006=SUSPICIOUS",
            "4d4d,100d=0.6",
        ),
    )  # fmt: skip

    assert answers
    assert {private(ds, 0x06) for ds in answers} == {"SUSPICIOUS"}
    assert {private(ds, 0x02) for ds in answers} == {"READY"}
    assert min(float(private(ds, 0x03)) for ds in answers) >= 0.6


@pytest.fixture(scope="module")
def orthanc(node: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        address = ["MAMMONODE", "127.0.0.1", node.port]
        peer.ask("/modalities/mammonode", method="PUT", body=json.dumps(address).encode())
        yield peer


def ask_by_orthanc(orthanc: Orthanc, level: str, query: dict[str, str]) -> list[dict[str, Any]]:
    body = json.dumps({"Level": level, "Query": query}).encode()
    asked = orthanc.ask("/modalities/mammonode/query", method="POST", body=body)
    answers = orthanc.ask(f"{asked['Path']}/answers")
    return [
        orthanc.ask(f"{asked['Path']}/answers/{each}/content?simplify=true") for each in answers
    ]


def test_orthanc_asks_for_studies_series_and_instances(orthanc: Orthanc) -> None:
    uid = study_instance_uid(9)

    studies = ask_by_orthanc(orthanc, "Study", {"PatientID": patient_id(9), "StudyDate": ""})
    series = ask_by_orthanc(orthanc, "Series", {"StudyInstanceUID": uid, "Modality": ""})
    instances = ask_by_orthanc(
        orthanc, "Instance", {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1"}
    )

    assert [one["StudyInstanceUID"] for one in studies] == [study_instance_uid(10), uid]
    assert {one["Modality"] for one in series} >= {"MG", "SR"}
    assert len(instances) >= 4


def test_orthanc_asks_for_patients(orthanc: Orthanc) -> None:
    patients = ask_by_orthanc(orthanc, "Patient", {"PatientID": "P000000?"})

    assert [one["PatientID"] for one in patients] == [f"P000000{number}" for number in range(1, 10)]


def test_orthanc_asks_for_a_name_beyond_ascii(orthanc: Orthanc) -> None:
    (found,) = ask_by_orthanc(orthanc, "Study", {"PatientName": "MÜLLER*", "StudyID": "7"})

    assert found["PatientName"] == NAME_IN_LATIN_1
