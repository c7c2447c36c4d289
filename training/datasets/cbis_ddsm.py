"""CBIS-DDSM: digitised films with a mass or calcifications, 1,566 patients (Lee et al. 2017).

Two layouts, told apart by what lies in the folder; both with the four official tables
``{mass,calc}_case_description_{train,test}_set.csv``, one row an abnormality:

The Cancer Imaging Archive
    ``CBIS-DDSM/Mass-Training_P_00001_LEFT_CC/<study>/<series>/1-1.dcm`` is a film, and the same
    name with ``_1`` holds the cropped image and the mask of its first abnormality. Studies and
    series are named by UID or by date and description, files ``1-1.dcm`` or ``000000.dcm``: only
    the first of these folders is looked at.
The usual re-publication as JPEG
    ``csv/dicom_info.csv`` says which file ``jpeg/<Series Instance UID>/1-001.jpg`` came from, by
    the same names.

A table that names a cropped image where the mask lies, or the reverse, is not believed: the mask
has the size of its film, and two values.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.views import Laterality
from training.datasets import DataSet, Label, LabelledImage, Split
from training.datasets.cbis_ddsm_files import (
    PATIENT_ID,
    Delivery,
    FoundMask,
    find_files,
    find_mask,
)
from training.datasets.errors import wrong_folder
from training.datasets.image_files import read_image, size_of
from training.datasets.problems import Problem, ProblemKind
from training.datasets.tables import Row, read_rows
from training.errors import DataSetError

SOURCE = "cbis_ddsm"
PARTS = ("mass", "calc")
COLUMNS = (
    "patient_id", "breast density", "left or right breast", "image view", "abnormality id",
    "abnormality type", "assessment", "pathology", "subtlety", "image file path",
    "cropped image file path", "ROI mask file path",
)  # fmt: skip
_LABELS = {
    "MALIGNANT": Label.MALIGNANT,
    "BENIGN": Label.BENIGN,
    "BENIGN_WITHOUT_CALLBACK": Label.BENIGN,
}
_GRAVITY = (Label.BENIGN, Label.MALIGNANT)
_SIDES = {"LEFT": Laterality.LEFT, "RIGHT": Laterality.RIGHT}
_VIEWS = {"CC": "CC", "MLO": "MLO"}
_DENSITIES = {"0": None, "1": "a", "2": "b", "3": "c", "4": "d"}
# 0, not yet assessed, asks for more than "probably benign" does.
_BI_RADS = {category: category for category in ("1", "2", "3", "0", "4", "5", "6")}
_SUBTLETIES = {str(subtlety): subtlety for subtlety in range(6)}
_SPLITS = {"train": Split.TRAIN, "test": Split.TEST}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Abnormality:
    """A row of a table."""

    row: Row
    split: Split
    film: str
    """Patient ID (0010,0020) of the film as delivered: ``Mass-Training_P_00001_LEFT_CC``."""

    @property
    def region(self) -> str:
        """Patient ID of cropped image and mask as delivered."""
        return f"{self.film}_{self.row['abnormality id']}"


class _Findings:
    """Counts what the reader meets on its way, for the notes and problems of the table."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.masks = 0
        self.missing_masks = 0
        self.swapped = 0

    def of_mask(self, found: FoundMask) -> Path | None:
        """Count what was found of one abnormality, and give its mask."""
        self.masks += 1
        self.missing_masks += found.mask is None
        self.swapped += found.is_swapped
        self.problems += [
            Problem(kind=ProblemKind.UNREADABLE, what=what) for what in found.unreadable
        ]
        return found.mask


def read(folder: Path, parts: Sequence[str] = PARTS) -> DataSet:
    """Read the table of the data set.

    Parameters
    ----------
    folder
        Holds the tables and the images, at any depth.
    parts
        ``mass``, ``calc`` or both. Of both, a film that is in both is one row, and the official
        split is dropped: 31 patients are in the training table of one and the test table of the
        other.

    Returns
    -------
    data_set
        One row a film, malignant if any of its abnormalities is; their masks in the order of the
        tables. Reading looks at the header of every file: a minute for the whole data set.

    Raises
    ------
    DataSetError
        If a table or a column is missing, a value is not one that the layout knows, or there are
        no images at all.
    """
    abnormalities = _read_tables(folder, parts)
    delivery = find_files(folder)
    films: dict[tuple[str, ...], list[_Abnormality]] = defaultdict(list)
    for abnormality in abnormalities:
        row = abnormality.row
        films[row["patient_id"], row["left or right breast"], row["image view"]].append(abnormality)
    shared = _patients_in_two_splits(abnormalities)
    findings = _Findings()
    images = [
        image
        for rows in films.values()
        if (image := _image(rows, delivery, findings, keeps_split=not shared)) is not None
    ]
    known = {name for one in abnormalities for name in (one.film, one.region)}
    # Tables of one part say nothing of the other's files.
    unknown = sorted(
        name for name in delivery.files.keys() - known if name.lower().startswith(tuple(parts))
    )
    findings.problems += [
        Problem(kind=ProblemKind.IMAGE_WITHOUT_LABEL, what=name) for name in unknown
    ]
    return DataSet(
        name=f"CBIS-DDSM ({' and '.join(parts)})",
        licence="CC BY 3.0",
        citation=(
            "Lee RS, Gimenez F, Hoogi A, et al. A curated mammography data set for use in "
            "computer-aided detection and diagnosis research. Scientific Data 4, 170177, 2017."
        ),
        images=tuple(images),
        problems=tuple(findings.problems),
        read_display=lambda image: read_image(image.path),
        known_gaps=(
            "Digitised film of the 1990s; no detector of today made these grey values.",
            "Every film has a finding: there is no normal breast among them.",
            "Benign includes findings that were never called back for a biopsy.",
        ),
        notes=_notes(shared, findings),
    )


def _read_tables(folder: Path, parts: Sequence[str]) -> list[_Abnormality]:
    """Read every official table of the parts."""
    tables = {path.name: path for path in folder.rglob("*.csv")} if folder.is_dir() else {}
    wanted = {
        (part, name): f"{part}_case_description_{name}_set.csv"
        for part in parts
        for name in _SPLITS
    }
    missing = [file for file in wanted.values() if file not in tables]
    if missing:
        raise wrong_folder(
            folder,
            expected=f"the official tables {', '.join(missing)} in it or below",
            to_do=(
                "Fetch them from The Cancer Imaging Archive into the folder of the images, or read "
                "one part alone: cbis_ddsm_mass, cbis_ddsm_calc."
            ),
        )
    return [
        _Abnormality(row=row, split=_SPLITS[name], film=_film(row))
        for (part, name), file in wanted.items()
        for row in read_rows(tables[file], COLUMNS)
    ]


def _film(row: Row) -> str:
    """Patient ID of a row's film: the first folder of its path."""
    name = row["image file path"].split("/")[0]
    if not PATIENT_ID.fullmatch(name):
        raise row.error(
            expected="image file path to begin as in Mass-Training_P_00001_LEFT_CC/",
            found=repr(name),
        )
    return name


def _patients_in_two_splits(abnormalities: list[_Abnormality]) -> set[str]:
    """Patients whom one table trains on and another tests."""
    by_split: dict[Split, set[str]] = defaultdict(set)
    for one in abnormalities:
        by_split[one.split].add(one.row["patient_id"])
    return by_split[Split.TRAIN] & by_split[Split.TEST]


def _image(
    rows: list[_Abnormality], delivery: Delivery, findings: _Findings, *, keeps_split: bool
) -> LabelledImage | None:
    """Join the abnormalities of one film; None where the film is not there."""
    films = dict.fromkeys(one.film for one in rows)
    path = next((delivery.files[film][0] for film in films if delivery.files.get(film)), None)
    if path is None:
        findings.problems += [
            Problem(kind=ProblemKind.LABEL_WITHOUT_IMAGE, what=film) for film in films
        ]
        return None
    try:
        size = size_of(path)
    except DataSetError as error:
        findings.problems.append(Problem(kind=ProblemKind.UNREADABLE, what=str(error)))
        return None
    labels = [one.row.one_of("pathology", _LABELS) for one in rows]
    masks = [findings.of_mask(_find_mask(one, size, delivery)) for one in rows]
    first = rows[0].row
    subtleties = [one.row.one_of("subtlety", _SUBTLETIES) for one in rows]
    assessments = [one.row.one_of("assessment", _BI_RADS) for one in rows]
    return LabelledImage(
        path=path,
        patient_id=first["patient_id"],
        study_id=first["patient_id"],
        label=max(labels, key=_GRAVITY.index),
        source=SOURCE,
        laterality=first.one_of("left or right breast", _SIDES),
        view_position=first.one_of("image view", _VIEWS),
        split=rows[0].split if keeps_split else None,
        masks=tuple(mask for mask in masks if mask),
        mask_labels=tuple(label for mask, label in zip(masks, labels, strict=True) if mask),
        findings=tuple(dict.fromkeys(one.row["abnormality type"] for one in rows)),
        density=first.one_of("breast density", _DENSITIES),
        bi_rads=max(assessments, key=list(_BI_RADS).index),
        subtlety=max(subtleties) or None,
    )


def _find_mask(one: _Abnormality, film_size: tuple[int, int], delivery: Delivery) -> FoundMask:
    """Find the mask of one abnormality."""
    return find_mask(
        one.region,
        film_size,
        delivery,
        cropped_path=one.row["cropped image file path"],
        mask_path=one.row["ROI mask file path"],
    )


def _notes(shared: set[str], findings: _Findings) -> tuple[str, ...]:
    """Say what was found and decided."""
    notes = []
    if shared:
        notes.append(
            f"The official split is not kept: {len(shared)} patients are in a training table and "
            "in a test table. Split by patient instead."
        )
    if findings.missing_masks:
        notes.append(
            f"{findings.missing_masks} of {findings.masks} abnormalities have no mask here: they "
            "are in no measurement of where a heat map points."
        )
    if findings.swapped:
        notes.append(
            f"{findings.swapped} masks are named as cropped images, and the reverse: told apart by "
            "size and values."
        )
    return tuple(notes)
