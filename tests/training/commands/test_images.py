from pathlib import Path

import pytest
from commands_of_training import run
from data_set_layouts import write_mini_mias

import phantoms
from training.commands.options import ExitCode
from training.datasets import registry


def test_convert_says_what_was_written_and_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phantoms.write(phantoms.mammogram(), tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("notes", encoding="utf-8")

    code = run("convert", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--bits", "8")

    printed = capsys.readouterr()
    assert code == ExitCode.SUCCESS
    assert printed.out.endswith(f"1 written to {tmp_path / 'out'}\n")
    assert printed.err == f"left out  {tmp_path / 'in' / 'notes.txt'}: no DICOM file\n"


def test_convert_ends_with_1_if_nothing_was_written(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")

    assert run("convert", str(tmp_path), "--out", str(tmp_path / "out")) == ExitCode.FAILURE


def test_convert_knows_8_and_16_bits(tmp_path: Path) -> None:
    assert run("convert", str(tmp_path), "--out", "out", "--bits", "12") == ExitCode.USAGE


def test_patches_are_a_data_set_that_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_mini_mias(tmp_path / "mias", size_px=256)

    code = run("patches", "mini_mias", str(folder), "--out", str(tmp_path / "cut"))

    assert code == ExitCode.SUCCESS
    data_set = registry.read_data_set("patches", tmp_path / "cut")
    assert capsys.readouterr().out.startswith(f"{len(data_set.images)} patches in ")
