"""Files that are whole or not there: written aside, synced, and renamed into their place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import RunError

_UNFINISHED = ".unfinished-"


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Give the path to write to; what was written there becomes `file` when the block ends.

    A reader finds the old file or the new one, whenever this process ends and whatever ends it.

    Parameters
    ----------
    file
        Where the content belongs.

    Yields
    ------
    unfinished
        In the same folder, which is made if need be, with the same ending.

    Raises
    ------
    RunError
        If the disk is full, or does not take the file for another reason; `file` is as it was.
    """
    unfinished = file.with_name(_UNFINISHED + file.name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        sync(unfinished)
        unfinished.replace(file)
        sync(file.parent)
    except OSError as error:
        raise disk_error(file, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder.

    Parameters
    ----------
    path
        Of either.

    Raises
    ------
    OSError
        If it is not there, or the disk does not take it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(where: Path, error: OSError) -> RunError:
    """Say that the disk did not take a file.

    Parameters
    ----------
    where
        The file, or the folder where it is not known.
    error
        What the operating system said.
    """
    return RunError(
        where=where,
        expected="room to write it",
        found=os.strerror(error.errno) if error.errno else str(error),
        to_do="Make room, and give the same command again. What was written before is whole, and a "
        "run goes on from its last whole epoch.",
    )
