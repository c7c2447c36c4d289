"""``mammonode patients``: what is printed, and what never is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import Bench, phantom
from command_line import run
from node.cli import app
from node.commands.options import ExitCode
from node.study_log.tables import StudyState

IMAGE = phantom()
UID = str(IMAGE.StudyInstanceUID)


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A log of one completed study, which the environment names."""
    bench = Bench(tmp_path)
    bench.admit(IMAGE)
    bench.set_state(StudyState.COMPLETED)
    bench.queue.close()
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(bench.settings.data_dir))
    yield bench
    bench.close()


def test_a_correction_says_what_it_leads_to(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--from-id", "PHANTOM-0", "--name", "RIGHT^NAME", "--reason", "misspelt"]
    ended = run(capsys, "patients", "correct", *arguments, "--by", "Dr No")
    again = run(capsys, "patients", "correct", *arguments)
    shown = run(capsys, "studies", "show", UID)

    assert ended.out == f"Corrected: {UID}, queued as revision 1.\n"
    assert again.out == "Nothing to correct: the studies say so already.\n"
    assert "by Dr No: misspelt" in shown.out
    assert "PatientName" in shown.out
    assert "RIGHT" not in shown.out


def test_a_merge_is_printed_as_json(capsys: pytest.CaptureFixture[str], bench: Bench) -> None:
    bench.admit(phantom(seed=1))

    ended = run(
        capsys,
        *("patients", "merge", "--from-id", "PHANTOM-0", "--into-id", "PHANTOM-1"),
        *("--reason", "registered twice", "--json"),
    )

    (study,) = json.loads(ended.out)["studies"]
    assert (study["study_instance_uid"], study["revision"]) == (UID, 1)


def test_a_patient_who_is_not_in_the_log_is_not_named_in_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = run(
        capsys, *("patients", "correct", "--from-id", "SECRET", "--sex", "F", "--reason", "a test")
    )

    assert ended.code == ExitCode.FAILURE
    assert "No study in the log is of that patient" in ended.err
    assert "SECRET" not in ended.err


def test_a_patient_is_read_from_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, bench: Bench
) -> None:
    file = tmp_path / "right.toml"
    file.write_text('from_id = "PHANTOM-0"\nname = "MÜLLER^ÄNNE"\n', encoding="utf-8")

    ended = run(capsys, "patients", "correct", "--patient-file", str(file), "--reason", "misspelt")

    assert ended.out == f"Corrected: {UID}, queued as revision 1.\n"
    assert bench.study().patient_name == "MÜLLER^ÄNNE"


def test_a_merge_is_read_from_standard_input(bench: Bench) -> None:
    bench.admit(phantom(seed=1))

    ended = CliRunner().invoke(
        app,
        ["patients", "merge", "--patient-file", "-", "--reason", "registered twice"],
        input='from_id = "PHANTOM-0"\ninto_id = "PHANTOM-1"\n',
    )

    assert ended.output == f"Corrected: {UID}, queued as revision 1.\n"


@pytest.mark.parametrize(
    "content",
    [
        b'from_id = "PHANTOM-0"\nnme = "SECRET"\n',
        b'from_id = "PHANTOM-0"\nsex = 19700101\n',
        b"SECRET",
        b'name = "SECRET\xe9"\n',
        b'name = "SECRET"\n',
        b'from_id = "PHANTOM-0"\nreason = "SECRET"\n',
    ],
)
def test_a_file_that_is_not_accepted_is_not_quoted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, bench: Bench, content: bytes
) -> None:
    file = tmp_path / "right.toml"
    file.write_bytes(content)

    ended = run(capsys, "patients", "correct", "--patient-file", str(file), "--reason", "a test")

    assert ended.code == ExitCode.USAGE
    assert "SECRET" not in ended.out + ended.err
    assert "patient_corrected" not in bench.events()


def test_what_stands_in_the_file_is_not_an_option_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "right.toml"
    file.write_text('from_id = "PHANTOM-0"\nsex = "F"\n')

    ended = run(
        capsys,
        *("patients", "correct", "--patient-file", str(file), "--from-id", "PHANTOM-1"),
        *("--reason", "a test"),
    )

    assert ended.code == ExitCode.USAGE
    assert "from_id is given as an option too" in ended.err
