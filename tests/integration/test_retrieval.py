"""Others fetch the results of a node: DCMTK's movescu and getscu, and Orthanc."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select

from node.header import dataset_offset
from node.intake.receive import Receiver
from node.settings import PeerSettings, QuerySettings
from node.study_log.tables import Result
from orthanc import AE_TITLE, Orthanc, free_ports, running_orthanc
from querying import asked_node
from resulting import ResultingNode, resulting_node
from validators import require_peer

pytestmark = pytest.mark.integration

MOVE_SCU = "MOVESCU"
GET_SCU = "GETSCU"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ResultingNode]:
    with resulting_node(tmp_path / "node") as node:
        yield node


@contextmanager
def asked(node: ResultingNode, ae_title: str, port: int) -> Iterator[Receiver]:
    """Ask a node that may move to one AE."""
    query = QuerySettings(
        move_destinations=(PeerSettings(ae_title=ae_title, host="127.0.0.1", port=port),)
    )
    with asked_node(node.database, node.store.path("x").parent, query=query) as receiver:
        yield receiver


def data_sets(files: Sequence[Path]) -> dict[str, bytes]:
    """Give encoded data sets of files, without file meta information, by SOP Instance UID."""
    return {
        str(dcmread(file, stop_before_pixels=True).SOPInstanceUID): file.read_bytes()[
            dataset_offset(file) :
        ]
        for file in files
    }


def stored(node: ResultingNode, kind: str = "") -> dict[str, bytes]:
    with node.database.reading() as session:
        statement = select(Result.path)
        if kind:
            statement = statement.where(Result.kind == kind)
        return data_sets([node.store.path(path) for path in session.scalars(statement)])


def keys_of(node: ResultingNode, level: str) -> dict[str, str]:
    """Give the keys of a level, as on DCMTK's command lines, and in Orthanc's queries."""
    with node.database.reading() as session:
        heat_map = session.scalars(select(Result).where(Result.kind == "heat_map")).first()
    assert heat_map is not None
    keys = {
        "PatientID": "SECRET-ID",
        "StudyInstanceUID": node.study_instance_uid,
        "SeriesInstanceUID": heat_map.series_instance_uid,
        "SOPInstanceUID": heat_map.sop_instance_uid,
    }
    levels = ("PATIENT", "STUDY", "SERIES", "IMAGE")
    return dict(list(keys.items())[: levels.index(level) + 1])


def meant(node: ResultingNode, level: str) -> dict[str, bytes]:
    if level == "SERIES":
        return stored(node, "heat_map")
    everything = stored(node)
    if level == "IMAGE":
        uid = keys_of(node, level)["SOPInstanceUID"]
        return {uid: everything[uid]}
    return everything


def run_dcmtk(name: str, *arguments: object, folder: Path) -> str:
    """Run a tool of DCMTK in a folder: movescu writes there what it is not to change."""
    ended = subprocess.run(
        [require_peer(name), "--verbose", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def dcmtk_keys(node: ResultingNode, level: str, *, root: str) -> list[str]:
    keys = {"QueryRetrieveLevel": level, **keys_of(node, level)}
    if root == "--study":
        del keys["PatientID"]
    return [part for name, value in keys.items() for part in ("--key", f"{name}={value}")]


@pytest.mark.parametrize(
    ("root", "level"),
    [
        ("--patient", "PATIENT"),
        ("--patient", "STUDY"),
        ("--study", "STUDY"),
        ("--study", "SERIES"),
        ("--study", "IMAGE"),
    ],
)
def test_movescu_moves_to_itself_what_the_store_holds(
    node: ResultingNode, tmp_path: Path, root: str, level: str
) -> None:
    (port,) = free_ports(1)
    received = tmp_path / "received"
    received.mkdir()

    with asked(node, MOVE_SCU, port) as receiver:
        said = run_dcmtk(
            "movescu", root, "--aetitle", MOVE_SCU, "--move", MOVE_SCU, "--call", "MAMMONODE",
            "--port", port, "--bit-preserving",
            *dcmtk_keys(node, level, root=root), "127.0.0.1", receiver.port, folder=received,
        )  # fmt: skip

    assert "Success" in said
    assert data_sets(list(received.iterdir())) == meant(node, level)


@pytest.mark.parametrize(
    ("root", "level"),
    [
        ("--patient", "PATIENT"),
        ("--patient", "STUDY"),
        ("--study", "STUDY"),
        ("--study", "SERIES"),
        ("--study", "IMAGE"),
    ],
)
def test_getscu_gets_what_the_store_holds(
    node: ResultingNode, tmp_path: Path, root: str, level: str
) -> None:
    received = tmp_path / "received"
    received.mkdir()

    with asked(node, MOVE_SCU, 1) as receiver:
        run_dcmtk(
            "getscu", root, "--aetitle", GET_SCU, "--call", "MAMMONODE",
            "--bit-preserving", "--output-directory", received,
            *dcmtk_keys(node, level, root=root), "127.0.0.1", receiver.port, folder=received,
        )  # fmt: skip

    assert data_sets(list(received.iterdir())) == meant(node, level)


def test_movescu_is_told_of_an_ae_that_the_node_does_not_know(node: ResultingNode) -> None:
    with asked(node, "SOMEBODY", 1) as receiver:
        ended = subprocess.run(
            [
                require_peer("movescu"), "--verbose", "--study", "--move", "NOBODY",
                "--call", "MAMMONODE", *dcmtk_keys(node, "STUDY", root="--study"),
                "127.0.0.1", str(receiver.port),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )  # fmt: skip

    assert "MoveDestinationUnknown" in ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_orthanc_queries_and_retrieves_by_rest(
    node: ResultingNode, orthanc: Orthanc, tmp_path: Path, level: str
) -> None:
    rest_level = {"STUDY": "Study", "SERIES": "Series", "IMAGE": "Instance"}[level]
    keys = keys_of(node, level)
    del keys["PatientID"]

    with asked(node, AE_TITLE, orthanc.dicom_port) as receiver:
        address = ["MAMMONODE", "127.0.0.1", receiver.port]
        orthanc.ask("/modalities/mammonode", method="PUT", body=json.dumps(address).encode())
        question = json.dumps({"Level": rest_level, "Query": keys}).encode()
        query = orthanc.ask("/modalities/mammonode/query", method="POST", body=question)["Path"]
        answers = orthanc.ask(f"{query}/answers")
        orthanc.ask(
            f"{query}/answers/0/retrieve",
            method="POST",
            body=json.dumps({"TargetAet": AE_TITLE, "Synchronous": True}).encode(),
        )

    files = []
    for number, instance in enumerate(orthanc.ask("/instances")):
        file = tmp_path / f"{number}.dcm"
        file.write_bytes(orthanc.fetch(f"/instances/{instance}/file"))
        files.append(file)
    for study in orthanc.ask("/studies"):
        orthanc.ask(f"/studies/{study}", method="DELETE")
    assert len(answers) == 1
    assert data_sets(files) == meant(node, level)
