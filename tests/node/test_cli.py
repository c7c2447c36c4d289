"""The command line: help, version, exit codes, and what a person sees of an error."""

import json
import re
import socket
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from command_line import run
from model.errors import PixelDataError, WeightsError
from node import __version__
from node.cli import EXIT_CODES, app
from node.commands.options import ExitCode, errors_as_exit_codes, exit_code_for
from node.errors import PermanentError, SettingsError, TransientError, UnknownStudy
from node.settings import DatabaseSettings, Settings
from node.study_log.database import Database
from node.study_log.outcomes import Outcome, add_outcomes
from node.study_log.tables import OutcomeResult, OutcomeSource

COMMANDS = (
    "serve",
    "demo",
    "predict",
    "check",
    "fsck",
    "backup",
    "restore",
    "stats",
    "tail",
    "performance",
    "version",
)
STUDIES_COMMANDS = (
    "list",
    "show",
    "retry",
    "reanalyse",
    "resend",
    "export",
    "cancel",
    "delete",
    "conflicts",
    "conflicts accept",
    "conflicts discard",
)
PATIENTS_COMMANDS = ("correct", "merge")
DELIVERIES_COMMANDS = ("list", "retry")
DATABASE_COMMANDS = ("upgrade", "copy")
OUTCOMES_COMMANDS = ("import", "list", "withdraw", "export")
READ_SETTINGS = (
    "serve",
    "check",
    "fsck",
    "backup",
    "restore",
    "predict",
    "stats",
    "tail",
    "performance",
    *(f"outcomes {name}" for name in OUTCOMES_COMMANDS),
    *(f"studies {name}" for name in STUDIES_COMMANDS),
    *(f"patients {name}" for name in PATIENTS_COMMANDS),
    *(f"deliveries {name}" for name in DELIVERIES_COMMANDS),
    *(f"database {name}" for name in DATABASE_COMMANDS),
)
PRINT_TABLES = (
    "check",
    "studies list",
    "studies show",
    "deliveries list",
    "deliveries retry",
    "stats",
    "outcomes list",
    "performance",
)


def command_names(group: Any = None, above: str = "") -> set[str]:
    """Give every command as it is typed; a group that does something by itself is one too."""
    group = group or typer.main.get_command(app)
    names: set[str] = set()
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            names |= command_names(command, f"{above}{name} ")
        if not getattr(command, "commands", None) or command.invoke_without_command:
            names.add(f"{above}{name}")
    return names


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", " ", text))


def test_the_commands_are_those_that_were_promised() -> None:
    assert command_names() == {
        *COMMANDS,
        *(f"outcomes {name}" for name in OUTCOMES_COMMANDS),
        *(f"studies {name}" for name in STUDIES_COMMANDS),
        *(f"patients {name}" for name in PATIENTS_COMMANDS),
        *(f"deliveries {name}" for name in DELIVERIES_COMMANDS),
        *(f"database {name}" for name in DATABASE_COMMANDS),
    }


@pytest.mark.parametrize("command", sorted(command_names()))
def test_the_help_of_every_command_explains_every_option(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    ended = run(capsys, *command.split(), "--help")

    text = plain(ended.out)
    parsed = typer.main.get_command(app)
    for part in command.split():
        parsed = parsed.commands[part]  # type: ignore[attr-defined]
    for parameter in parsed.params:
        if parameter.name != "help":
            assert getattr(parameter, "help", ""), f"{command}: {parameter.name} has no help"
    assert ended.code == 0
    assert "--help" in text
    assert ("--config" in text) == (command in READ_SETTINGS)
    assert "--json" in text or command not in PRINT_TABLES
    assert "Example" in text or command == "version"


def test_the_help_says_what_the_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "--help")

    assert EXIT_CODES in plain(ended.out)
    assert all(f"{code.value} " in EXIT_CODES for code in ExitCode)


def test_the_documentation_says_what_the_exit_codes_mean() -> None:
    text = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()

    assert [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == [
        code.value for code in ExitCode
    ]


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "version").out == f"mammonode {__version__}\n"
    assert json.loads(run(capsys, "version", "--json").out) == {"version": __version__}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["version", "--nonsense"], "No such option: --nonsense. `mammonode version --help` tells"),
        (["nonsense"], "No such command 'nonsense'. `mammonode --help` tells"),
        (["studies", "show"], "Missing argument 'STUDY'"),
        (["studies", "delete", "1"], "Missing option '--reason'"),
    ],
)
def test_a_command_line_that_is_not_accepted_is_answered_with_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    ended = run(capsys, *arguments)

    assert ended.code == ExitCode.USAGE
    assert ended.out == ""
    assert ended.err.startswith(f"mammonode: {said}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("group", [[], ["studies"], ["deliveries"]])
def test_a_group_alone_tells_its_commands(
    capsys: pytest.CaptureFixture[str], group: list[str]
) -> None:
    ended = run(capsys, *group)

    assert "Commands" in ended.out
    assert (ended.code, ended.err) == (ExitCode.USAGE, "")


@pytest.mark.parametrize("command", ["serve", "studies list", "studies show 1.2"])
def test_bad_settings_end_a_command_with_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    path = tmp_path / "node.toml"
    path.write_text("[receive]\nprot = 104")

    ended = run(capsys, *command.split(), "--config", str(path))

    assert ended.code == ExitCode.USAGE
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert "Did you mean receive.port?" in ended.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError(key="a.b", found="x", accepted="y"), ExitCode.USAGE),
        (UnknownStudy(study_instance_uid="1.2"), ExitCode.UNKNOWN_STUDY),
        (WeightsError(expected="a", found="b"), ExitCode.WEIGHTS),
        (TransientError(reason="full"), ExitCode.TRY_AGAIN),
        (PermanentError(reason="no"), ExitCode.FAILURE),
        (PixelDataError(expected="a", found="b"), ExitCode.FAILURE),
    ],
)
def test_every_error_has_its_exit_code(error: SettingsError, code: ExitCode) -> None:
    assert exit_code_for(error) is code


def test_a_database_that_is_away_ends_a_command_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg://node:hush@127.0.0.1:{probe.getsockname()[1]}/log"
        monkeypatch.setenv("MAMMONODE_DATABASE__URL", url)

        ended = run(capsys, "studies", "list")

    assert ended.code == ExitCode.TRY_AGAIN
    assert ended.err.startswith("mammonode: The database does not answer as expected")
    assert ended.err.count("\n") == 1
    assert "hush" not in ended.err


@pytest.mark.parametrize("command", [["version", "--json"], ["version"]])
def test_output_that_no_disk_has_room_for_ends_with_one_line_and_5(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "node", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.stderr == "mammonode: The output cannot be written: No space left on device\n"
    assert ended.returncode == ExitCode.TRY_AGAIN


def test_a_value_that_a_database_names_is_not_printed(
    capsys: pytest.CaptureFixture[str], either_database: str, tmp_path: Path
) -> None:
    outcome = Outcome(
        patient_id="SECRET-P",
        issuer_of_patient_id="",
        date=date(2026, 3, 20),
        laterality="R",
        source=OutcomeSource.HISTOPATHOLOGY,
        result=OutcomeResult.BENIGN,
    )
    database = Database.open(
        Settings(data_dir=tmp_path, database=DatabaseSettings(url=either_database))
    )
    database.migrate()

    # As if two imported the same file at the same time: none saw the outcomes of the other.
    twice = [outcome, outcome]
    with pytest.raises(SystemExit) as ended, errors_as_exit_codes(), database.writing() as session:
        add_outcomes(session, twice, by="someone", at=datetime.now(UTC))
    database.close()

    said = capsys.readouterr().err
    assert ended.value.code == ExitCode.TRY_AGAIN
    assert said.startswith("mammonode: The database does not answer as expected: ")
    assert "SECRET" not in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["version"], ["--help"], ["studies", "list", "--help"]])
def test_a_command_that_only_tells_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from node.cli import main; sys.argv = ['mammonode', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'pydicom', 'sqlalchemy', 'numpy', 'dbos', 'pynetdicom'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )

    assert ended.stderr == "[]\n"
