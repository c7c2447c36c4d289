"""Files that a command leaves where a person asked for them: whole, or not at all."""

from pathlib import Path

from node.errors import PermanentError, TransientError


def make_folder(folder: Path) -> None:
    """Make a folder that is not there yet, with those above it.

    Raises
    ------
    PermanentError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermanentError(
            reason=f"Expected a folder that can be written to at {folder}: {error.strerror}"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in a folder that is there; one of that name is replaced.

    Raises
    ------
    TransientError
        If it cannot be written; then nothing of it is there, and the one before is.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TransientError(reason=f"{path} cannot be written: {error.strerror}") from error
