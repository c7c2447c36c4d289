"""A drawn data set in the layout of the RSNA subset: breasts, some with a bright disc as cancer."""

import csv
from pathlib import Path

import cv2
import numpy as np


def write_rsna_layout(folder: Path, *, patients: int, seed: int = 5, size_px: int = 128) -> Path:
    """Write two views of both breasts of each patient; every third patient has a cancer, left.

    One image in four is stored inverted, as in the original. Returns `folder`.
    """
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        for number in range(4):
            is_left, is_cancer = number < 2, number < 2 and patient % 3 == 0
            grey = _breast(size_px, rng, is_left=is_left, is_cancer=is_cancer)
            is_inverted = number == 3
            image = f"images/{patient}_{number}.webp"
            cv2.imwrite(str(folder / image), 255 - grey if is_inverted else grey)
            label = "cancer" if is_cancer else "no_cancer"
            rows.append([image, str(patient), label, str(int(is_inverted))])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient_id", "label", "looks_inverted"])
        writer.writerows(rows)
    return folder


def _breast(
    size_px: int, rng: np.random.Generator, *, is_left: bool, is_cancer: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Half an ellipse at the left or right edge."""
    row, column = np.mgrid[0:size_px, 0:size_px] / size_px
    distance = np.hypot((row - 0.5) / 0.4, column / rng.uniform(0.4, 0.6))
    grey = np.where(distance < 1, 90 + 60 * (1 - distance), 0.0)
    grey += np.where(distance < 1, rng.normal(0, 6, grey.shape), 0.0)
    if is_cancer:
        middle = rng.uniform(0.35, 0.65), rng.uniform(0.1, 0.2)
        grey[np.hypot(row - middle[0], column - middle[1]) < 0.06] = 250
    drawn = np.clip(grey, 0, 255).astype(np.uint8)
    return drawn if is_left else np.ascontiguousarray(drawn[:, ::-1])
