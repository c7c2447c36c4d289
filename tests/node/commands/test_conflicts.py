"""``mammonode studies conflicts``: what is listed, accepted and discarded."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import Bench, phantom
from command_line import Ended, run
from node.commands.options import ExitCode
from node.keeping.remove import remove_given_up
from node.study_log.tables import StudyState

IMAGE = phantom()
UID = str(IMAGE.StudyInstanceUID)


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A log with one conflict, which the environment names."""
    bench = Bench(tmp_path)
    bench.admit(IMAGE)
    bench.set_state(StudyState.COMPLETED)
    bench.admit(phantom(PatientName="Secret^Name", PatientComments="secret"))
    bench.queue.close()
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(bench.settings.data_dir))
    monkeypatch.setenv("TZ", "UTC")
    yield bench
    bench.close()


def test_what_is_open_is_listed_with_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "conflicts")

    assert ended.code == 0
    assert UID in ended.out
    assert str(IMAGE.SOPInstanceUID) in ended.out
    assert "PatientName, PatientComments" in ended.out
    assert "secret" not in ended.out.lower()


def test_the_listed_data_set_is_the_one_that_json_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (conflict,) = json.loads(run(capsys, "studies", "conflicts", "--json").out)["conflicts"]

    assert conflict["state"] == "OPEN"
    assert conflict["study_instance_uid"] == UID
    assert conflict["dataset_sha256"][:8] in run(capsys, "studies", "conflicts").out


def test_the_list_as_csv_says_what_the_list_as_json_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (conflict,) = json.loads(run(capsys, "studies", "conflicts", "--json").out)["conflicts"]
    ended = run(capsys, "studies", "conflicts", "--csv")

    (row,) = csv.DictReader(io.StringIO(ended.out, newline=""))
    assert list(row) == list(conflict)
    assert row["differing_keywords"] == "PatientName PatientComments"
    assert row["dataset_sha256"] == conflict["dataset_sha256"]
    assert row["decided_at"] == ""


def test_what_is_accepted_is_queued_and_listed_no_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "studies", "conflicts", "accept", UID, "--by", "Dr No")

    (decided,) = json.loads(run(capsys, "studies", "conflicts", "--all", "--json").out)["conflicts"]
    assert ended.out == (
        f"Accepted for {UID}:\n  {IMAGE.SOPInstanceUID}\n"
        f"Queued: analysis of {UID}, revision 1, attempt 1.\n"
    )
    assert (decided["state"], decided["decided_by"]) == ("ACCEPTED", "Dr No")
    assert run(capsys, "studies", "conflicts") == Ended(code=0, out="", err="No conflicts.\n")


def test_what_is_discarded_is_deleted_at_once(
    capsys: pytest.CaptureFixture[str], bench: Bench
) -> None:
    file = bench.store.path(bench.conflicts()[0].path)

    ended = run(capsys, "studies", "conflicts", "discard", UID)
    again = run(capsys, "studies", "conflicts", "discard", UID)

    assert ended.code == 0
    assert not file.exists()
    assert again.out == f"Nothing is open for {UID}; 1 discarded before.\n"
    assert bench.conflicts()[0].decided_by


def test_a_study_without_a_conflict_is_no_success(
    capsys: pytest.CaptureFixture[str], bench: Bench
) -> None:
    bench.admit(phantom(seed=2))

    ended = run(capsys, "studies", "conflicts", "accept", str(phantom(seed=2).StudyInstanceUID))

    assert ended.code == ExitCode.FAILURE
    assert "found none" in ended.err


def test_the_list_of_studies_says_that_a_person_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "studies", "list")

    assert "done, 1 conflict" in ended.out


def test_a_file_that_cannot_be_deleted_now_is_left_to_the_node(
    capsys: pytest.CaptureFixture[str], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        ended = run(capsys, "studies", "conflicts", "discard", UID)

    assert ended.code == 0
    assert "not deleted yet (Permission denied)" in ended.err
    assert remove_given_up(bench.database, bench.store) == 1
