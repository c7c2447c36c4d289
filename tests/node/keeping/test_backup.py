"""A backup of a log that is written meanwhile, and what a restore of it gives back or refuses."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench import BEGIN, Bench, phantom
from node.errors import PermanentError
from node.keeping.backup import MANIFEST, Heading, back_up
from node.keeping.promises import Fault
from node.keeping.restore import restore
from node.keeping.whole import Finding
from node.store import Store
from node.study_log.database import SQLITE_FILE
from peers import files_below


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Two images and a conflict, with an analysis queued."""
    bench = Bench(tmp_path)
    bench.admit(phantom())
    bench.admit(phantom(laterality="L"))
    bench.admit(phantom(PatientComments="another"))
    with bench.database.writing() as session:
        bench.queue.enqueue_analysis(session, study_instance_uid="1.2.3", revision=1, attempt=1)
    yield bench
    bench.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def back_up_(
    bench: Bench, folder: Path, *, has_files: bool = True
) -> tuple[Heading, list[Finding]]:
    return back_up(
        bench.settings.data_dir / SQLITE_FILE,
        bench.store,
        folder,
        has_files=has_files,
        at=BEGIN,
    )


def restore_(folder: Path, data_dir: Path) -> None:
    restore(folder, Store(data_dir), data_dir, migrate=lambda: None)


def contents(data_dir: Path) -> dict[str, bytes]:
    """Give the files of all studies."""
    return {
        path.relative_to(data_dir).as_posix(): path.read_bytes()
        for path in files_below(data_dir / "studies")
    }


def test_a_backup_with_files_gives_everything_back(
    bench: Bench, folder: Path, tmp_path: Path
) -> None:
    heading, findings = back_up_(bench, folder)

    restore_(folder, tmp_path / "restored")

    assert (heading.studies, heading.files, findings) == (1, 3, [])
    assert contents(tmp_path / "restored") == contents(bench.settings.data_dir)
    restored = Bench(tmp_path, data="restored")
    assert [i.path for i in restored.instances()] == [i.path for i in bench.instances()]
    assert restored.queue.waiting_or_running() == {"analysis/1.2.3/1/1"}
    restored.close()


def test_the_manifest_names_every_file_with_its_size_and_hash(bench: Bench, folder: Path) -> None:
    back_up_(bench, folder, has_files=False)

    _, *lines = [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]
    rows = {i.path: (i.size_bytes, i.dataset_sha256) for i in bench.instances()}
    rows |= {c.path: (c.size_bytes, c.dataset_sha256) for c in bench.conflicts()}
    assert {line["path"]: (line["size_bytes"], line["sha256"]) for line in lines} == rows
    assert sorted(path.name for path in folder.iterdir()) == [SQLITE_FILE, MANIFEST]


def test_a_backup_is_of_one_moment_while_others_write(bench: Bench, folder: Path) -> None:
    is_over = threading.Event()

    def receive() -> None:
        seed = 100
        while not is_over.is_set():
            seed += 1
            bench.admit(phantom(seed=seed))

    thread = threading.Thread(target=receive)
    thread.start()
    try:
        folders = [folder / str(number) for number in range(3)]
        made = [back_up_(bench, each) for each in folders]
    finally:
        is_over.set()
        thread.join()

    assert [findings for _, findings in made] == [[], [], []]
    for (heading, _), each in zip(made, folders, strict=True):
        with closing(sqlite3.connect(each / SQLITE_FILE)) as copy:
            count = copy.execute("SELECT count(*) FROM instance").fetchone()[0]
        assert heading.files == count + 1
        assert len(files_below(each / "studies")) == heading.files
    assert made[2][0].files > made[0][0].files


def test_a_file_that_is_damaged_is_copied_and_told_of(bench: Bench, folder: Path) -> None:
    first, second = [bench.store.path(instance.path) for instance in bench.instances()]
    first.write_bytes(first.read_bytes()[:-1] + b"\x7f")
    second.unlink()

    _, findings = back_up_(bench, folder)

    assert [finding.fault for finding in findings] == [Fault.DAMAGED, Fault.MISSING]
    assert len(files_below(folder / "studies")) == 2


def test_a_folder_with_something_in_it_is_left_alone(bench: Bench, folder: Path) -> None:
    folder.mkdir()
    (folder / "yesterday").touch()

    with pytest.raises(PermanentError, match="Expected a new or an empty folder"):
        back_up_(bench, folder)

    assert [path.name for path in folder.iterdir()] == ["yesterday"]


@pytest.mark.parametrize("name", [SQLITE_FILE, "studies/1.2.3/instances/a.dcm", "notes.txt"])
def test_nothing_is_restored_over_what_is_there(
    bench: Bench, folder: Path, tmp_path: Path, name: str
) -> None:
    back_up_(bench, folder)
    there = tmp_path / "restored" / name
    there.parent.mkdir(parents=True)
    there.write_text("mine")

    with pytest.raises(PermanentError, match="Expected an empty data folder, found"):
        restore_(folder, tmp_path / "restored")

    assert there.read_text() == "mine"
    with Store(tmp_path / "restored").owned():
        pass  # a node may start on it


def test_without_files_the_database_joins_the_studies_that_were_copied_before(
    bench: Bench, folder: Path, tmp_path: Path
) -> None:
    back_up_(bench, folder, has_files=False)
    shutil.copytree(bench.settings.data_dir / "studies", tmp_path / "restored" / "studies")

    restore_(folder, tmp_path / "restored")

    assert contents(tmp_path / "restored") == contents(bench.settings.data_dir)
    assert (tmp_path / "restored" / SQLITE_FILE).exists()


def test_nothing_is_restored_into_the_folder_of_a_running_node(
    bench: Bench, folder: Path, tmp_path: Path
) -> None:
    back_up_(bench, folder)

    with (
        Store(tmp_path / "restored").owned(),
        pytest.raises(PermanentError, match="belongs to another running node"),
    ):
        restore_(folder, tmp_path / "restored")


@pytest.mark.parametrize("damage", ["no manifest", "database", "newer"])
def test_a_backup_that_is_not_whole_is_refused(
    bench: Bench, folder: Path, tmp_path: Path, damage: str
) -> None:
    back_up_(bench, folder)
    manifest, database = folder / MANIFEST, folder / SQLITE_FILE
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "database":
        content = bytearray(database.read_bytes())
        content[5000] ^= 1
        database.write_bytes(content)
    else:
        manifest.write_text(
            manifest.read_text().replace('"database_version": "0', '"database_version": "9')
        )

    with pytest.raises(PermanentError):
        restore_(folder, tmp_path / "restored")

    assert not (tmp_path / "restored" / SQLITE_FILE).exists()


def test_an_interrupted_restore_keeps_nodes_away_and_is_begun_anew(
    bench: Bench, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_(bench, folder)
    data_dir = tmp_path / "restored"
    copied: list[str] = []

    def die_after_one() -> None:
        copied.append("one")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(folder, Store(data_dir), data_dir, migrate=lambda: None, on_file=die_after_one)

    with pytest.raises(PermanentError, match="was interrupted"), Store(data_dir).owned():
        pass
    with pytest.raises(PermanentError, match="was interrupted"), Store(data_dir).worked_on():
        pass
    restore_(folder, data_dir)
    assert contents(data_dir) == contents(bench.settings.data_dir)
    with Store(data_dir).owned():
        pass


def test_a_restore_that_is_begun_anew_takes_nothing_from_the_one_before(
    bench: Bench, folder: Path, tmp_path: Path
) -> None:
    back_up_(bench, folder)
    data_dir = tmp_path / "restored"
    Store(data_dir).prepare()
    Store(data_dir).begin_restore()
    with closing(sqlite3.connect(data_dir / SQLITE_FILE)) as before:
        before.executescript("PRAGMA journal_mode = WAL; CREATE TABLE of_another_backup (x)")
        wal = (data_dir / f"{SQLITE_FILE}-wal").read_bytes()
    (data_dir / f"{SQLITE_FILE}-wal").write_bytes(wal)  # as a process leaves it that was killed

    restore_(folder, data_dir)

    restored = Bench(tmp_path, data="restored")
    assert [i.path for i in restored.instances()] == [i.path for i in bench.instances()]
    restored.close()


def test_a_damaged_database_makes_no_backup(bench: Bench, folder: Path) -> None:
    bench.close()
    database = bench.settings.data_dir / SQLITE_FILE
    content = bytearray(database.read_bytes())
    for page in range(2, 40):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    database.write_bytes(content)

    with pytest.raises((PermanentError, sqlite3.DatabaseError)):
        back_up_(bench, folder)

    assert not (folder / MANIFEST).exists()
