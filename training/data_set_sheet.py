"""A contact sheet of a data set: images of each class as stored, and as the network sees them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from model.errors import PixelDataError
from model.preprocess import to_network_input
from training.contact_sheet import Row, Tile, write_contact_sheet
from training.datasets import DataSet, Float32Array, Label, LabelledImage, Split
from training.errors import DataSetError
from training.inspection import NOT_STATED, view_of
from training.lesions import has_known_place, lesion_mask
from training.splits import assign

Uint8Array = npt.NDArray[np.uint8]

_INPUT_PX = (224, 168)
_TILES = 8
_PICTURE_PX = 352


def write_data_set_sheet(data_set: DataSet, file: Path, *, keeps_published: bool = True) -> None:
    """Draw some images of each class as they are stored and as the network sees them.

    Parameters
    ----------
    data_set
        From a reader.
    file
        PNG.
    keeps_published
        Whether splits are those of the publisher where there are some.
    """
    splits = dict(
        zip(data_set.images, assign(data_set.images, keeps_published=keeps_published), strict=True)
    )
    rows = []
    for label in Label:
        of_label = [image for image in data_set.images if image.label is label]
        if of_label:
            tiles = (_tile(data_set, image, splits[image]) for image in _spread(of_label, _TILES))
            rows.append(
                Row(
                    heading=f"{label.value.replace('_', ' ')}: {len(of_label):,} images",
                    tiles=tuple(tile for tile in tiles if tile),
                )
            )
    write_contact_sheet(
        file,
        rows,
        title=data_set.name,
        subtitle=(
            "As the network sees them. "
            if data_set.is_prepared
            else "Above as stored, lesions outlined; below as the network sees it. "
        )
        + f"Licence: {data_set.licence}",
    )


def _spread(images: Sequence[LabelledImage], count: int) -> list[LabelledImage]:
    """Choose some images, of different patients where there are enough, the same every time."""
    order = sorted(
        images,
        key=lambda image: hashlib.sha256(f"{image.patient_id}{image.path.name}".encode()).digest(),
    )
    firsts = {image.patient_id: image for image in reversed(order)}
    chosen = [image for image in order if firsts[image.patient_id] is image]
    rest = [image for image in order if firsts[image.patient_id] is not image]
    return [*chosen, *rest][:count]


def _place(image: LabelledImage) -> bytes:
    """Where an image stands in an order that nothing else follows."""
    return hashlib.sha256(f"{image.patient_id}:{image.path.name}".encode()).digest()


def _tile(data_set: DataSet, image: LabelledImage, split: Split) -> Tile | None:
    """Draw one image; None if it cannot be read."""
    try:
        display = data_set.read_display(image)
        size = display.shape[0], display.shape[1]
        scale = min(1.0, _PICTURE_PX / max(size))
        shape = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        lesions = lesion_mask(image, size, shape) if has_known_place(image) else None
    except DataSetError:
        return None
    small = np.asarray(cv2.resize(display, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    facts = [f"density {image.density}" if image.density else ""]
    facts += [f"BI-RADS {image.bi_rads}" if image.bi_rads else "", *image.findings]
    return Tile(
        pictures=(
            (_grey(small),) if data_set.is_prepared else (_grey(small), _network_view(display))
        ),
        captions=(
            image.path.name,
            _joined([split.value, view_of(image)]),
            _joined(facts),
        ),
        lesions=lesions,
    )


def _joined(facts: Sequence[str]) -> str:
    """Join what is known."""
    return " · ".join(fact for fact in facts if fact not in ("", NOT_STATED))


def _grey(display: Float32Array) -> Uint8Array:
    return np.rint(np.clip(display, 0.0, 1.0) * 255).astype(np.uint8)


def _network_view(display: Float32Array) -> Uint8Array:
    """Draw what the network would see; black where no breast is found."""
    try:
        return np.rint(to_network_input(display, _INPUT_PX).pixels[..., 0]).astype(np.uint8)
    except PixelDataError:
        return np.zeros(_INPUT_PX, np.uint8)
