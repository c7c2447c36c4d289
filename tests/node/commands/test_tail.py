"""``mammonode tail``: events as they come, in words and as JSON, until nobody wants more."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from command_line import run
from log_entries import RECEIVED_AT, study_entry
from node.commands.options import ExitCode
from node.settings import DatabaseSettings, Settings
from node.study_log.database import Database
from node.study_log.tables import Event, Study

UID = study_entry(1).study_instance_uid
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def database(
    either_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """A log of two studies and four events, on SQLite and on PostgreSQL."""
    monkeypatch.setenv("MAMMONODE_DATABASE__URL", either_database)
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    log = Database.open(Settings(data_dir=tmp_path, database=DatabaseSettings(url=either_database)))
    log.migrate()
    with log.writing() as session:
        session.add_all(study_entry(number) for number in (1, 2))
    tell(log, "study_closed", revision=1, images=5)
    tell(log, "analysis_failed", revision=1, attempt=3, reason="no space left")
    yield log
    log.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command as a process of its own; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "node", "tail", *options]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def tell(database: Database, event: str, *, study: int = 1, **fields: object) -> None:
    with database.writing() as session:
        uid = study_entry(study).study_instance_uid
        study_id = session.query(Study.id).filter_by(study_instance_uid=uid).scalar()
        at = RECEIVED_AT + timedelta(minutes=1)
        session.add(Event(study_id=study_id, at=at, event=event, fields=fields))


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_an_event_is_one_line_of_words(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "tail", "--no-follow", "--lines", "2")

    ending = UID[-23:]
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"2026-03-02 09:31:00  …{ending}  complete: revision 1, 5 images",
        f"2026-03-02 09:31:00  …{ending}  analysis failed: revision 1, attempt 3, no space left",
    ]


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "tail", "--no-follow", "--json", "--event", "study_closed")

    assert json.loads(ended.out) == {
        "id": 3,
        "study_instance_uid": UID,
        "at": "2026-03-02T09:31:00.000+00:00",
        "event": "study_closed",
        "fields": {"revision": 1, "images": 5},
    }


def test_it_begins_where_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    def events(*options: str) -> list[str]:
        ended = run(capsys, "tail", "--no-follow", "--json", *options)
        return [json.loads(line)["event"] for line in ended.out.splitlines()]

    assert events("--since", "2026-03-02T09:31") == ["study_closed", "analysis_failed"]
    assert events("--since", "2026-03-02T09:31..") == ["study_closed", "analysis_failed"]
    assert events("--since", "2026-03-03") == []
    assert events("--study", "02") == ["study_opened"]
    assert events("--lines", "1") == ["analysis_failed"]
    assert events("--lines", "0") == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--since", "soon"], ExitCode.USAGE, "found 'soon'"),
        (["--since", "4w..1w"], ExitCode.USAGE, "a range that ends"),
        (["--since", "..today"], ExitCode.USAGE, "a range that ends"),
        (["--study", "9.9.9"], ExitCode.UNKNOWN_STUDY, "No study 9.9.9"),
        (["--study", ""], ExitCode.UNKNOWN_STUDY, "found nothing"),
        (["--lines", "-1"], ExitCode.USAGE, "--lines"),
        (["--event", "analysis_faild"], ExitCode.USAGE, "Did you mean analysis_failed?"),
    ],
)
def test_bad_input_ends_with_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], code: ExitCode, said: str
) -> None:
    ended = run(capsys, "tail", "--no-follow", *options)

    assert ended.code == code
    assert ended.err.count("\n") == 1
    assert said in ended.err


def test_it_shows_what_comes_and_ends_with_ctrl_c(start: Start, database: Database) -> None:
    followed = start("--lines", "1")
    assert "analysis failed" in line_of(followed)

    tell(database, "delivery_completed", revision=1, destination="pacs")
    assert "delivered: revision 1, to pacs" in line_of(followed)
    followed.send_signal(signal.SIGINT)
    out, err = followed.communicate(timeout=60)

    assert followed.returncode == ExitCode.INTERRUPTED
    assert (out, err) == ("", "")


def test_it_ends_when_nobody_reads_though_nothing_happens(start: Start) -> None:
    followed = start("--lines", "1")
    line_of(followed)

    assert followed.stdout is not None
    followed.stdout.close()

    assert followed.wait(timeout=60) == 0
    assert followed.stderr is not None
    assert followed.stderr.read() == ""


def test_it_ends_when_nobody_reads_and_much_is_to_be_told(database: Database) -> None:
    with database.writing() as session:
        for number in range(2000):
            at = RECEIVED_AT + timedelta(minutes=5)
            session.add(Event(study_id=1, at=at, event="told", fields={"number": number}))

    shell = f"{sys.executable} -m node tail --since 2026-03-02 | head -n 1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["/bin/bash", "-c", shell], capture_output=True, text=True, check=True)

    first, status = ended.stdout.splitlines()
    assert "first instance received" in first
    assert status == "0"
    assert ended.stderr == ""
