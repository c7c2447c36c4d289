"""``mammonode backup`` and ``restore``: what is printed, and how they end."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import Bench, phantom
from command_line import run
from node.commands.options import ExitCode


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A log of two images, which the environment names."""
    bench = Bench(tmp_path)
    bench.admit(phantom())
    bench.admit(phantom(laterality="L"))
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(bench.settings.data_dir))
    yield bench
    bench.close()


def test_a_backup_says_what_is_in_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "monday"

    listed = run(capsys, "backup", str(folder))
    copied = run(capsys, "backup", str(tmp_path / "tuesday"), "--with-files", "--json")

    assert (listed.code, copied.code) == (0, 0)
    assert f"Database of 1 studies in {folder}." in listed.err
    assert "listed and not copied: copy studies/ after it" in listed.err
    assert json.loads(copied.out)["heading"]["files"] == 2


def test_a_backup_is_restored_and_looked_at(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "backup", str(tmp_path / "monday"), "--with-files")
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path / "restored"))

    ended = run(capsys, "restore", str(tmp_path / "monday"))
    again = run(capsys, "restore", str(tmp_path / "monday"))

    assert ended.code == 0
    assert "2 files, all whole" in ended.err
    assert run(capsys, "fsck").code == 0
    assert again.code == ExitCode.FAILURE
    assert "Expected an empty data folder" in again.err


def test_what_is_restored_has_the_tables_of_this_version_all_of_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "backup", str(tmp_path / "monday"))
    before = run(capsys, "database", "upgrade", "--check")
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path / "restored"))

    run(capsys, "restore", str(tmp_path / "monday"))

    assert before.code == ExitCode.FAILURE  # of the queue there are none yet
    assert run(capsys, "database", "upgrade", "--check").code == 0


def test_files_that_a_restore_lacks_are_named_and_end_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "backup", str(tmp_path / "monday"))
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(tmp_path / "restored"))

    ended = run(capsys, "restore", str(tmp_path / "monday"))

    assert ended.code == ExitCode.FAILURE
    assert ended.out.count("missing") == 2
    assert "2 of 2 files are missing or damaged" in ended.err


def test_a_file_that_cannot_be_copied_whole_ends_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, bench: Bench
) -> None:
    place = bench.instances()[0].path
    bench.store.path(place).write_bytes(b"")

    ended = run(capsys, "backup", str(tmp_path / "monday"), "--with-files")

    assert ended.code == ExitCode.FAILURE
    assert ended.out.startswith(f"damaged     {place}")


def test_a_folder_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    ended = run(capsys, "backup", str(tmp_path / "file" / "monday"))

    assert ended.code == ExitCode.TRY_AGAIN
    assert ended.err.count("\n") == 1
    assert "Not a directory" in ended.err


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_postgresql_is_left_to_its_own_tools(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setenv("MAMMONODE_DATABASE__URL", "postgresql+psycopg://node@127.0.0.1:9/nothing")
    tmp_path.joinpath("monday").mkdir()

    ended = run(capsys, command, str(tmp_path / "monday"))

    assert ended.code == ExitCode.FAILURE
    assert ("pg_dump" if command == "backup" else "pg_restore") in ended.err
