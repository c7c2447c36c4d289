"""Which files the study log promises, and whether a file is the one that was promised."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.errors import RejectedInstance
from node.header import dataset_offset, sha256_from
from node.study_log.tables import (
    Conflict,
    ConflictState,
    Instance,
    Result,
    Revision,
    Study,
)


class Fault(StrEnum):
    """What is wrong with a file.

    MISSING: a row promises it. DAMAGED: it has not the size or the SHA-256 that its row says.
    UNREADABLE: the disk does not give it now. UNKNOWN: a whole instance that no row knows, as after
    a database was restored that is older than the files. LEFT OVER: nobody will ever ask for it.
    STRANGE: nothing that the node writes, or no whole instance; only a person can tell.
    """

    MISSING = "missing"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"
    LEFT_OVER = "left over"
    STRANGE = "strange"


class Kind(StrEnum):
    """Which table promises a file; FILE: none."""

    INSTANCE = "instance"
    CONFLICT = "conflict"
    RESULT = "result"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a row says of a file.

    Attributes
    ----------
    size_bytes, sha256
        Of the data set alone, without the file meta information, for what was received; of the
        whole file for a result. `sha256` is None for results from before it was kept.
    """

    kind: Kind
    size_bytes: int
    sha256: str | None


def promises_of(session: Session, study_instance_uid: str) -> dict[str, Promise]:
    """Read which files a study should have.

    Parameters
    ----------
    session
        Of the study log.
    study_instance_uid
        Study Instance UID (0020,000D).

    Returns
    -------
    promises
        By path relative to the data folder; none for a study that is not in the log.
    """
    is_it = Study.study_instance_uid == study_instance_uid
    results = session.execute(
        select(Result.path, Result.size_bytes, Result.file_sha256)
        .join(Revision, Revision.id == Result.revision_id)
        .join(Study, Study.id == Revision.study_id)
        .where(is_it, Result.removed_at.is_(None))
    )
    conflicts = session.execute(
        select(Conflict.path, Conflict.size_bytes, Conflict.dataset_sha256)
        .join(Instance, Instance.id == Conflict.instance_id)
        .join(Study, Study.id == Instance.study_id)
        .where(is_it, Conflict.state == ConflictState.OPEN)
    )
    instances = session.execute(
        select(Instance.path, Instance.size_bytes, Instance.dataset_sha256)
        .join(Study, Study.id == Instance.study_id)
        .where(is_it, Instance.removed_at.is_(None))
    )
    return {
        path: Promise(kind=kind, size_bytes=size_bytes, sha256=sha256)
        for kind, rows in (
            (Kind.RESULT, results),
            (Kind.CONFLICT, conflicts),
            (Kind.INSTANCE, instances),
        )
        for path, size_bytes, sha256 in rows
    }


def is_promised(session: Session, study_instance_uid: str, path: str) -> bool:
    """Say whether a row of the study promises a file."""
    return path in promises_of(session, study_instance_uid)


def wrong_with(file: Path, promise: Promise, *, reads_file: bool) -> tuple[Fault, str] | None:
    """Say what is wrong with a file that a row promises; None if nothing is.

    Parameters
    ----------
    file
        Where it should be.
    promise
        What the row says.
    reads_file
        Whether every byte is read, and not its size alone looked at.
    """
    try:
        offset = 0 if promise.kind is Kind.RESULT else dataset_offset(file)
        size_bytes = file.stat().st_size - offset
        if size_bytes != promise.size_bytes:
            return Fault.DAMAGED, f"expected {promise.size_bytes} bytes, found {size_bytes}"
        if reads_file and promise.sha256 is not None:
            sha256 = sha256_from(file, offset)
            if sha256 != promise.sha256:
                return Fault.DAMAGED, (
                    f"expected SHA-256 {promise.sha256[:16]}, found {sha256[:16]}"
                )
    except FileNotFoundError:
        return Fault.MISSING, "a row promises it"
    except RejectedInstance as error:
        return Fault.DAMAGED, error.reason
    except OSError as error:
        return Fault.UNREADABLE, str(error.strerror)
    return None
