"""``mammonode deliveries``: what is listed, and what is sent again."""

import csv
import io
import json
from pathlib import Path

import pytest

from command_line import Ended, run
from log_entries import add_delivery, study_entry
from node.commands.options import ExitCode
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.tables import DeliveryState

UID = study_entry(1).study_instance_uid
DESTINATIONS = [
    {"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": 104, "profile": "ohif"}
    for name in ("pacs", "viewer")
]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of three studies, one of which did not get to its destination."""
    database = Database.open(Settings(data_dir=tmp_path))
    database.migrate()
    with database.writing() as session:
        studies = [study_entry(number) for number in (1, 2, 3)]
        add_delivery(
            studies[0].revisions[0],
            "pacs",
            DeliveryState.FAILED,
            reason="PACS at 127.0.0.1:104 rejected the association (tried 10 times)",
            statuses=(0x0000, 0xA700, None, None, None),
        )
        add_delivery(studies[1].revisions[0], "pacs", DeliveryState.COMPLETED)
        add_delivery(studies[2].revisions[0], "viewer", DeliveryState.UNCONFIRMED)
        session.add_all(studies)
    database.close()
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAMMONODE_DESTINATIONS", json.dumps(DESTINATIONS))
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


def test_what_was_given_up_is_listed_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "deliveries", "list", "--state", "failed")

    heading, line = ended.out.splitlines()
    assert heading.split() == ["Study", "Destination", "State", "Objects", "Reason"]
    assert line.split()[:6] == [UID, "pacs", "FAILED", "1", "of", "5"]
    assert line.endswith("rejected the association (tried 10 times)")


def test_the_list_is_narrowed_by_destination_and_says_what_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "deliveries", "list", "--destination", "viewer")

    assert len(ended.out.splitlines()) == 2
    assert "UNCONFIRMED" in ended.out
    assert "storage commitment is waited for until 2026-03-02 09:30:21" in ended.out


def test_the_list_as_json_has_the_same_facts(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(run(capsys, "deliveries", "list", "--limit", "1", "--json").out)

    assert answer["total"] == 3
    (summary,) = answer["deliveries"]
    assert summary["study_instance_uid"].endswith("3")
    assert summary["delivery"]["state"] == "UNCONFIRMED"
    assert summary["delivery"]["confirmed"] == 0


def test_an_empty_list_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "deliveries", "list", "--state", "in-progress")

    assert ended == Ended(code=0, out="", err="No deliveries.\n")


def test_the_list_says_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "deliveries", "list", "--limit", "2")

    assert "2 of 3 deliveries" in ended.err


def test_all_that_failed_to_go_to_a_destination_is_made_due(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "deliveries", "retry", "pacs")
    again = run(capsys, "deliveries", "retry", "pacs", "--json")

    assert ended.out == "Due now: results of 1 study to pacs.\n"
    assert json.loads(again.out) == {"studies": []}
    listed = json.loads(run(capsys, "deliveries", "list", "--state", "pending", "--json").out)
    assert listed["total"] == 1


def test_a_destination_that_there_is_not_is_named_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(capsys, "deliveries", "retry", "pasc")

    assert ended.code == ExitCode.USAGE
    assert ended.err == (
        "mammonode: NAME: found 'pasc'; accepted: a destination of the settings (pacs, viewer). "
        "Did you mean pacs?\n"
    )


def test_the_list_as_csv_has_a_line_of_headings(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "deliveries", "list", "--csv", "--state", "failed")

    rows = list(csv.DictReader(io.StringIO(ended.out, newline="")))
    assert ended.out.count("\r\n") == 2
    assert rows[0]["study_instance_uid"] == UID
    assert rows[0]["state"] == "FAILED"
    assert rows[0]["statuses"] == "0x0000 0xA700"
    assert rows[0]["ended_at"] == "2026-03-02T09:30:22.000+00:00"


def test_an_unknown_state_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "deliveries", "list", "--state", "fialed")

    assert ended.code == ExitCode.USAGE
    assert "Did you mean failed?" in ended.err
    assert ended.err.count("\n") == 1
