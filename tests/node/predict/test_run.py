"""Files in, objects and one document out."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from command_line import run
from node.commands.options import ExitCode
from node.errors import PermanentError
from node.predict.find import find_studies
from node.predict.run import RESULT_FILE, predict
from node.result_kinds import PROFILES
from node.settings import ModelSettings, Settings
from phantoms import screening_study, write


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four views and one that is not analysed; a study that is not analysed at all."""
    folder = tmp_path_factory.mktemp("images")
    views = screening_study(seed=1)
    for ds in views:
        write(ds, folder)
    spot = screening_study(seed=1, rows=200)[0]
    spot.SOPInstanceUID = UID(f"{views[0].SOPInstanceUID}.1")
    spot.PresentationIntentType = "FOR PROCESSING"
    write(spot, folder)
    lone = screening_study(seed=2)[0]
    lone.PresentationIntentType = "FOR PROCESSING"
    write(lone, folder)
    (folder / "notes.txt").write_text("words " * 100)
    return folder


@pytest.fixture
def settings(untrained_weights: Path) -> Settings:
    return Settings(model=ModelSettings(weights=str(untrained_weights)))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def images_of(study: dict[str, Any]) -> list[dict[str, Any]]:
    return [image for breast in study["breasts"] for image in breast["instances"]]


def test_the_command_writes_objects_and_a_document_that_agree_the_same_bytes_each_time(
    images: Path,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # One test for both, since the network is loaded for each run.
    def refuse(*_arguments: object) -> None:
        pytest.fail("a socket was connected or bound")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setenv("MAMMONODE_MODEL__WEIGHTS", settings.model.weights)
    out = tmp_path / "out"

    ended = run(capfd, "predict", str(images), "--out", str(out), "--profile", "ohif")
    predict(find_studies([images]), tmp_path / "again", kinds=PROFILES["ohif"], settings=settings)

    assert contents(tmp_path / "again") == contents(out)
    document = json.loads((out / RESULT_FILE).read_text())
    first, second = sorted(document["studies"], key=lambda study: study["score"] is None)
    assert ended.code == 0
    assert "4 of 6 images in 2 studies analysed" in ended.out
    assert "1 not DICOM" in ended.out
    assert "not for diagnostic use" in ended.out
    assert ended.err == ""
    assert [breast["laterality"] for breast in first["breasts"]] == ["R", "L"]
    assert [(i["laterality"], i["view_position"]) for i in images_of(first) if i["score"]] == [
        ("R", "CC"),
        ("R", "MLO"),
        ("L", "CC"),
        ("L", "MLO"),
    ]
    (left_out,) = [image for image in images_of(first) if image["score"] is None]
    assert left_out["triage_reason"] == "for processing"
    assert second["breasts"][0]["instances"][0]["triage_reason"] == "for processing"
    written = [result for study in document["studies"] for result in study["results"]]
    kinds = [result["kind"] for result in first["results"]]
    assert kinds.count("score_report") == 1
    assert kinds.count("heat_map") == 4
    kinds_of_second = [result["kind"] for result in second["results"]]
    assert kinds_of_second.count("score_report") == 1
    assert "heat_map" not in kinds_of_second
    for result in written:
        ds = dcmread(out / result["file"])
        assert ds.SOPInstanceUID == result["sop_instance_uid"]
        assert ds.SOPClassUID == result["sop_class_uid"]
    assert {result["file"] for result in written} == set(contents(out)) - {RESULT_FILE}


def test_no_image_that_can_be_analysed_ends_with_1_and_a_report(
    untrained_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MAMMONODE_MODEL__WEIGHTS", str(untrained_weights))
    ds = screening_study()[0]
    ds.PresentationIntentType = "FOR PROCESSING"
    file = write(ds, tmp_path)
    out = tmp_path / "out"

    ended = run(capfd, "predict", str(file), "--out", str(out), "--json")

    assert ended.code == ExitCode.FAILURE
    assert json.loads(ended.out) == json.loads((out / RESULT_FILE).read_text())
    names = [path.name for path in out.rglob("*.dcm")]
    assert names.count("score_report_1.dcm") == 1
    assert not any(name.startswith("heat_map") for name in names)
    assert ended.err == "mammonode: no image could be analysed\n"


def test_without_an_image_nothing_is_loaded_or_written(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "notes.txt").write_text("words " * 100)

    with pytest.raises(PermanentError, match="Expected DICOM images, found none"):
        predict(find_studies([tmp_path]), tmp_path / "out", kinds=(), settings=settings)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--results", "score_report,nonsense"],
        ["--results", ","],
        ["--profile", "nonsense"],
        ["--results", "heat_map", "--profile", "ohif"],
    ],
)
def test_kinds_that_there_are_not_are_a_matter_of_usage(
    images: Path, tmp_path: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run(capfd, "predict", str(images), "--out", str(tmp_path / "out"), *arguments)

    assert ended.code == ExitCode.USAGE
    assert not (tmp_path / "out").exists()


def test_a_path_that_is_not_there_is_a_matter_of_usage(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run(capfd, "predict", str(tmp_path / "none"), "--out", str(tmp_path / "out"))

    assert ended.code == ExitCode.USAGE


def test_weights_that_cannot_be_used_end_with_4(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MAMMONODE_MODEL__WEIGHTS", str(tmp_path / "none"))

    ended = run(capfd, "predict", str(images), "--out", str(tmp_path / "out"))

    assert ended.code == ExitCode.WEIGHTS
    assert ended.err.count("\n") == 1
