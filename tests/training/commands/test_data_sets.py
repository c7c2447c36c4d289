import json
from pathlib import Path

import pytest
from commands_of_training import run
from data_set_layouts import write_class_folders
from drawn_breasts import write_rsna_layout

from training.commands.options import ExitCode


def test_a_sound_data_set_ends_with_0_and_its_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=60, size_px=64)

    code = run("inspect", "rsna", str(folder), "--sheet", str(tmp_path / "sheet.png"))

    printed = capsys.readouterr()
    assert code == ExitCode.SUCCESS
    assert "240 images of 60 patients" in printed.out
    assert "Nothing to put right." in printed.out
    assert "\x1b" not in printed.out
    assert printed.err == "Reading images: 240\n"
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_a_leak_ends_with_1_and_names_both_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_class_folders(tmp_path / "mine" / "train")
    (tmp_path / "mine" / "test" / "Benign").mkdir(parents=True)
    (tmp_path / "mine" / "test" / "Benign" / "same.png").write_bytes(
        (folder / "Benign/P01/series/1.png").read_bytes()
    )

    code = run("inspect", "class_folders", str(tmp_path / "mine"))

    printed = " ".join(capsys.readouterr().out.split())
    assert code == ExitCode.FAILURE
    assert "LEAK, same pixels: 1" in printed
    assert "test/Benign/same.png (test) = " in printed
    assert "train/Benign/P01/series/1.png (train)" in printed


def test_json_is_all_that_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_rsna_layout(tmp_path / "rsna", patients=60, size_px=64)

    run("inspect", "rsna", str(folder), "--json")

    found = json.loads(capsys.readouterr().out)
    assert found["all"] == {"images": 240, "patients": 60}


def test_a_wrong_folder_is_one_line_with_the_exit_code_of_a_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("inspect", "inbreast", str(tmp_path))

    printed = capsys.readouterr()
    assert code == ExitCode.DATA_SET
    assert "expected INbreast.csv, AllDICOMs/ and AllXML/; found nothing" in printed.err
    assert len(printed.err.strip().splitlines()) == 1


def test_an_unknown_data_set_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code = run("inspect", "mini-mias")

    assert code == ExitCode.USAGE
    assert "Did you mean mini_mias" in capsys.readouterr().err
