"""Patches around lesions, with context, and patches of the breast beside them: to pretrain on.

Patches are cut from the node's own preprocessing of the whole image, at a higher resolution than
the network's input: chest wall left, grey values scaled alike.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from model.errors import PixelDataError
from model.preprocess import Geometry, NetworkInput, to_network_input
from training.datasets import Box, DataSet, Label, LabelledImage, patches
from training.lesions import has_known_place, lesion_boxes, lesions_in_input
from training.progress import counted
from training.whole_file import whole_file

Uint8Array = npt.NDArray[np.uint8]

_BACKGROUND = "background"
_TRIES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRule:
    """How patches are cut."""

    size_px: int = 224
    """Height and width of a patch as written."""
    context: float = 1.6
    """Side of the square that is cut, over the longer side of the lesion's box."""
    least_side: float = 0.08
    """Side of the square at least, over the height of the breast: context for the smallest."""
    backgrounds: int = 1
    """Patches without a lesion for each with one, of the same breast and the same side."""
    breast_px: tuple[int, int] = (1792, 1344)
    """(height, width) that the breast is brought to before patches are cut."""
    seed: int = 1
    """Of the places of patches without a lesion."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """A square piece of a breast."""

    pixels: Uint8Array
    """Shape (size_px, size_px), values 0 to 255; air, and what lies beyond the image, is 0."""
    label: Label
    """Of the lesion; without one, normal."""
    finding: str
    """``lesion`` or ``background``."""


def cut_patches(data_set: DataSet, out: Path, rule: PatchRule | None = None) -> DataSet:
    """Cut the patches of a data set, and write them as one of their own.

    Parameters
    ----------
    data_set
        Images without the place of a lesion, or without a breast, give no patch.
    out
        Folder for the patches, in the layout of `training.datasets.patches`.
    rule
        How; the defaults where it is None.

    Returns
    -------
    patches
        As `training.datasets.patches.read` reads them.

    Raises
    ------
    DataSetError
        If an image or a mask cannot be read.
    RunError
        If the disk does not take a file.
    """
    rule = rule or PatchRule()
    images = [image for image in data_set.images if has_known_place(image)]
    rows: list[list[str]] = []
    for image in counted(images, "Cutting patches", len(images)):
        for patch in patches_of(data_set, image, rule):
            name = f"{len(rows):06d}.png"
            with whole_file(out / name) as unfinished:
                unfinished.write_bytes(cv2.imencode(".png", patch.pixels)[1].tobytes())
            rows.append(
                [
                    name,
                    image.patient_id,
                    image.split_key or "",
                    image.split or "",
                    image.laterality or "",
                    image.view_position or "",
                    patch.label,
                    patch.finding,
                ]
            )
    about = patches.About(
        name=f"Patches of {data_set.name}",
        licence=data_set.licence,
        citation=data_set.citation,
        known_gaps=data_set.known_gaps,
    )
    with whole_file(out / patches.ABOUT_FILE) as unfinished:
        unfinished.write_text(about.model_dump_json(indent=2) + "\n", encoding="utf-8")
    # Last: a folder with a table has all its patches.
    with (
        whole_file(out / patches.TABLE_FILE) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(patches.COLUMNS)
        writer.writerows(rows)
    return patches.read(out)


def patches_of(data_set: DataSet, image: LabelledImage, rule: PatchRule) -> Iterator[Patch]:
    """Cut the patches of one image.

    Parameters
    ----------
    data_set
        Knows how its images are read.
    image
        One of its rows, with the place of a lesion.
    rule
        How patches are cut.

    Yields
    ------
    patch
        For each lesion on the breast one around it, and then those without a lesion: fewer than
        asked for where the breast has no room for them.

    Raises
    ------
    DataSetError
        If the image or a mask cannot be read.
    """
    display = data_set.read_display(image)
    try:
        breast = to_network_input(display, rule.breast_px)
    except PixelDataError:
        return
    boxes = lesion_boxes(image, (display.shape[0], display.shape[1]))
    least_side = rule.least_side * breast.geometry.content.height
    squares = [
        (_square(box, breast.geometry, rule.context, least_side), box.label) for box in boxes
    ]
    on_breast = [
        (square, label) for square, label in squares if _share_of_breast(square, breast) > 0.0
    ]
    for square, label in on_breast:
        pixels = _cut(square, breast, rule.size_px)
        yield Patch(pixels=pixels, label=label or image.label, finding="lesion")
    lesions = lesions_in_input(image, breast.geometry)
    seed = hashlib.sha256(f"{rule.seed}:{image.path.name}".encode()).digest()
    rng = np.random.default_rng(list(seed))
    for square, _ in on_breast * rule.backgrounds:
        # As large as a lesion's, or the size alone would tell them apart.
        place = _place_without_lesion(square[2], breast, lesions, rng)
        if place is not None:
            pixels = _cut(place, breast, rule.size_px)
            yield Patch(pixels=pixels, label=Label.NORMAL, finding=_BACKGROUND)


Square = tuple[int, int, int]
"""Top, left and side on the grid of the breast; may reach beyond it."""


def _square(box: Box, geometry: Geometry, context: float, least_side: float) -> Square:
    """Lay a square with context around a lesion."""
    one = geometry.to_input(box.top, box.left)
    other = geometry.to_input(box.bottom, box.right)
    middle = (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
    longer = max(abs(other[0] - one[0]), abs(other[1] - one[1]))
    side = max(1, round(max(longer * context, least_side)))
    return round(middle[0] - side / 2), round(middle[1] - side / 2), side


def _slices(square: Square, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Index of what of a square lies on a grid."""
    top, left, side = square
    return (
        slice(min(max(top, 0), shape[0]), min(max(top + side, 0), shape[0])),
        slice(min(max(left, 0), shape[1]), min(max(left + side, 0), shape[1])),
    )


def _share_of_breast(square: Square, breast: NetworkInput) -> float:
    """How much of a square is breast."""
    inside = breast.breast_mask[_slices(square, breast.breast_mask.shape)]
    return float(inside.sum()) / square[2] ** 2


def _cut(square: Square, breast: NetworkInput, size_px: int) -> Uint8Array:
    """Cut a square and bring it to its size; beyond the image it is black."""
    top, left, side = square
    rows, columns = _slices(square, breast.breast_mask.shape)
    whole = np.zeros((side, side), np.float32)
    whole[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = (
        breast.pixels[rows, columns, 0]
    )
    method = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    resized = cv2.resize(whole, (size_px, size_px), interpolation=method)
    return np.rint(np.clip(resized, 0.0, 255.0)).astype(np.uint8)


def _place_without_lesion(
    side: int, breast: NetworkInput, lesions: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Square | None:
    """Draw a square that is mostly breast and touches no lesion; None if there seems to be none."""
    middles = np.argwhere(breast.breast_mask)
    for row, column in middles[rng.integers(len(middles), size=_TRIES)]:
        square = int(row) - side // 2, int(column) - side // 2, side
        if _share_of_breast(square, breast) > 0.7 and not lesions[
            _slices(square, lesions.shape)
        ].any():  # fmt: skip
            return square
    return None
