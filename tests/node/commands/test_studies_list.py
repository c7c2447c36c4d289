"""``mammonode studies list``: narrowed, sorted, in pages, and printed for whoever reads it."""

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from command_line import Ended, run
from log_entries import RECEIVED_AT, add_delivery, study_entry
from node.commands.options import ExitCode
from node.commands.studies_list import COLUMNS, Sort, State
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.study_filter import StudyOrder
from node.study_log.tables import DeliveryState, Study, StudyState

UID = study_entry(1).study_instance_uid
STATES = (*[StudyState.COMPLETED] * 3, StudyState.FAILED, StudyState.RECEIVING)
SCORES = (0.2, 0.9, 0.5)


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of five studies, received a day apart: three analysed, one failed, one on its way."""
    database = Database.open(Settings(data_dir=tmp_path))
    database.migrate()
    with database.writing() as session:
        for number, state in enumerate(STATES, start=1):
            study = study_entry(
                number,
                state=state,
                received_at=RECEIVED_AT + timedelta(days=number - 1),
                reason="no space left" if number == 4 else "",
            )
            study.study_date = f"2026020{6 - number}"
            study.patient_id = f"ID-{number % 2}"
            study.patient_name = ("Müller^Änne", "SMITH^JANE")[number % 2]
            study.accession_number = f"ACC{number}"
            study.calling_ae_title = f"MAMMO{number % 3}"
            if state is StudyState.COMPLETED:
                revision = study.revisions[0]
                revision.score = SCORES[number - 1]
                revision.is_suspicious = SCORES[number - 1] >= 0.47
                revision.model_version = f"1.{number}.0"
                add_delivery(revision, "pacs", DeliveryState.COMPLETED)
            session.add(study)
    database.close()
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return tmp_path


@pytest.fixture(autouse=True, scope="module")
def _clock_of_the_machine() -> Iterator[None]:
    """Put the time zone back that the tests began with."""
    yield
    time.tzset()


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Give the numbers of the studies that are listed, in their order."""
    ended = run(capsys, "studies", "list", *options, "--json")
    assert ended.code == 0, ended.err
    return "".join(study["study_instance_uid"][-1] for study in json.loads(ended.out)["studies"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "54321"),
        (["--state", "failed"], "4"),
        (["--state", "failed", "--state", "receiving"], "54"),
        (["--received", "2026-03-03"], "2"),
        (["--received", "2026-03-03..2026-03-05"], "432"),
        (["--received", "2026-03-05T09:30:12.."], "54"),
        (["--received", "2025"], ""),
        (["--study-date", "2026-02-02..2026-02-03"], "43"),
        (["--study-date", "..2026-02-01"], "5"),
        (["--patient-id", "ID-0"], "42"),
        (["--patient-id", "ID-?"], "54321"),
        (["--patient-name", "muller*"], "42"),
        (["--accession", "ACC3"], "3"),
        (["--accession", "acc3"], ""),
        (["--ae-title", "MAMMO1"], "41"),
        (["--score", "0.5.."], "32"),
        (["--score", "..0.5"], "31"),
        (["--call", "suspicious"], "32"),
        (["--call", "not-suspicious"], "1"),
        (["--model-version", "1.2.*"], "2"),
        (["--study", UID], "1"),
        (["--study", "01", "--study", "03"], "31"),
        (["--call", "suspicious", "--patient-id", "ID-1"], "3"),
    ],
)
def test_a_list_is_narrowed_to_what_fits_every_option(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    assert listed(capsys, *options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--sort", "received", "--reverse"], "12345"),
        (["--sort", "study-date"], "12345"),
        (["--sort", "score"], "23154"),
        (["--sort", "score", "--reverse"], "13254"),
        (["--sort", "state"], "32145"),
        (["--sort", "ae-title"], "34152"),
        (["--sort", "ae-title", "--reverse"], "52413"),
        (["--limit", "2"], "54"),
        (["--limit", "2", "--page", "2"], "32"),
        (["--limit", "2", "--page", "3"], "1"),
    ],
)
def test_a_list_is_sorted_and_in_pages(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    assert listed(capsys, *options) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--state", "fialed"], "found 'fialed'. Did you mean failed?"),
        (["--sort", "size"], "Expected one of received, study-date, score, state, ae-title"),
        (["--call", "benign"], "Expected one of suspicious, not-suspicious"),
        (["--received", "2026-13"], "--received: Expected a year, month or day"),
        (["--received", "2026-03..2026-02"], "'2026-03..2026-02' ends before it begins"),
        (["--study-date", "12h"], "--study-date: Expected days"),
        (["--score", "..2"], "Expected scores in [0, 1], found '..2'"),
        (["--score", "0.5"], "Expected FIRST..LAST"),
        (["--page", "4", "--limit", "2"], "--page: Expected 1 to 3, found 4"),
        (["--page", "2", "--state", "canceled"], "--page: Expected 1 to 1, found 2"),
        (["--page", "0"], "--page"),
        (["--csv", "--json"], "--json and --csv cannot be given together"),
        (["--watch", "--csv"], "--watch and --csv cannot be given together"),
        (["--watch"], "--watch: Expected a terminal; `mammonode tail`"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_bad_input_ends_with_2_and_one_line_that_helps(
    capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    ended = run(capsys, "studies", "list", *options)

    assert ended.code == ExitCode.USAGE
    assert ended.out == ""
    assert ended.err.startswith("mammonode: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err


def test_the_list_is_plain_columns_through_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "list")

    heading, *lines = ended.out.splitlines()
    assert " ".join(heading.split()) == "Study State From Received Instances Score Results"
    assert len(lines) == 5
    assert lines[1].split() == [
        f"{UID[:-1]}4", "FAILED", "MAMMO1", "2026-03-05", "09:30", "5", "–",
    ]  # fmt: skip
    assert "\x1b" not in ended.out
    assert all(line == line.rstrip() for line in lines)


def test_the_list_says_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "list", "--limit", "2", "--page", "2")

    assert len(ended.out.splitlines()) == 3
    assert ended.err == "2 of 5 studies; page 2 of 3; --page and --limit show more.\n"


def test_a_csv_that_is_not_all_is_not_taken_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "studies", "list", "--limit", "2", "--csv")

    assert len(ended.out.splitlines()) == 3
    assert ended.err == "2 of 5 studies; page 1 of 3; --page and --limit show more.\n"


def test_an_empty_list_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--state", "canceled")

    assert run(capsys, "studies", "list", *options) == Ended(code=0, out="", err="No studies.\n")
    as_json = run(capsys, "studies", "list", *options, "--json")
    assert json.loads(as_json.out) == {"total": 0, "studies": []}
    as_csv = run(capsys, "studies", "list", *options, "--csv")
    assert as_csv == Ended(code=0, out=",".join(COLUMNS) + "\r\n", err="")


def test_a_list_as_csv_has_what_the_list_as_json_has(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "studies", "list", "--csv").out
    studies = json.loads(run(capsys, "studies", "list", "--json").out)["studies"]

    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert text.count("\r\n") == text.count("\n") == 6
    for row, study in zip(rows, studies, strict=True):
        facts = study | (study["revision"] or {})
        facts |= {"revision": facts.get("number"), "state": study["state"]}
        for name in set(COLUMNS) - {"call"}:
            value = facts.get(name)
            assert row[name] == ("" if value is None else str(value)), name
        call = {True: "suspicious", False: "not-suspicious", None: ""}
        assert row["call"] == call[facts.get("is_suspicious")]
        assert datetime.fromisoformat(row["last_received_at"]).utcoffset() == timedelta()
    assert rows[-1]["last_received_at"] == "2026-03-02T09:30:12.000+00:00"


def test_no_list_holds_a_patient_attribute(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ((), ("--json",), ("--csv",)):
        text = run(capsys, "studies", "list", *form).out
        assert "SMITH" not in text
        assert "ID-1" not in text
        assert "ACC" not in text


def rename_sender(data_dir: Path, ae_title: str) -> None:
    """Let the first study be of a sender that calls itself so."""
    database = Database.open(Settings(data_dir=data_dir))
    with database.writing() as session:
        study = session.query(Study).filter_by(study_instance_uid=UID).one()
        study.calling_ae_title = ae_title
    database.close()


@pytest.mark.parametrize("ae_title", ["[/b]", "[red]X", ":bug:"])
def test_an_ae_title_is_printed_as_it_is_and_never_taken_for_mark_up(
    capsys: pytest.CaptureFixture[str], data_dir: Path, ae_title: str
) -> None:
    rename_sender(data_dir, ae_title)

    for command in (("studies", "list"), ("studies", "show", UID), ("stats", "--received", "2026")):
        ended = run(capsys, *command)
        assert ended.code == 0, command
        assert ae_title in ended.out, command


@pytest.mark.parametrize("ae_title", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_value_of_the_csv_is_a_formula_to_a_spreadsheet(
    capsys: pytest.CaptureFixture[str], data_dir: Path, ae_title: str
) -> None:
    rename_sender(data_dir, ae_title)

    text = run(capsys, "studies", "list", "--study", UID, "--csv").out
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    (study,) = json.loads(run(capsys, "studies", "list", "--study", UID, "--json").out)["studies"]

    assert row["calling_ae_title"] == f"'{ae_title}"
    assert study["calling_ae_title"] == ae_title


def test_the_words_are_those_of_the_study_log() -> None:
    assert [state.name for state in State] == [state.name for state in StudyState]
    assert [key.value for key in Sort] == [order.value for order in StudyOrder]


def test_a_watched_list_shows_what_comes_and_ends_with_ctrl_c(data_dir: Path) -> None:
    terminal, screen = pty.openpty()
    watched = subprocess.Popen(
        [sys.executable, "-m", "node", "studies", "list", "--watch", "--limit", "1"],
        stdout=screen,
        stderr=screen,
        env={**os.environ, "COLUMNS": "100", "LINES": "20", "TERM": "xterm"},
    )
    os.close(screen)
    _read_until(terminal, b"1 of 5 studies")
    database = Database.open(Settings(data_dir=data_dir))
    with database.writing() as session:
        session.add(study_entry(6, received_at=RECEIVED_AT + timedelta(days=9)))
    database.close()
    _read_until(terminal, b"1 of 6 studies")

    watched.send_signal(signal.SIGINT)

    _read_until(terminal, b"\x1b[?1049l")  # the screen as it was before
    assert watched.wait(timeout=30) == ExitCode.INTERRUPTED
    os.close(terminal)


def _read_until(terminal: int, expected: bytes) -> None:
    """Read what is shown until it is there; the end of the program is an error."""
    shown = b""
    while expected not in shown:
        shown += os.read(terminal, 4096)
