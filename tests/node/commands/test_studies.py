"""``mammonode studies``: what is printed, for a person, for another tool, and on a slip."""

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from command_line import run
from log_entries import RECEIVED_AT, add_conflict, add_delivery, study_entry
from node.commands.display import studies_table
from node.commands.options import ExitCode
from node.commands.study_view import study_view
from node.settings import Settings
from node.study_log.database import Database, database_url
from node.study_log.queries import list_studies, read_study
from node.study_log.tables import DeliveryState, StudyState
from node.work_queue import WorkQueue
from resulting import resulting_node

UID = study_entry(1).study_instance_uid
DESTINATION = {
    "name": "archive",
    "ae_title": "ARCHIVE",
    "host": "127.0.0.1",
    "port": 11113,
    "profile": "ohif",
}


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of three studies, which the environment names."""
    settings = Settings(data_dir=tmp_path)
    database = Database.open(settings)
    database.migrate()
    queue = WorkQueue(database_url(settings))
    queue.migrate()
    queue.close()
    with database.writing() as session:
        study = study_entry(1)
        add_delivery(study.revisions[0], "pacs", DeliveryState.COMPLETED)
        add_delivery(
            study.revisions[0],
            "viewer",
            DeliveryState.FAILED,
            reason="VIEWER at 127.0.0.1:4242 rejected the association",
            statuses=(0x0000, 0xA700, None, None, None),
        )
        add_conflict(study.instances[0])
        session.add(study)
        session.add(study_entry(2, state=StudyState.RECEIVING))
        session.add(
            study_entry(
                3,
                state=StudyState.FAILED,
                reason="no space left",
                received_at=RECEIVED_AT + timedelta(hours=1),
            )
        )
    database.close()
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


def rendered(data_dir: Path, *, width: int) -> str:
    """Show the list and a study as a terminal of that width does."""
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    database = Database.open(Settings(data_dir=data_dir))
    with database.reading() as session:
        console.print(studies_table(list_studies(session), console))
        console.print(study_view(read_study(session, UID), console))
    database.close()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_study_is_shown_with_all_that_was_promised(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "show", UID)

    for expected in (
        UID,
        "COMPLETED",
        "MAMMO1 to MAMMONODE",
        "0.890, at or above the operating point",
        "right  0.910  0.870   0.890",
        "left   0.110  0.120   0.115",
        "R MLO",
        "0.870",
        "tomosynthesis: SOP Class UID (0008,0016)",
        "PatientName, PixelData",
        "score_report",
        "Comprehensive SR",
        "2.25.110",
        "1 of 5",
        "0x0000, 0xA700",
        "VIEWER at 127.0.0.1:4242 rejected the association",
        "first instance received: from MAMMO1",
        "delivery given up: revision 1, to viewer, VIEWER at 127.0.0.1:4242",
        "not for diagnostic use",
    ):
        assert expected in ended.out
    assert "SECRET" not in ended.out
    assert all(line == line.rstrip() for line in ended.out.splitlines())
    assert ended.code == 0


def test_a_study_as_json_has_the_same_facts(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(run(capsys, "studies", "show", "1", "--json").out)

    assert answer["summary"]["study_instance_uid"] == UID
    assert answer["summary"]["first_received_at"] == "2026-03-02T09:30:00.000+00:00"
    assert answer["instances"][0]["score"] == 0.91
    assert answer["deliveries"][1]["statuses"] == [0, 0xA700]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_tables_fit_the_terminal(data_dir: Path, width: int) -> None:
    lines = rendered(data_dir, width=width).splitlines()

    assert max(len(line) for line in lines) <= width
    assert any(f"{UID}.1.1" in line for line in lines) == (width >= 100)
    assert any("…000001.1.1" in line for line in lines) == (width < 140)
    # Nothing that a person looks for is folded in the middle of a word.
    for whole in ("COMPLETED", "FAILED", "0x0000, 0xA700", "Destination", "delivery given up"):
        assert any(whole in line for line in lines), whole


def test_a_study_that_is_not_in_the_log_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "show", "9.9.9")

    assert ended.code == ExitCode.UNKNOWN_STUDY
    assert ended.err.count("\n") == 1


def test_without_a_log_a_person_is_told_where_it_was_looked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path / "elsewhere"))

    ended = run(capsys, "studies", "list")

    assert ended.code == ExitCode.TRY_AGAIN
    assert str(tmp_path / "elsewhere") in ended.err
    assert not (tmp_path / "elsewhere").exists()


def test_a_retry_queues_the_next_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "retry", "3")

    state = json.loads(run(capsys, "studies", "show", "3", "--json").out)["summary"]["state"]
    assert ended.code == 0
    assert ended.out == f"Queued: analysis of {UID[:-1]}3, revision 1, attempt 2.\n"
    assert state == "SCHEDULED"


def test_a_retry_makes_a_failed_delivery_due(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "retry", UID)

    assert ended.out == f"Due now: results of {UID}, revision 1, to viewer.\n"


def test_a_reanalysis_with_weights_that_cannot_be_used_ends_with_4(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = run(capsys, "studies", "reanalyse", "1", "--weights", str(tmp_path / "none"))

    assert ended.code == ExitCode.WEIGHTS


def test_a_reanalysis_is_a_new_revision(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "reanalyse", "1", "--json")

    assert json.loads(ended.out)["revision"] == 2


def test_a_deletion_says_what_went_and_what_stays_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "studies", "delete", UID, "--reason", "wrong patient", "--by", "Dr No")
    shown = run(capsys, "studies", "show", UID)

    assert ended.code == 0
    assert ended.out == (
        f"Deleted: {UID}, 11 files.\nResults that were sent stay at pacs, viewer.\n"
    )
    assert "by Dr No: wrong patient" in shown.out
    assert "DELETED" in run(capsys, "studies", "list", "--state", "deleted").out


def test_a_deletion_without_a_reason_is_not_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "delete", UID)

    assert ended.code == ExitCode.USAGE
    assert "COMPLETED" in run(capsys, "studies", "show", UID).out


def test_open_work_is_canceled_and_shown_with_who_and_why(
    capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    database = Database.open(Settings(data_dir=data_dir))
    with database.writing() as session:
        session.add(study_entry(4, state=StudyState.SCHEDULED))
    database.close()
    uid = UID[:-1] + "4"

    ended = run(capsys, "studies", "cancel", uid, "--reason", "sent twice", "--by", "Dr No")

    assert ended.code == 0
    assert ended.out == f"Canceled: analysis of revision 1. {uid} is CANCELED.\n"
    shown = run(capsys, "studies", "show", uid).out
    assert "sent twice" in shown
    assert "Dr No" in shown


def test_where_nothing_is_open_a_cancellation_ends_with_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "studies", "cancel", UID)

    assert ended.code == ExitCode.FAILURE
    assert ended.err == (
        f"mammonode: Nothing to cancel: study {UID} is COMPLETED, and no delivery of its results "
        "is open.\n"
    )


def test_results_are_sent_again_to_a_destination_that_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMONODE_DESTINATIONS", json.dumps([DESTINATION]))

    ended = run(capsys, "studies", "resend", UID, "--to", "archive")
    unknown = run(capsys, "studies", "resend", UID, "--to", "archiv")

    assert ended.out == f"Due now: results of {UID}, revision 1, to archive.\n"
    assert unknown.code == ExitCode.USAGE
    assert unknown.err == (
        "mammonode: --to: found 'archiv'; accepted: a destination of the settings (archive). "
        "Did you mean archive?\n"
    )


def test_what_cannot_be_exported_is_said_and_ends_with_failure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = run(capsys, "studies", "export", UID[:-1] + "3", "--out", str(tmp_path / "out"))

    assert ended.code == ExitCode.FAILURE
    assert ended.err == f"mammonode: {UID[:-1]}3: no results: revision 1 is FAILED\n"


def test_an_export_names_study_and_files(
    capsys: pytest.CaptureFixture[str], data_dir: Path, tmp_path: Path
) -> None:
    with resulting_node(data_dir) as node:
        uid = node.study_instance_uid

    ended = run(capsys, "studies", "export", uid, "--out", str(tmp_path / "out"))
    again = run(capsys, "studies", "export", uid, "--out", str(tmp_path / "out"))
    anew = run(
        capsys, "studies", "export", uid, "--out", str(tmp_path / "out"), "--overwrite", "--json"
    )

    count = len(list((tmp_path / "out" / uid).iterdir()))
    assert (ended.code, ended.out) == (0, f"Exported: {uid}, {count} files.\n")
    assert again.code == ExitCode.FAILURE
    assert "--overwrite" in again.err
    assert len(json.loads(anew.out)["studies"][0]["files"]) == count
