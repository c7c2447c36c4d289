"""RSNA Screening Mammography Breast Cancer Detection (2022), as re-published in squares.

Layout: ``labels.csv`` with the columns ``image, patient_id, label, looks_inverted`` and the images
that it names, 8-bit grey. The publisher stretched every image to a square, scaled the stored
values from their smallest to their largest without a VOI LUT, and left MONOCHROME1 as it was.
"""

import csv
from pathlib import Path

import cv2
import numpy as np

from training.datasets import DataSet, Float32Array, Label, LabelledImage

_LABELS = {"no_cancer": Label.NO_CANCER, "cancer": Label.MALIGNANT}
_FLAGS = {"0": False, "1": True}
# Rows for one column of a full-field detector: 1.17 to 1.30 among the common ones. The true one
# is lost; augmentation covers the spread.
_ASPECT = 1.25


def read(folder: Path) -> DataSet:
    """Read the table of the data set.

    Parameters
    ----------
    folder
        Holds ``labels.csv``.

    Returns
    -------
    data_set
        One row an image, in the order of the file.

    Raises
    ------
    ValueError
        If a label or a flag is not one that the layout knows; says which line.
    """
    images = []
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            if row["label"] not in _LABELS or row["looks_inverted"] not in _FLAGS:
                raise ValueError(
                    f"labels.csv line {line}: expected a label of {sorted(_LABELS)} and a flag of "
                    f"{sorted(_FLAGS)}; found {row['label']!r} and {row['looks_inverted']!r}"
                )
            images.append(
                LabelledImage(
                    path=folder / row["image"],
                    patient_id=row["patient_id"],
                    label=_LABELS[row["label"]],
                    source="rsna",
                    is_inverted=_FLAGS[row["looks_inverted"]],
                )
            )
    return DataSet(
        name="RSNA Screening Mammography Breast Cancer Detection (2022), subset of 836 patients",
        licence="RSNA terms of use: non-commercial use, research and education",
        citation=(
            "Carr C, Kitamura F, Partridge G, et al. RSNA Screening Mammography Breast Cancer "
            "Detection. Radiological Society of North America, 2022."
        ),
        images=tuple(images),
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


def read_display(image: LabelledImage) -> Float32Array:
    """Read one image as a display array.

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
    ValueError
        If the file is missing or is not an image.
    """
    stored = cv2.imread(str(image.path), cv2.IMREAD_GRAYSCALE)
    if stored is None:
        raise ValueError(f"expected a readable image; found {image.path.name}")
    grey = np.asarray(stored, np.float32) / 255.0
    upright = 1.0 - grey if image.is_inverted else grey
    rows = upright.shape[0]
    size = (round(rows / _ASPECT), rows)
    return np.asarray(cv2.resize(upright, size, interpolation=cv2.INTER_AREA), np.float32)
