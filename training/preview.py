"""A contact sheet of augmentation: some training images, each beside twins as training bends it."""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from training.augment import NO_AUGMENTATION, augment
from training.contact_sheet import Row, Tile, write_contact_sheet
from training.datasets import DataSet, LabelledImage, Split
from training.prepared_crops import Uint8Array, prepared_crops
from training.settings import TrainingSettings
from training.splits import by_split

_SHOWN_LIMITS = ("zoom", "rotation_degrees", "shift", "brightness", "contrast", "aspect", "gamma")


def write_preview(
    data_set: DataSet, settings: TrainingSettings, file: Path, *, images: int = 6, twins: int = 6
) -> None:
    """Draw what the network is shown.

    Parameters
    ----------
    data_set
        Its training split is drawn from; no other image is read.
    settings
        Size, augmentation and seed.
    file
        PNG.
    images
        Rows of the sheet; classes take turns.
    twins
        Bent copies of each.

    Raises
    ------
    DataSetError
        If an image cannot be read.
    """
    limits = settings.augmentation
    rows = []
    shown = _in_turns(by_split(data_set.images)[Split.TRAIN], images)
    with TemporaryDirectory() as cache:
        crops = np.array(prepared_crops(data_set, shown, settings.crop_size_px, Path(cache)))
    for number, (image, crop) in enumerate(zip(shown, crops, strict=True)):
        seeds = [np.random.default_rng([settings.seed, number, twin]) for twin in range(twins + 1)]
        pictures = [augment(crop, settings.input_size_px, seeds[0], NO_AUGMENTATION)]
        pictures += [augment(crop, settings.input_size_px, rng, limits) for rng in seeds[1:]]
        captions = ["as it is", *(f"twin {twin}" for twin in range(1, twins + 1))]
        rows.append(
            Row(
                heading=image.label.value.replace("_", " "),
                tiles=tuple(
                    Tile(pictures=(_as_grey_values(picture),), captions=(caption,))
                    for picture, caption in zip(pictures, captions, strict=True)
                ),
            )
        )
    height, width = settings.input_size_px
    write_contact_sheet(
        file,
        rows,
        title=f"Augmentation at {height} by {width} pixels",
        subtitle=("upside down or not; " if limits.flip else "")
        + ", ".join(
            f"{name.replace('_', ' ')} ± {getattr(limits, name):g}" for name in _SHOWN_LIMITS
        )
        + f"; noise to {limits.noise:g}, blur to {limits.blur_px:g} px",
    )


def _in_turns(images: tuple[LabelledImage, ...], count: int) -> list[LabelledImage]:
    """Take images of each label in turn, spread over patients."""
    of_label: dict[str, list[LabelledImage]] = {}
    patients: set[tuple[str, str]] = set()
    for image in images:
        if (image.label, image.patient_id) not in patients:
            patients.add((image.label, image.patient_id))
            of_label.setdefault(image.label, []).append(image)
    turns = (
        members[turn]
        for turn in range(max(map(len, of_label.values()), default=0))
        for members in of_label.values()
        if turn < len(members)
    )
    return list(islice(turns, count))


def _as_grey_values(picture: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Uint8Array:
    """Round to what a picture file holds."""
    return np.rint(picture).astype(np.uint8)
