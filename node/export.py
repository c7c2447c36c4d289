"""Results of studies as files of their own: DICOM as it is sent, pictures, and an index.

One folder a study, named by its Study Instance UID; no name of a file holds a patient attribute.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pydicom import dcmread

from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from node import __version__
from node.errors import PermanentError, TransientError
from node.result_kinds import ResultKind
from node.store import Store
from node.study_log.answers import ResultAnswer, StudyAnswer
from node.study_log.database import Database
from node.study_log.queries import read_study

INDEX_FILE = "index.json"
FORMAT_VERSION = 1
"""Of the index; changes when a name that is there changes its meaning or goes away."""
PICTURES = (ResultKind.HEAT_MAP, ResultKind.SUMMARY_PAGE)
"""Kinds that are a Secondary Capture in RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedStudy:
    """What was written of one study.

    Attributes
    ----------
    folder
        Where to; None if there was nothing to write.
    files
        Their names in the folder, the index last.
    lacks
        What could not be written, and why.
    """

    study_instance_uid: str
    folder: Path | None
    files: tuple[str, ...]
    lacks: tuple[str, ...]


def export_studies(
    database: Database,
    store: Store,
    study_instance_uids: Sequence[str],
    out: Path,
    *,
    overwrites: bool = False,
) -> tuple[ExportedStudy, ...]:
    """Write the results of the newest revision of each study.

    Parameters
    ----------
    database
        The study log.
    store
        Where the results are.
    study_instance_uids
        Study Instance UIDs (0020,000D), whole.
    out
        Folder for ``<Study Instance UID>/<kind>_<number>.dcm``, ``.png`` and ``index.json``; made
        if it is not there.
    overwrites
        Whether what an earlier export left in a study's folder is replaced. Other files in there
        stay.

    Raises
    ------
    UnknownStudy
        If one is not in the log.
    PermanentError
        If there is something in the folder of a study already; then nothing was written.
    TransientError
        If the disk is full, or `out` cannot be written to.
    """
    uids = list(dict.fromkeys(study_instance_uids))
    with database.reading() as session:
        studies = [read_study(session, uid) for uid in uids]
    for uid in uids:
        if not overwrites and (out / uid).exists():
            raise PermanentError(
                reason=f"There is something at {out / uid} already: give another folder, or "
                "--overwrite"
            )
    return tuple(_export(study, store, out) for study in studies)


def _export(study: StudyAnswer, store: Store, out: Path) -> ExportedStudy:
    uid = study.summary.study_instance_uid
    contents: dict[str, bytes] = {}
    described, lacks = [], []
    for result in study.results:
        names, reason = _add_files(result, store, contents)
        described.append(_describe(study, result, names, reason))
        if reason:
            lacks.append(f"{result.kind} {result.index + 1} is not here: {reason}")
    if not study.results:
        lacks.append(_why_none(study))
    if not contents:
        return ExportedStudy(study_instance_uid=uid, folder=None, files=(), lacks=tuple(lacks))
    index = json.dumps(_index(study, described), indent=2, ensure_ascii=False) + "\n"
    contents[INDEX_FILE] = index.encode()
    folder = out / uid
    try:
        _write(contents, folder)
    except OSError as error:
        raise TransientError(
            reason=f"Expected a folder that can be written to at {folder}: {error.strerror}"
        ) from error
    return ExportedStudy(
        study_instance_uid=uid, folder=folder, files=tuple(contents), lacks=tuple(lacks)
    )


def _add_files(
    result: ResultAnswer, store: Store, contents: dict[str, bytes]
) -> tuple[dict[str, str], str]:
    """Add the files of one result to `contents`; give their names, or why there are none."""
    if result.removed_at is not None:
        return {}, f"{result.removed_because or 'gone'} at {result.removed_at:%Y-%m-%d %H:%M} UTC"
    try:
        content = store.path(result.path).read_bytes()
    except OSError as error:
        return {}, f"its file cannot be read: {error.strerror}"
    if result.file_sha256 not in (None, hashlib.sha256(content).hexdigest()):
        return {}, "its file is damaged: `mammonode fsck` says more"
    name = f"{result.kind}_{result.index + 1}"
    names = {"file": f"{name}.dcm"}
    contents[names["file"]] = content
    if result.kind in PICTURES:
        names["picture"] = f"{name}.png"
        contents[names["picture"]] = _picture(content)
    return names, ""


def _picture(content: bytes) -> bytes:
    """Give the pixels of a Secondary Capture as a PNG: RGB, as they are."""
    png = io.BytesIO()
    Image.fromarray(dcmread(io.BytesIO(content)).pixel_array).save(png, format="PNG")
    return png.getvalue()


def _describe(
    study: StudyAnswer, result: ResultAnswer, names: dict[str, str], reason: str
) -> dict[str, Any]:
    source = result.source_sop_instance_uid
    scores = {instance.sop_instance_uid: instance.score for instance in study.instances}
    return {
        "kind": result.kind,
        "sop_class_uid": result.sop_class_uid,
        "sop_instance_uid": result.sop_instance_uid,
        "series_instance_uid": result.series_instance_uid,
        "source_sop_instance_uid": source,
        "score": None if source is None else scores.get(source),
        "file": names.get("file"),
        "picture": names.get("picture"),
        "missing": reason or None,
    }


def _index(study: StudyAnswer, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    newest = study.revisions[-1]
    return {
        "format_version": FORMAT_VERSION,
        "notice": NOT_FOR_DIAGNOSTIC_USE,
        "software": {"name": "mammonode", "version": __version__},
        "study_instance_uid": study.summary.study_instance_uid,
        "state": study.summary.state,
        "revision": newest.number,
        "closed_at": newest.closed_at.isoformat(),
        "model": {
            "name": newest.model_name,
            "version": newest.model_version,
            "weights_sha256": newest.weights_sha256,
        },
        "score": newest.score,
        "score_right": newest.score_right,
        "score_left": newest.score_left,
        "is_suspicious": newest.is_suspicious,
        "results": list(results),
    }


def _why_none(study: StudyAnswer) -> str:
    if not study.revisions:
        return f"no results: the study is {study.summary.state}"
    newest = study.revisions[-1]
    return f"no results: revision {newest.number} is {newest.state}"


def _write(contents: dict[str, bytes], folder: Path) -> None:
    """Write the files of a study, all of them or none; those of an earlier export go."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by an export that was interrupted
    part.mkdir(parents=True)
    try:
        for name, content in contents.items():
            (part / name).write_bytes(content)
        if not folder.exists():
            part.replace(folder)
            return
        for name in _exported_before(folder) - contents.keys():
            (folder / name).unlink(missing_ok=True)
        for name in contents:
            (part / name).replace(folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _exported_before(folder: Path) -> set[str]:
    """Read from its index what an earlier export wrote; nothing, if there is no index of ours."""
    try:
        index = json.loads((folder / INDEX_FILE).read_bytes())
        names = [result[key] for result in index["results"] for key in ("file", "picture")]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    return {Path(name).name for name in names if isinstance(name, str)}
