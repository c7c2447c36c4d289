"""Composite instances on disk: what is kept here survives a power cut.

::

    data_dir/
    ├── lock                                        held by the one node that owns the folder
    ├── workers                                     held by all workers that run on it
    ├── restoring                                   only while a backup is put into it
    ├── incoming/                                   being received; emptied at start
    └── studies/<Study Instance UID>/
        ├── instances/<SOP Instance UID>.<hash>.dcm   acknowledged, as it came
        ├── conflicts/<SOP Instance UID>.<hash>.dcm   another data set under a UID that is taken
        └── results/<revision>/<SOP Instance UID>.dcm
                               analysis.npz             only while its results are being written

The hash (first digits of the data set's SHA-256) is in the name so that no file is ever written
over by another data set, whoever comes first. The study log knows the place of every file; a file
that it does not know was never acknowledged.
"""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from node.errors import PermanentError

MAX_UID_LENGTH = 64
RESTORING = "restoring"
"""Stands in a data folder as long as a backup is being put into it."""
_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_HASH_DIGITS = 16
_FLUSHED_KNOWN = 1000
"""Folders whose names are known to be durable; one that was forgotten is flushed once more."""


def is_uid(value: str) -> bool:
    """Say whether a value can be a UID, and a file name with it.

    Digits and single dots, 64 characters at the most (PS3.5 9.1). A component with a leading zero
    is let through: the standard forbids it, archives are full of it, and it harms no path.
    """
    return len(value) <= MAX_UID_LENGTH and _UID.fullmatch(value) is not None


class Store:
    """The files of one data folder.

    Parameters
    ----------
    data_dir
        The data folder; made by `prepare`.

    Attributes
    ----------
    incoming
        Where objects are received, on the same file system as their final place.
    """

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir.resolve()
        self.incoming = self._root / "incoming"
        self._flushed: set[Path] = set()

    def prepare(self) -> None:
        """Make the folders that are not there yet."""
        for folder in (self.incoming, self._root / "studies"):
            self._make_folder(folder)

    def empty_incoming(self) -> int:
        """Delete what an interrupted reception left behind, and return how many files that was.

        Only for the receiver, and before it listens: nothing in there was acknowledged.
        """
        left_behind = [path for path in self.incoming.iterdir() if path.is_file()]
        for path in left_behind:
            path.unlink()
        return len(left_behind)

    @contextmanager
    def owned(self, *, for_restore: bool = False) -> Iterator[None]:
        """Hold the data folder for this process as long as the block lasts.

        Parameters
        ----------
        for_restore
            To put a backup into it, and not to run on it.

        Raises
        ------
        PermanentError
            If another node holds it, or a restore into it has not come to its end.
        """
        taken = (
            f"The data folder {self._root} belongs to another running node. "
            "Stop that one, or give this one another data_dir."
        )
        with self._locked("lock", fcntl.LOCK_EX, taken):
            if not for_restore:
                self._require_no_restore()
            yield

    @contextmanager
    def alone(self, *, for_restore: bool = False) -> Iterator[None]:
        """Hold the data folder for this process while neither a node nor a worker runs on it.

        Raises
        ------
        PermanentError
            As `owned`, or if a worker runs.
        """
        taken = f"A worker still runs on the data folder {self._root}: stop it first"
        with self.owned(for_restore=for_restore), self._locked("workers", fcntl.LOCK_EX, taken):
            yield

    @contextmanager
    def worked_on(self) -> Iterator[None]:
        """Hold the data folder as a worker does, beside others, as long as the block lasts.

        Raises
        ------
        PermanentError
            If somebody must be alone on it, or a restore into it has not come to its end.
        """
        taken = (
            f"The data folder {self._root} is held by a command that wants it for itself, as "
            "`mammonode fsck`. Start the worker when that has ended."
        )
        with self._locked("workers", fcntl.LOCK_SH, taken):
            self._require_no_restore()
            yield

    @contextmanager
    def _locked(self, name: str, how: int, taken: str) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / name).open("a+") as lock:
            try:
                fcntl.flock(lock, how | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PermanentError(reason=taken) from error
            yield

    def _require_no_restore(self) -> None:
        if self.is_being_restored:
            raise PermanentError(
                reason=f"A restore into {self._root} was interrupted: run `mammonode restore` "
                "once more, or empty the folder."
            )

    @property
    def is_being_restored(self) -> bool:
        """Whether a backup has been put into the folder in part."""
        return (self._root / RESTORING).exists()

    def begin_restore(self) -> None:
        """Let no node start on the folder until `end_restore`."""
        (self._root / RESTORING).touch()
        flush_to_disk(self._root)

    def end_restore(self) -> None:
        """Let nodes start on the folder again."""
        (self._root / RESTORING).unlink()
        flush_to_disk(self._root)

    def free_bytes(self) -> int:
        """Return the disk space that is left for new files."""
        return shutil.disk_usage(self._root).free

    def instance_place(
        self, *, study_instance_uid: str, sop_instance_uid: str, dataset_sha256: str
    ) -> str:
        """Return where a received instance belongs, relative to the data folder."""
        return self._place(
            study_instance_uid, "instances", _hashed_name(sop_instance_uid, dataset_sha256)
        )

    def conflict_place(
        self, *, study_instance_uid: str, sop_instance_uid: str, dataset_sha256: str
    ) -> str:
        """Return where another data set under a taken UID is kept aside."""
        return self._place(
            study_instance_uid, "conflicts", _hashed_name(sop_instance_uid, dataset_sha256)
        )

    def study_place(self, study_instance_uid: str) -> str:
        """Return the folder of a study."""
        return f"studies/{_checked_uid(study_instance_uid)}"

    def result_place(self, *, study_instance_uid: str, revision: int, sop_instance_uid: str) -> str:
        """Return where a result object belongs."""
        name = f"{_checked_uid(sop_instance_uid)}.dcm"
        folder = self.results_folder(study_instance_uid=study_instance_uid, revision=revision)
        return f"{folder}/{name}"

    def record_place(self, *, study_instance_uid: str, revision: int) -> str:
        """Return where the outcome of an analysis waits until its results are written."""
        folder = self.results_folder(study_instance_uid=study_instance_uid, revision=revision)
        return f"{folder}/analysis.npz"

    def results_folder(self, *, study_instance_uid: str, revision: int) -> str:
        """Return the folder that all files of one analysis lie in."""
        return f"{self.study_place(study_instance_uid)}/results/{revision:d}"

    def study_places(self) -> list[str]:
        """List the folders of studies, relative to the data folder."""
        top = self._root / "studies"
        folders = sorted(top.iterdir()) if top.is_dir() else []
        return [f"studies/{folder.name}" for folder in folders if folder.is_dir()]

    def places_below(self, folder: str) -> list[str]:
        """List the files in a folder and its folders, relative to the data folder."""
        return sorted(
            path.relative_to(self._root).as_posix()
            for path in self.path(folder).rglob("*")
            if path.is_file()
        )

    def path(self, place: str) -> Path:
        """Return the file that a place in the study log means.

        Parameters
        ----------
        place
            Relative to the data folder, with forward slashes.

        Raises
        ------
        PermanentError
            If it lies outside the data folder.
        """
        parts = PurePosixPath(place).parts
        if not parts or ".." in parts or parts[0] == "/":
            raise PermanentError(reason=f"Expected a place inside the data folder, found {place!r}")
        return self._root.joinpath(*parts)

    def keep(self, source: Path, place: str) -> Path:
        """Move a finished file to its place, and return only when it would survive a power cut.

        Parameters
        ----------
        source
            A closed file on the same file system, as those in `incoming` are.
        place
            Relative to the data folder.

        Raises
        ------
        OSError
            If the disk is full or fails; then nothing stands at the place.
        """
        target = self.path(place)
        flush_to_disk(source)
        self._make_folder(target.parent)
        source.replace(target)
        flush_to_disk(target.parent)
        return target

    def keep_bytes(self, content: bytes, place: str) -> Path:
        """Write a file at its place, whole or not at all; return when it would survive a power cut.

        Writing the same place again, after a crash, ends in the same state.
        """
        target = self.path(place)
        self._make_folder(target.parent)
        part = target.with_name(f"{target.name}.part")
        try:
            part.write_bytes(content)
            return self.keep(part, place)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def move(self, place: str, new_place: str) -> None:
        """Move a kept file to another place, durably."""
        source = self.path(place)
        self.keep(source, new_place)
        flush_to_disk(source.parent)

    def link(self, place: str, new_place: str) -> None:
        """Let a kept file stand at a second place too, durably; then either may be deleted.

        Linking again, after a crash, ends in the same state.

        Raises
        ------
        OSError
            If there is no such file, or the file system has no hard links.
        """
        target = self.path(new_place)
        self._make_folder(target.parent)
        part = target.with_name(f"{target.name}.part")
        part.unlink(missing_ok=True)
        part.hardlink_to(self.path(place))
        part.replace(target)
        part.unlink(missing_ok=True)  # it stays where both names are of one file already
        flush_to_disk(target.parent)

    def remove(self, place: str) -> None:
        """Delete a file; a file that is not there any more is fine."""
        self.path(place).unlink(missing_ok=True)

    def remove_durably(self, places: Iterable[str]) -> None:
        """Delete files so that a power cut does not bring them back, and folders that are empty.

        A receiver that puts a file into a folder at that moment fails and is sent it again.

        Raises
        ------
        OSError
            If one cannot be deleted.
        """
        folders: set[Path] = set()
        for place in places:
            self.remove(place)
            folders.add(self.path(place).parent)
        for folder in sorted(folders, reverse=True):
            self._flush_or_prune(folder)

    def _flush_or_prune(self, folder: Path) -> None:
        """Make the names in a folder durable; without any, take it away, up to ``studies``."""
        top = self._root / "studies"
        while folder != top and top in folder.parents:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                break
            folder = folder.parent
        with suppress(FileNotFoundError):  # somebody else took it away in the meantime
            flush_to_disk(folder)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents so that their names survive a power cut."""
        try:
            folder.mkdir()
        except FileNotFoundError:
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
        except FileExistsError:
            if folder in self._flushed:
                return
        # New, or made by a neighbour that may not have flushed it yet.
        flush_to_disk(folder.parent)
        if len(self._flushed) >= _FLUSHED_KNOWN:
            self._flushed.clear()
        self._flushed.add(folder)

    def _place(self, study_instance_uid: str, folder: str, name: str) -> str:
        return f"{self.study_place(study_instance_uid)}/{folder}/{name}"


def _checked_uid(value: str) -> str:
    """Return the value if it is a UID; nothing else may become part of a path."""
    if not is_uid(value):
        raise PermanentError(reason=f"Expected a UID (PS3.5 9.1), found {value!r}")
    return value


def _hashed_name(sop_instance_uid: str, dataset_sha256: str) -> str:
    digits = dataset_sha256[:_HASH_DIGITS]
    if not re.fullmatch(r"[0-9a-f]{16}", digits):
        raise PermanentError(reason=f"Expected a SHA-256 in hexadecimal, found {dataset_sha256!r}")
    return f"{_checked_uid(sop_instance_uid)}.{digits}.dcm"


def flush_to_disk(path: Path) -> None:
    """Make a file's content, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
