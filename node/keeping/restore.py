"""Puts a backup into an empty data folder; what was under way then goes on where it was."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from node.errors import PermanentError
from node.keeping.backup import Heading, manifest_paths, read_heading
from node.store import Store, flush_to_disk
from node.study_log.database import SQLITE_FILE


def restore(
    folder: Path,
    store: Store,
    data_dir: Path,
    *,
    migrate: Callable[[], None],
    on_file: Callable[[], None] = lambda: None,
) -> Heading:
    """Copy a backup into a data folder; `node.keeping.whole` tells afterwards what is there.

    The database comes last, so that a node never opens one whose files are still on their way. An
    interrupted restore is begun anew by the next one.

    Parameters
    ----------
    folder
        The backup.
    store
        Of the data folder.
    data_dir
        The data folder: new or empty, but for ``studies`` where the backup holds no files.
    migrate
        Brings the tables to this software's version, so that commands can read them at once.
    on_file
        Called after each file, for those who show progress.

    Returns
    -------
    heading
        What the backup says of itself.

    Raises
    ------
    PermanentError
        If a node or a worker runs on the folder, it is not empty, or the backup is damaged or of a
        newer version.
    OSError
        If there is no room, or a disk fails.
    """
    heading = read_heading(folder)
    with store.alone(for_restore=True):
        if not store.is_being_restored:
            _require_empty(data_dir, heading)
        store.begin_restore()
        if heading.has_files:
            for path in manifest_paths(folder):
                _copy(folder / path, store, path)
                on_file()
        part = data_dir / f"{SQLITE_FILE}.part"
        shutil.copyfile(folder / SQLITE_FILE, part)
        with closing(sqlite3.connect(part)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise PermanentError(reason=f"The database of the backup is damaged: {verdict}")
        flush_to_disk(part)
        for suffix in ("-wal", "-shm"):  # of an interrupted restore: SQLite would replay it
            (data_dir / f"{SQLITE_FILE}{suffix}").unlink(missing_ok=True)
        part.replace(data_dir / SQLITE_FILE)
        flush_to_disk(data_dir)
        migrate()
        store.end_restore()
    return heading


def _copy(source: Path, store: Store, path: str) -> None:
    """Copy a file of the backup; one that it lacks is told of when everything is looked at."""
    if not source.exists():
        return
    store.prepare()
    arriving = store.incoming / "restoring"
    shutil.copyfile(source, arriving)
    store.keep(arriving, path)


def _require_empty(data_dir: Path, heading: Heading) -> None:
    """Refuse a folder that holds what a restore would hide or overwrite."""
    own = {"lock", "workers", "run"} | (set() if heading.has_files else {"studies"})
    found = sorted(path.name for path in data_dir.iterdir() if path.name not in own)
    found = [name for name in found if not _is_empty_folder(data_dir / name)]
    if found:
        allowed = "" if heading.has_files else " but for studies/"
        raise PermanentError(
            reason=f"Expected an empty data folder{allowed}, found {', '.join(found)} in "
            f"{data_dir}. Move it away, or set another data_dir."
        )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
