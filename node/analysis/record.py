"""The outcome of an analysis as a file, so that another process can write the reports from it.

One uncompressed archive: ``study.json``, and for each instance its header as DICOM and its arrays
as NumPy files. No pickles: whatever the file holds, reading it runs no code.
"""

import contextlib
import io
import json
import os
import zipfile
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from model.explain import HeatMap, Region
from model.image_statistics import ImageStatistics
from model.manifest import Manifest
from model.preprocess import Box, Geometry
from model.views import Laterality
from node.errors import PermanentError, TransientError, TriageReason
from node.result_kinds import ResultKind
from node.results import BreastResult, InstanceResult, Predecessor, StudyResult
from node.settings import ResultsSettings

_FORMAT = 3
_READABLE = (2, _FORMAT)
"""Format 2 knew no image statistics: images of it have none."""
_STUDY = "study.json"


def save(result: StudyResult, path: Path) -> None:
    """Write an outcome; afterwards the whole file is there and survives a power cut.

    Parameters
    ----------
    result
        What `node.analysis.pipeline.Analyser.analyse` returned.
    path
        Where to; an older file there is replaced, and its folder is made if it is not there.

    Raises
    ------
    TransientError
        If the disk is full or fails; then an older file is still there.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            _write(result, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise TransientError(
            reason=f"Expected room for the outcome of an analysis at {path}; found {error}"
        ) from error


def load(path: Path) -> StudyResult:
    """Read an outcome back, exactly as it was saved.

    Parameters
    ----------
    path
        A file that `save` wrote.

    Returns
    -------
    result
        Equal to what was saved, to the last bit of every array.

    Raises
    ------
    PermanentError
        If the file is damaged, or was written by another version of the software.
    TransientError
        If the file cannot be read now.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            study = json.loads(archive.read(_STUDY))
            if study["format"] not in _READABLE:
                readable = " or ".join(str(known) for known in _READABLE)
                raise PermanentError(
                    reason=f"Expected an outcome of format {readable} at {path}; found "
                    f"{study['format']!r}. Analyse the study again"
                )
            instances = tuple(
                _read_instance(archive, index, instance)
                for index, instance in enumerate(study["instances"])
            )
        return _study_from_json(study, instances)
    except OSError as error:
        raise TransientError(
            reason=f"Expected a readable outcome of an analysis at {path}; found {error}"
        ) from error
    except (
        zipfile.BadZipFile, InvalidDicomError, EOFError, LookupError, TypeError, ValueError
    ) as error:  # fmt: skip
        raise PermanentError(
            reason=f"Expected the outcome of an analysis at {path}; found "
            f"{type(error).__name__}. Analyse the study again"
        ) from error


def _write(result: StudyResult, file: BinaryIO) -> None:
    """Write the archive."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_STUDY, json.dumps(_study_to_json(result)))
        for index, instance in enumerate(result.instances):
            _write_instance(archive, index, instance)


def _study_to_json(result: StudyResult) -> dict[str, Any]:
    """Everything but headers and arrays."""
    return {
        "format": _FORMAT,
        "study_instance_uid": result.study_instance_uid,
        "revision": result.revision,
        "closed_at": result.closed_at.isoformat(),
        "score": result.score,
        "prevalence": result.prevalence,
        "form": result.form.model_dump(mode="json"),
        "manifest": result.manifest.model_dump(mode="json"),
        "breasts": [asdict(breast) for breast in result.breasts],
        "predecessors": [asdict(predecessor) for predecessor in result.predecessors],
        "instances": [_instance_to_json(instance) for instance in result.instances],
    }


def _study_from_json(study: dict[str, Any], instances: tuple[InstanceResult, ...]) -> StudyResult:
    """Undo `_study_to_json`."""
    return StudyResult(
        study_instance_uid=study["study_instance_uid"],
        revision=study["revision"],
        closed_at=datetime.fromisoformat(study["closed_at"]),
        instances=instances,
        breasts=tuple(
            BreastResult(laterality=_laterality(breast["laterality"]), score=breast["score"])
            for breast in study["breasts"]
        ),
        score=study["score"],
        manifest=Manifest.model_validate(study["manifest"]),
        prevalence=study["prevalence"],
        form=ResultsSettings.model_validate(study["form"]),
        predecessors=tuple(
            Predecessor(**{**predecessor, "kind": ResultKind(predecessor["kind"])})
            for predecessor in study["predecessors"]
        ),
    )


def _instance_to_json(instance: InstanceResult) -> dict[str, Any]:
    """Everything of an instance but its header and arrays."""
    heat_map = instance.heat_map
    return {
        "dataset_sha256": instance.dataset_sha256,
        "laterality": instance.laterality,
        "view_position": instance.view_position,
        "score": instance.score,
        "triage_reason": instance.triage_reason,
        "triage_detail": instance.triage_detail,
        "has_preview": instance.preview is not None,
        "geometry": None if heat_map is None else asdict(heat_map.geometry),
        "regions": [asdict(region) for region in instance.regions],
        "image_statistics": (
            None if instance.image_statistics is None else asdict(instance.image_statistics)
        ),
    }


def _write_instance(archive: zipfile.ZipFile, index: int, instance: InstanceResult) -> None:
    """Add an instance's header and arrays."""
    buffer = io.BytesIO()
    dcmwrite(buffer, instance.source, enforce_file_format=True)
    archive.writestr(f"{index}/source.dcm", buffer.getvalue())
    if instance.preview is not None:
        _write_array(archive, f"{index}/preview.npy", instance.preview)
    if instance.heat_map is not None:
        _write_array(archive, f"{index}/heat_map.npy", instance.heat_map.values)
        _write_array(archive, f"{index}/breast_mask.npy", instance.heat_map.breast_mask)


def _read_instance(archive: zipfile.ZipFile, index: int, fields: dict[str, Any]) -> InstanceResult:
    """Undo `_instance_to_json` and `_write_instance`."""
    heat_map = None
    if fields["geometry"] is not None:
        heat_map = HeatMap(
            values=_read_array(archive, f"{index}/heat_map.npy"),
            breast_mask=_read_array(archive, f"{index}/breast_mask.npy"),
            geometry=_geometry(fields["geometry"]),
        )
    reason = fields["triage_reason"]
    statistics = fields.get("image_statistics")
    return InstanceResult(
        source=_read_header(archive.read(f"{index}/source.dcm")),
        dataset_sha256=fields["dataset_sha256"],
        laterality=_laterality(fields["laterality"]),
        view_position=fields["view_position"],
        score=fields["score"],
        triage_reason=None if reason is None else TriageReason(reason),
        triage_detail=fields["triage_detail"],
        preview=_read_array(archive, f"{index}/preview.npy") if fields["has_preview"] else None,
        heat_map=heat_map,
        regions=tuple(Region(**region) for region in fields["regions"]),
        image_statistics=None if statistics is None else ImageStatistics(**statistics),
    )


def _geometry(fields: dict[str, Any]) -> Geometry:
    """Build a geometry whose boxes are boxes again."""
    return Geometry(
        **{**fields, "crop": Box(**fields["crop"]), "content": Box(**fields["content"])}
    )


def _laterality(value: str | None) -> Laterality | None:
    """Undo an enum's way through JSON."""
    return None if value is None else Laterality(value)


def _read_header(data: bytes) -> Dataset:
    """Read a header as the pipeline does."""
    return dcmread(io.BytesIO(data))


def _write_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    """Add an array as a NumPy file."""
    with archive.open(name, "w") as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _read_array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Read a NumPy file that holds plain numbers."""
    with archive.open(name) as member:
        array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array
