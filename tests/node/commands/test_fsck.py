"""``mammonode fsck``: what is printed, and how it ends."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import Bench, phantom
from command_line import run
from node.commands.options import ExitCode
from node.keeping.whole import Examiner, Finding
from node.service.run_files import first_free_slot


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A log of two images, which the environment names."""
    bench = Bench(tmp_path)
    bench.admit(phantom())
    bench.admit(phantom(laterality="L"))
    monkeypatch.setenv("MAMMONODE_DATA_DIR", str(bench.settings.data_dir))
    yield bench
    bench.close()


def test_a_whole_data_folder_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    ended = run(capsys, "fsck")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "1 studies, 2 files, 0.0 GiB: all whole.\n"


def test_a_finding_is_one_line_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], bench: Bench
) -> None:
    (place, _) = [instance.path for instance in bench.instances()]
    bench.store.path(place).unlink()

    ended = run(capsys, "fsck")

    assert ended.code == ExitCode.FAILURE
    assert ended.out == f"missing     {place}: a row promises it\n"
    assert "1 findings" in ended.err


def test_what_was_mended_ends_with_0(capsys: pytest.CaptureFixture[str], bench: Bench) -> None:
    bench.store.path(bench.instances()[0].path).unlink()

    ended = run(capsys, "fsck", "--repair")
    again = run(capsys, "fsck", "--json")

    assert ended.code == 0
    assert "logged as lost; have the PACS send it again" in ended.out
    assert "1 mended" in ended.err
    assert json.loads(again.out)["findings"] == []


def test_beside_a_running_node_it_says_what_it_passed_over(
    capsys: pytest.CaptureFixture[str], bench: Bench
) -> None:
    with bench.store.owned():
        ended = run(capsys, "fsck")

    assert ended.code == 0
    assert "A node runs on this data folder" in ended.err


def test_a_worker_alone_is_a_node_that_runs(
    capsys: pytest.CaptureFixture[str], bench: Bench
) -> None:
    (bench.store.incoming / "of another machine").touch()
    with first_free_slot(bench.settings.data_dir, "worker"):
        ended = run(capsys, "fsck")

    assert ended.code == 0
    assert "A node runs on this data folder" in ended.err


def test_a_disk_that_is_not_there_is_not_mended(
    capsys: pytest.CaptureFixture[str], bench: Bench
) -> None:
    studies = bench.store.path("studies")
    studies.rename(studies.with_name("elsewhere"))

    ended = run(capsys, "fsck", "--repair")

    assert ended.code == ExitCode.FAILURE
    assert "Is the disk mounted" in ended.err
    assert bench.instances()[0].removed_at is None


def test_a_disk_that_goes_while_it_is_looked_at_is_not_mended(
    capsys: pytest.CaptureFixture[str], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = bench.store.path("studies")
    look = Examiner.examine

    def look_without_disk(self: Examiner, on_study: Callable[[], None]) -> Iterator[Finding]:
        studies.rename(studies.with_name("elsewhere"))
        return look(self, on_study)

    monkeypatch.setattr(Examiner, "examine", look_without_disk)

    ended = run(capsys, "fsck", "--repair")

    assert ended.code == ExitCode.FAILURE
    assert "Is the disk mounted" in ended.err
    assert bench.instances()[0].removed_at is None
