"""Is everything whole? The rows of the study log against the files of the store, both ways.

What one look finds and the next does not was a node at work: it is passed over. So is, while a node
runs on the data folder, whatever is too young for its row to be there yet.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.attributes import VALUE_ERRORS
from node.analysis.rescue import UNDER_WAY
from node.errors import PermanentError, RejectedInstance
from node.header import dataset_offset, read_header, sha256_from, text_of
from node.keeping.promises import Fault, Kind, Promise, promises_of, wrong_with
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import (
    Conflict,
    ConflictState,
    Gone,
    Instance,
    Removal,
    Revision,
    Study,
)

FSCK = "mammonode fsck"
"""Who decided about a conflict whose file is gone."""
YOUNG_S = 3600
"""A file without a row is left alone for so long while a node runs: the row may be on its way."""

_INSTANCE = re.compile(
    r"studies/[0-9.]+/(?:instances|conflicts)/(?P<uid>[0-9.]+)\.(?P<digits>[0-9a-f]{16})\.dcm"
)
_RESULT = re.compile(r"studies/[0-9.]+/results/(?P<revision>[0-9]+)/[^/]+\.(?:dcm|npz)")
_NOT_DICOM = (*VALUE_ERRORS, RejectedInstance, InvalidDicomError, AttributeError, EOFError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be.

    Attributes
    ----------
    path
        Relative to the data folder.
    study_instance_uid
        Of the row, or of the folder that the file lies in; empty for none.
    detail
        What was expected and found.
    """

    fault: Fault
    kind: Kind
    path: str
    study_instance_uid: str
    detail: str


@dataclass(slots=True, kw_only=True)
class Looked:
    """How much was looked at so far."""

    studies: int = 0
    files: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the log says of one study."""

    promises: dict[str, Promise]
    given_up: frozenset[str]
    under_way: frozenset[int]


class Examiner:
    """Looks at all files and rows of one data folder.

    Parameters
    ----------
    database
        The study log.
    store
        Of the files.
    now
        Aware UTC; decides what is young.
    is_alone
        Whether no node runs on the data folder, and none can start meanwhile.
    reads_files
        Whether the SHA-256 is looked at too, and not the size alone: every byte is read.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        *,
        now: Callable[[], datetime],
        is_alone: bool,
        reads_files: bool = True,
    ) -> None:
        self._database = database
        self._store = store
        self._now = now
        self._is_alone = is_alone
        self._reads_files = reads_files
        self.looked = Looked()

    def count_studies(self) -> int:
        """Say how many studies there will be to look at."""
        return len(self._folders())

    def require_files(self) -> None:
        """Make sure that there are any files, where the log promises some.

        Raises
        ------
        PermanentError
            If there is not one: then the disk is missing, and not what was on it.
        """
        with self._database.reading() as session:
            promised = session.scalar(
                select(Instance.path).where(Instance.removed_at.is_(None)).limit(1)
            )
        has_any = any(self._store.places_below(each) for each in self._store.study_places())
        if promised is not None and not has_any:
            raise PermanentError(
                reason="The study log knows instances, and the data folder holds not one file "
                "of a study. Is the disk mounted? Nothing was changed."
            )

    def examine(self, on_study: Callable[[], None] = lambda: None) -> Iterator[Finding]:
        """Look at everything, study by study.

        Parameters
        ----------
        on_study
            Called after each study, for those who show progress.

        Yields
        ------
        finding
            As soon as it is certain.
        """
        for folder in self._folders():
            findings = self._study(folder, self.looked)
            if findings:  # once more: a node may have been between file and row
                again = self._study(folder, Looked())
                yield from (finding for finding in findings if finding in again)
            self.looked.studies += 1
            on_study()
        if self._is_alone:
            for path in self._store.places_below("incoming"):
                yield _finding(Fault.LEFT_OVER, path, "of a reception that never ended")

    def _folders(self) -> list[str]:
        """List the folders of studies that have a row or are there."""
        with self._database.reading() as session:
            uids = session.scalars(select(Study.study_instance_uid)).all()
        rows = {self._store.study_place(uid) for uid in uids}
        return sorted(rows | set(self._store.study_places()))

    def _study(self, folder: str, looked: Looked) -> list[Finding]:
        uid = folder.removeprefix("studies/")
        with self._database.reading() as session:
            known = _known(session, uid)
        findings = []
        for path, promise in known.promises.items():
            looked.files += 1
            looked.size_bytes += promise.size_bytes
            wrong = wrong_with(self._store.path(path), promise, reads_file=self._reads_files)
            if wrong is not None:
                fault, detail = wrong
                findings.append(
                    Finding(
                        fault=fault,
                        kind=promise.kind,
                        path=path,
                        study_instance_uid=uid,
                        detail=detail,
                    )
                )
        for path in self._store.places_below(folder):
            if path in known.promises or path in known.given_up or self._is_young(path):
                continue
            looked.files += 1
            findings += self._unpromised(path, known)
        return findings

    def _is_young(self, path: str) -> bool:
        if self._is_alone:
            return False
        try:
            written_s = self._store.path(path).stat().st_mtime
        except FileNotFoundError:
            return True
        return self._now().timestamp() - written_s < YOUNG_S

    def _unpromised(self, path: str, known: _Known) -> list[Finding]:
        """Judge a file that no row of its study promises."""
        if path.endswith(".part"):
            return [_finding(Fault.LEFT_OVER, path, "of a write that never ended")]
        result = _RESULT.fullmatch(path)
        if result is not None:
            if int(result["revision"]) in known.under_way:
                return []
            return [_finding(Fault.LEFT_OVER, path, "of an analysis that left no result")]
        if _INSTANCE.fullmatch(path) is None:
            return [_finding(Fault.STRANGE, path, "nothing that the node writes")]
        try:
            return [self._unpromised_instance(path)]
        except FileNotFoundError:
            return []
        except OSError as error:
            return [_finding(Fault.UNREADABLE, path, str(error.strerror))]
        except _NOT_DICOM:
            return [_finding(Fault.STRANGE, path, "no whole DICOM instance")]

    def _unpromised_instance(self, path: str) -> Finding:
        sop_instance_uid, sha256 = identify(self._store, path)
        name = _INSTANCE.fullmatch(path)
        if name is None or (name["uid"], name["digits"]) != (sop_instance_uid, sha256[:16]):
            return _finding(Fault.STRANGE, path, "not the data set that its name says")
        with self._database.reading() as session:
            held = held_at(session, sop_instance_uid, sha256)
            is_gone = _is_given_up(session, sop_instance_uid, sha256)
        if held is not None and self._store.path(held).exists():
            return _finding(Fault.LEFT_OVER, path, f"the same data set is at {held}")
        if held is None and is_gone:
            return _finding(Fault.LEFT_OVER, path, "its row says that it was given up")
        return _finding(Fault.UNKNOWN, path, "a whole instance that no row knows")


def identify(store: Store, path: str) -> tuple[str, str]:
    """Read SOP Instance UID and SHA-256 of the data set in a file, and make sure that it is whole.

    Raises
    ------
    RejectedInstance
        If it is not.
    OSError
        If the file cannot be read.
    """
    file = store.path(path)
    offset = dataset_offset(file)
    header = read_header(
        file,
        transfer_syntax_uid=str(read_file_meta_info(file).TransferSyntaxUID),
        dataset_offset=offset,
    )
    return text_of(header, "SOPInstanceUID"), sha256_from(file, offset)


def _known(session: Session, study_instance_uid: str) -> _Known:
    """Read what the log says of a study; nothing, if it has no row."""
    study_id = session.scalar(
        select(Study.id).where(Study.study_instance_uid == study_instance_uid)
    )
    given_up = session.scalars(select(Removal.path).where(Removal.study_id == study_id))
    under_way = session.scalars(
        select(Revision.number).where(
            Revision.study_id == study_id,
            Revision.state.in_([state.value for state in UNDER_WAY]),
        )
    )
    return _Known(
        promises=promises_of(session, study_instance_uid),
        given_up=frozenset(given_up),
        under_way=frozenset(under_way),
    )


def held_at(session: Session, sop_instance_uid: str, sha256: str) -> str | None:
    """Find where the log has a data set, in the first place or aside."""
    instance = session.scalars(
        select(Instance.path).where(
            Instance.sop_instance_uid == sop_instance_uid,
            Instance.dataset_sha256 == sha256,
            Instance.removed_at.is_(None),
        )
    ).one_or_none()
    if instance is not None:
        return instance
    return session.scalars(
        select(Conflict.path)
        .join(Instance, Instance.id == Conflict.instance_id)
        .where(
            Instance.sop_instance_uid == sop_instance_uid,
            Conflict.dataset_sha256 == sha256,
            Conflict.state == ConflictState.OPEN,
        )
    ).one_or_none()


def _is_given_up(session: Session, sop_instance_uid: str, sha256: str) -> bool:
    """Say whether the log let go of this very data set: by retention, on request, in a conflict.

    What was lost is not meant: that turns up again.
    """
    removed = select(Instance.id).where(
        Instance.sop_instance_uid == sop_instance_uid,
        Instance.dataset_sha256 == sha256,
        Instance.removed_because != Gone.LOST,
    )
    decided = (
        select(Conflict.id)
        .join(Instance, Instance.id == Conflict.instance_id)
        .where(
            Instance.sop_instance_uid == sop_instance_uid,
            Conflict.dataset_sha256 == sha256,
            Conflict.decided_by != FSCK,
        )
    )
    return session.scalar(removed) is not None or session.scalar(decided) is not None


def _finding(fault: Fault, path: str, detail: str) -> Finding:
    uid = path.split("/")[1] if path.startswith("studies/") else ""
    return Finding(fault=fault, kind=Kind.FILE, path=path, study_instance_uid=uid, detail=detail)
