"""RSNA Screening Mammography Breast Cancer Detection (2022): whole, or re-published in squares.

Two layouts, told apart by their table:

``train.csv`` and ``train_images/<patient_id>/<image_id>.dcm``
    The competition's own: 54,706 DICOM files of 11,913 patients.
``labels.csv`` and the images that it names
    A re-publication of 836 patients, 8-bit grey, with the columns ``image, patient_id, label,
    looks_inverted``. Its publisher stretched every image to a square, scaled the stored values from
    their smallest to their largest without a VOI LUT, and left MONOCHROME1 as it was.
"""

from pathlib import Path

import cv2
import numpy as np

from model.views import VIEW_POSITIONS, Laterality
from training.datasets import DataSet, Float32Array, Label, LabelledImage
from training.datasets.errors import wrong_folder
from training.datasets.image_files import find_images, read_image
from training.datasets.problems import Problem, mismatches
from training.datasets.tables import Row, read_rows

SOURCE = "rsna"
SUBSET_COLUMNS = ("image", "patient_id", "label", "looks_inverted")
COMPETITION_COLUMNS = (
    "site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "biopsy",
    "invasive", "BIRADS", "implant", "density", "machine_id", "difficult_negative_case",
)  # fmt: skip
_LICENCE = "RSNA terms of use: non-commercial use, research and education"
_CITATION = (
    "Carr C, Kitamura F, Partridge G, et al. RSNA Screening Mammography Breast Cancer "
    "Detection. Radiological Society of North America, 2022."
)
_LABELS = {"no_cancer": Label.NO_CANCER, "cancer": Label.MALIGNANT}
_FLAGS = {"0": False, "1": True}
_DENSITIES = {"": None, "A": "a", "B": "b", "C": "c", "D": "d"}
# Written as whole numbers, or as pandas writes a column of them with gaps.
_BI_RADS = {"": None, "0": "0", "1": "1", "2": "2", "0.0": "0", "1.0": "1", "2.0": "2"}
# Rows for one column of a full-field detector: 1.17 to 1.30 among the common ones. The true one
# is lost; augmentation covers the spread.
_ASPECT = 1.25


def read(folder: Path) -> DataSet:
    """Read the table of the data set.

    Parameters
    ----------
    folder
        Holds ``labels.csv`` (the subset) or ``train.csv`` (the whole).

    Returns
    -------
    data_set
        One row an image, in the order of the file; images that are not there are `problems`.

    Raises
    ------
    DataSetError
        If the folder holds neither table, a column is missing, or a value is not one that the
        layout knows; says which line.
    """
    if (folder / "labels.csv").is_file():
        return _read_subset(folder)
    if (folder / "train.csv").is_file():
        return _read_competition(folder)
    raise wrong_folder(
        folder,
        expected="labels.csv (the subset) or train.csv with train_images/ (the competition)",
        to_do="Name the folder that holds that table itself.",
    )


def _read_subset(folder: Path) -> DataSet:
    """Read the re-publication in squares."""
    rows = list(read_rows(folder / "labels.csv", SUBSET_COLUMNS))
    images = [
        LabelledImage(
            path=folder / row["image"],
            patient_id=row["patient_id"],
            label=row.one_of("label", _LABELS),
            source=SOURCE,
            study_id=row["patient_id"],
            is_inverted=row.one_of("looks_inverted", _FLAGS),
        )
        for row in rows
    ]
    return DataSet(
        name="RSNA Screening Mammography Breast Cancer Detection (2022), subset of 836 patients",
        licence=_LICENCE,
        citation=_CITATION,
        images=tuple(image for image in images if image.path.is_file()),
        problems=_problems(folder, folder / "images", images),
        read_display=read_display,
        known_gaps=(
            (
                "Training images are 512 pixels high at most, a sixth of what a detector delivers: "
                "microcalcifications are not visible in them."
            ),
            (
                "Their publisher stretched them to squares; they were brought back to one typical "
                "aspect ratio, which is not each detector's own."
            ),
            (
                "They never saw a VOI LUT: their grey values run from the smallest stored value to "
                "the largest, where a node applies the VOI LUT of the image."
            ),
            "Which of them were stored inverted was guessed by a heuristic (16 %).",
            "Labels are outcomes of a breast, not of an image, and third parties call them noisy.",
            "Two sites, digital detectors only: no digitised film was trained on.",
        ),
    )


def _read_competition(folder: Path) -> DataSet:
    """Read the competition's own files."""
    rows = list(read_rows(folder / "train.csv", COMPETITION_COLUMNS))
    images = [
        LabelledImage(
            path=folder / "train_images" / row["patient_id"] / f"{row['image_id']}.dcm",
            patient_id=row["patient_id"],
            label=_label(row),
            source=SOURCE,
            study_id=row["patient_id"],
            laterality=row.one_of("laterality", {"L": Laterality.LEFT, "R": Laterality.RIGHT}),
            view_position=row["view"] if row["view"] in VIEW_POSITIONS else None,
            density=row.one_of("density", _DENSITIES),
            bi_rads=row.one_of("BIRADS", _BI_RADS),
            findings=("implant",) if row["implant"] in ("1", "1.0") else (),
        )
        for row in rows
    ]
    return DataSet(
        name="RSNA Screening Mammography Breast Cancer Detection (2022)",
        licence=_LICENCE,
        citation=_CITATION,
        images=tuple(image for image in images if image.path.is_file()),
        problems=_problems(folder, folder / "train_images", images),
        read_display=lambda image: read_image(image.path),
        known_gaps=(
            "Labels are outcomes of a breast, not of an image, and third parties call them noisy.",
            "Two sites, digital detectors only: no digitised film was trained on.",
        ),
    )


def _label(row: Row) -> Label:
    """Cancer, biopsied without cancer, rated negative, or nothing more known than no cancer.

    BI-RADS 2 is left at "no cancer": the competition calls it normal, the lexicon a benign finding.
    """
    if row.one_of("cancer", _FLAGS):
        return Label.MALIGNANT
    if row.one_of("biopsy", _FLAGS):
        return Label.BENIGN
    return Label.NORMAL if row.one_of("BIRADS", _BI_RADS) == "1" else Label.NO_CANCER


def _problems(folder: Path, image_folder: Path, images: list[LabelledImage]) -> tuple[Problem, ...]:
    """Rows without a file, and files without a row."""
    named = {image.path for image in images}
    lying = set(find_images(image_folder)) if image_folder.is_dir() else set()
    return mismatches(
        labels_without_image=(
            str(path.relative_to(folder)) for path in named if not path.is_file()
        ),
        images_without_label=(str(path.relative_to(folder)) for path in lying - named),
    )


def read_display(image: LabelledImage) -> Float32Array:
    """Read one image of the subset as a display array.

    Parameters
    ----------
    image
        A row of the table.

    Returns
    -------
    display
        Shape (rows, columns), values in [0, 1], air 0, brought back to a typical aspect ratio.

    Raises
    ------
    DataSetError
        If the file is missing or is not an image.
    """
    grey = read_image(image.path)
    upright = 1.0 - grey if image.is_inverted else grey
    rows = upright.shape[0]
    size = (round(rows / _ASPECT), rows)
    return np.asarray(cv2.resize(upright, size, interpolation=cv2.INTER_AREA), np.float32)
