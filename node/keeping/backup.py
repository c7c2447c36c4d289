"""Copies the database of a running node, with a manifest of the files that belong to it.

::

    DIR/
    ├── mammonode.sqlite    study log and queue, of one moment (SQLite online backup)
    ├── manifest.jsonl      a heading, then one line for each file that the log promises
    └── studies/…           those files, only if they were asked for

The manifest comes last: without it there is no backup. The data sets are the bulk of it all, and
are commonly copied by other means; the database goes first then, so that whatever the log promises
was there when the copying began.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from node import __version__
from node.errors import PermanentError
from node.keeping.promises import Fault, Promise, promises_of, wrong_with
from node.keeping.whole import Finding
from node.store import Store, flush_to_disk
from node.study_log.database import SQLITE_FILE, Database, newest_version, sqlite_url
from node.study_log.tables import Study

MANIFEST = "manifest.jsonl"
FORMAT = 1
"""Of the manifest and the folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The first line of a manifest.

    Attributes
    ----------
    format
        ``FORMAT`` of the software that wrote it.
    made_at
        ISO 8601, UTC: the moment that the database was copied.
    software_version, database_version
        Of mammonode, and of its tables.
    database_sha256, database_bytes
        Of the copy of the database.
    has_files
        Whether the files are here too.
    studies, files, file_bytes
        How many studies the log knows, and which files it promises for them.
    """

    format: int
    made_at: str
    software_version: str
    database_version: str
    database_sha256: str
    database_bytes: int
    has_files: bool
    studies: int
    files: int
    file_bytes: int


def back_up(
    database_file: Path,
    store: Store,
    folder: Path,
    *,
    has_files: bool,
    at: datetime,
    on_file: Callable[[], None] = lambda: None,
) -> tuple[Heading, list[Finding]]:
    """Copy the database, and the files if they are wanted; the node may be running.

    Parameters
    ----------
    database_file
        The SQLite database of the node.
    store
        Of its files.
    folder
        Where to; new or empty.
    has_files
        Whether the files are copied too.
    at
        Now, aware UTC.
    on_file
        Called after each file, for those who show progress.

    Returns
    -------
    heading
        Of the manifest that was written.
    findings
        Files that could not be copied whole, though the log still promises them.

    Raises
    ------
    PermanentError
        If the folder is not empty.
    OSError
        If there is no room, or a disk fails.
    sqlite3.Error
        If the database cannot be copied.
    """
    if folder.exists() and any(folder.iterdir()):
        raise PermanentError(reason=f"Expected a new or an empty folder, found files in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / SQLITE_FILE
    _copy_database(database_file, copy)
    part = folder / f"{MANIFEST}.part"
    studies = files = file_bytes = 0
    findings: list[Finding] = []
    with part.open("w", encoding="utf-8") as lines:
        for study_instance_uid, promises in _promises_in(copy):
            studies += 1
            for path, promise in promises.items():
                files += 1
                file_bytes += promise.size_bytes
                lines.write(_line(path=path, **asdict(promise)))
                if has_files:
                    wrong = _copy_file(store.path(path), folder / path, promise)
                    if wrong is not None:
                        findings.append(_finding(study_instance_uid, path, promise, wrong))
                    on_file()
    heading = Heading(
        format=FORMAT,
        made_at=at.isoformat(timespec="seconds"),
        software_version=__version__,
        database_version=newest_version(),
        database_sha256=_sha256(copy),
        database_bytes=copy.stat().st_size,
        has_files=has_files,
        studies=studies,
        files=files,
        file_bytes=file_bytes,
    )
    _write_manifest(folder, heading, part)
    return heading, findings


def count_files(database_file: Path) -> int:
    """Say how many files the log promises."""
    return sum(len(promises) for _, promises in _promises_in(database_file))


def read_heading(folder: Path) -> Heading:
    """Read what a backup says of itself, and make sure that its database is the one it speaks of.

    Raises
    ------
    PermanentError
        If it is no backup, is damaged, or is of a newer version.
    """
    try:
        with (folder / MANIFEST).open(encoding="utf-8") as lines:
            fields: dict[str, Any] = json.loads(lines.readline())
        if fields.get("format") != FORMAT:
            raise PermanentError(
                reason=f"Expected a backup of format {FORMAT} in {folder}, found format "
                f"{fields.get('format')}. Use the mammonode that made it."
            )
        heading = Heading(**fields)
    except (OSError, ValueError, TypeError) as error:
        raise PermanentError(
            reason=f"Expected a backup with {MANIFEST} in {folder}, found none that is whole"
        ) from error
    if heading.database_version > newest_version():
        raise PermanentError(
            reason=f"The backup has tables of version {heading.database_version}, this software "
            f"{newest_version()}. Use the mammonode that made it."
        )
    copy = folder / SQLITE_FILE
    if not copy.is_file() or _sha256(copy) != heading.database_sha256:
        raise PermanentError(
            reason=f"The database {copy} is not the one that the manifest speaks of: "
            "the backup is damaged"
        )
    return heading


def manifest_paths(folder: Path) -> Iterator[str]:
    """Give the path of every file that a backup speaks of, relative to the data folder."""
    with (folder / MANIFEST).open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            yield str(json.loads(line)["path"])


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that others may be writing, as it is at one moment, into a single file."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)  # all pages in one step: writers go on, and nothing begins anew
        copy.execute("PRAGMA journal_mode = DELETE")
        (verdict,) = copy.execute("PRAGMA quick_check").fetchone()
    if verdict != "ok":
        raise PermanentError(
            reason=f"The database {source} is damaged: {verdict}. Keep it as it is, and restore "
            "the newest backup that is whole; `mammonode fsck --repair` takes in what came since."
        )
    flush_to_disk(target)


def _promises_in(database_file: Path) -> Iterator[tuple[str, dict[str, Promise]]]:
    """Read study by study what a database promises."""
    database = Database(sqlite_url(database_file))
    try:
        with database.reading() as session:
            uids = session.scalars(select(Study.study_instance_uid).order_by(Study.id)).all()
        for uid in uids:
            with database.reading() as session:
                promises = promises_of(session, uid)
            yield uid, promises
    finally:
        database.close()


def _copy_file(source: Path, target: Path, promise: Promise) -> tuple[Fault, str] | None:
    """Copy one file, and look at the copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        return Fault.MISSING, "a row promises it"
    flush_to_disk(target)
    return wrong_with(target, promise, reads_file=True)


def _finding(
    study_instance_uid: str, path: str, promise: Promise, wrong: tuple[Fault, str]
) -> Finding:
    fault, detail = wrong
    return Finding(
        fault=fault,
        kind=promise.kind,
        path=path,
        study_instance_uid=study_instance_uid,
        detail=detail,
    )


def _write_manifest(folder: Path, heading: Heading, lines: Path) -> None:
    """Put the heading before the lines; the last thing that is written."""
    whole = folder / f"{MANIFEST}.whole"
    with whole.open("w", encoding="utf-8") as manifest:
        manifest.write(_line(**asdict(heading)))
        with lines.open(encoding="utf-8") as source:
            shutil.copyfileobj(source, manifest)
        manifest.flush()
        os.fsync(manifest.fileno())
    lines.unlink()
    whole.replace(folder / MANIFEST)
    flush_to_disk(folder)


def _line(**fields: object) -> str:
    return json.dumps(fields) + "\n"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
