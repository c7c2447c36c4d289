from pathlib import Path

import pytest

from training.cli import main
from training.commands.options import ExitCode


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run one command line in this process; gives its exit code."""
    monkeypatch.setattr("sys.argv", ["training", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_help_names_every_command_and_every_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--help") == ExitCode.SUCCESS

    text = capsys.readouterr().out
    for command in ("inspect", "preview", "fit", "evaluate", "compare", "export"):
        assert f" {command} " in text
    for code in ExitCode:
        assert f" {code.value} " in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["fit", "--set", "batch_sise=3"], ExitCode.USAGE, "Did you mean batch_size?"),
        (["fit", "--config", "nowhere.toml"], ExitCode.USAGE, "nowhere.toml"),
        (["fit", "--data", "nowhere"], ExitCode.DATA_SET, "nowhere: expected the folder"),
        (["fit", "--data", ".", "--data-set", "ddsm"], ExitCode.USAGE, "found 'ddsm'"),
        (["fit", "--no-such-option"], ExitCode.USAGE, "No such option"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    code: ExitCode,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(monkeypatch, *arguments) == code

    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
