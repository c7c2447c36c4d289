"""What the shell offers: asked as the scripts ask that ``--show-completion`` prints."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from log_entries import RECEIVED_AT, study_entry
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.tables import StudyState

UID = study_entry(1).study_instance_uid
PROGRAM = "import sys; sys.argv[0] = 'mammonode'; from node.cli import main; main()"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A log of three studies from two senders."""
    database = Database.open(Settings(data_dir=tmp_path))
    database.migrate()
    with database.writing() as session:
        for number in (1, 2, 3):
            at = RECEIVED_AT + timedelta(days=number)
            study = study_entry(number, state=StudyState.FAILED, received_at=at)
            study.calling_ae_title = "MOBILE" if number == 3 else "MAMMO1"
            session.add(study)
    database.close()
    return tmp_path


def offered(typed: str, data_dir: Path | None, shell: str = "bash") -> list[str]:
    """Give what is offered for the last word of a command line."""
    of_the_log = {} if data_dir is None else {"MAMMONODE_DATA_DIR": str(data_dir)}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            **os.environ,
            **of_the_log,
            "_MAMMONODE_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(typed.count(" ")),
            "_TYPER_COMPLETE_ARGS": typed,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    return [line for line in ended.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mammonode stud", ["studies"]),
        ("mammonode studies list --state s", ["scheduled", "skipped"]),
        ("mammonode studies list --call s", ["suspicious"]),
        ("mammonode studies list --sort s", ["study-date", "score", "state"]),
        ("mammonode deliveries list --state p", ["pending"]),
        ("mammonode studies list --ae-title M", ["MAMMO1", "MOBILE"]),
        ("mammonode studies list --ae-title MO", ["MOBILE"]),
        ("mammonode studies show 1.2", [f"{UID[:-1]}{number}" for number in (3, 2, 1)]),
        (f"mammonode tail --study {UID}", [UID]),
        ("mammonode studies show 1.3", []),
        ("mammonode studies show %", []),
        ("mammonode tail --event analysis_f", ["analysis_failed"]),
    ],
)
def test_what_begins_so_is_offered(data_dir: Path, typed: str, expected: list[str]) -> None:
    assert offered(typed, data_dir) == expected


def test_a_study_is_offered_with_its_state_where_the_shell_shows_that(data_dir: Path) -> None:
    assert f'"{UID}":"FAILED"' in "".join(offered(f"mammonode studies show {UID}", data_dir, "zsh"))


@pytest.mark.parametrize(
    "typed", ["mammonode studies show 1", "mammonode studies list --ae-title M"]
)
def test_without_a_log_nothing_is_offered_and_nothing_said(tmp_path: Path, typed: str) -> None:
    assert offered(typed, tmp_path) == []
    (tmp_path / "mammonode.sqlite").write_text("This is no database. " * 50)
    assert offered(typed, tmp_path) == []


def test_the_log_is_that_of_the_settings_that_are_named(data_dir: Path, tmp_path: Path) -> None:
    settings = tmp_path / "node.toml"
    settings.write_text(f'data_dir = "{data_dir}"')
    typed = f"mammonode studies list --config {settings} --ae-title MO"

    assert offered(typed, None) == ["MOBILE"]
    settings.write_text("[receive]\nprot = 104")
    assert offered(typed, None) == []


def test_destinations_of_the_settings_are_offered(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [
        {"name": name, "ae_title": "PACS", "host": "pacs", "port": 104, "profile": "ohif"}
        for name in ("pacs", "viewer")
    ]
    monkeypatch.setenv("MAMMONODE_DESTINATIONS", json.dumps(named))

    assert offered("mammonode studies resend 1 --to v", data_dir) == ["viewer"]
    assert offered("mammonode deliveries retry pa", data_dir) == ["pacs"]
