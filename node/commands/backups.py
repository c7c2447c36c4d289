"""``mammonode backup`` and ``restore``: the database, its manifest, and the files if wanted."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node import upgrade
from node.commands.fsck import Examined, examine, print_finding
from node.commands.open_log import open_log
from node.commands.options import progress_bar
from node.errors import PermanentError, TransientError
from node.keeping.backup import Heading, back_up, count_files, read_heading
from node.keeping.promises import Fault
from node.keeping.restore import restore
from node.keeping.whole import Finding
from node.settings import Settings
from node.store import Store
from node.study_log.database import SQLITE_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A backup that was made; `findings` are files that could not be copied whole."""

    heading: Heading
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A backup that was put back, and what was found in the data folder afterwards."""

    heading: Heading
    examined: Examined

    @property
    def lost(self) -> int:
        """How many files the log promises that are not there as they were."""
        faults = (Fault.MISSING, Fault.DAMAGED, Fault.UNREADABLE)
        return sum(finding.fault in faults for finding, _ in self.examined.findings)


def make_backup(
    settings: Settings, folder: Path, *, has_files: bool, is_quiet: bool, progress: bool
) -> BackedUp:
    """Make a backup, and print what could not be copied."""
    if settings.database.url:
        raise PermanentError(
            reason="The study log is in PostgreSQL: copy it with `pg_dump --format=custom`, and "
            "the data folder after it."
        )
    database_file = settings.data_dir / SQLITE_FILE
    with _failures_explained(folder), open_log(settings):
        total = count_files(database_file) if has_files and progress else 0
        with progress_bar("Files", total, is_shown=has_files and progress) as on_file:
            heading, findings = back_up(
                database_file,
                Store(settings.data_dir),
                folder,
                has_files=has_files,
                at=datetime.now(UTC),
                on_file=on_file,
            )
    if not is_quiet:
        for finding in findings:
            print_finding(finding, "")
    return BackedUp(heading=heading, findings=tuple(findings))


def put_back(
    settings: Settings, folder: Path, *, reads_files: bool, is_quiet: bool, progress: bool
) -> Restored:
    """Put a backup into the data folder, look at everything, and print what is wrong."""
    if settings.database.url:
        raise PermanentError(
            reason="The settings name a PostgreSQL database: restore it with `pg_restore`, and "
            "the data folder beside it; then run `mammonode fsck`."
        )
    with _failures_explained(settings.data_dir):
        heading = read_heading(folder)
        shown = progress and heading.has_files
        with progress_bar("Files", heading.files, is_shown=shown) as on_file:
            restore(
                folder,
                Store(settings.data_dir),
                settings.data_dir,
                migrate=lambda: upgrade.migrate(settings),
                on_file=on_file,
            )
    examined = examine(
        settings,
        mends=False,
        reads_files=reads_files,
        on_finding=(lambda *_: None) if is_quiet else print_finding,
        progress=progress,
    )
    return Restored(heading=heading, examined=examined)


def backup_summary(made: BackedUp, folder: Path) -> str:
    """Say what is in the backup, and what is not."""
    heading = made.heading
    what = f"{heading.files} files ({heading.file_bytes / 1024**3:.1f} GiB)"
    if not heading.has_files:
        files = f"Its {what} are listed and not copied: copy studies/ after it."
    elif made.findings:
        files = f"Of its {what} {len(made.findings)} are not whole: `mammonode fsck` looks closer."
    else:
        files = f"Its {what} are copied and whole."
    return f"Database of {heading.studies} studies in {folder}. {files}"


def restore_summary(restored: Restored) -> str:
    """Say what is there again, and what to do about the rest."""
    heading, findings = restored.heading, restored.examined.findings
    text = f"{heading.studies} studies, as of {heading.made_at}. "
    if restored.lost:
        text += f"{restored.lost} of {heading.files} files are missing or damaged. "
    else:
        text += f"{heading.files} files, all whole. "
    if len(findings) > restored.lost:
        text += "There are others that the log does not know. "
    if findings:
        text += "`mammonode fsck --repair` mends what can be mended. "
    return text + "`mammonode serve` goes on with what was under way."


def restore_document(restored: Restored) -> dict[str, Any]:
    """Give what ``--json`` prints."""
    return {
        "heading": restored.heading,
        "findings": [asdict(finding) for finding, _ in restored.examined.findings],
    }


@contextmanager
def _failures_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransientError(
            reason=f"Expected to copy to {folder}; found {error.strerror or error}. What is there "
            "is not whole: empty it, and begin anew"
        ) from error
    except sqlite3.Error as error:
        raise PermanentError(reason=f"The database cannot be copied: {error}") from error
