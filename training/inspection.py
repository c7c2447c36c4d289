"""What a data set holds, and what is wrong with it, before anything is trained on it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from model.errors import PixelDataError
from model.preprocess import to_network_input
from training.datasets import DataSet, Label, LabelledImage, Split
from training.datasets.image_files import read_mask
from training.datasets.problems import Problem, ProblemKind
from training.errors import DataSetError
from training.lesions import has_known_place
from training.progress import counted
from training.splits import assign

NOT_STATED = "not stated"
_THREADS = 2
_INPUT_PX = (224, 168)
_PLURALS = {
    ProblemKind.LABEL_WITHOUT_IMAGE: "labels have no image",
    ProblemKind.IMAGE_WITHOUT_LABEL: "images have no label",
    ProblemKind.UNREADABLE: "files have no readable header",
}


class Count(BaseModel):
    """How many images and patients there are of one kind."""

    model_config = ConfigDict(frozen=True)

    images: int
    patients: int


class Inspection(BaseModel):
    """What was found."""

    model_config = ConfigDict(frozen=True)

    name: str
    licence: str
    all: Count
    by_split_and_label: dict[str, dict[str, Count]]
    by_source: dict[str, Count]
    by_view: dict[str, Count]
    by_density: dict[str, Count]
    with_place_of_lesion: int
    """Images with boxes or masks."""
    notes: tuple[str, ...]
    problems: dict[str, tuple[str, ...]]
    """Labels without images and the reverse, by kind."""
    broken: tuple[str, ...]
    """Images and masks that cannot be read, with the reason."""
    without_breast: tuple[str, ...]
    """Images in which preprocessing finds no breast: training leaves them black."""
    patients_in_two_splits: tuple[str, ...]
    """One file of each."""
    leaks: tuple[tuple[str, ...], ...]
    """Files of equal pixels in more than one split."""
    duplicates: tuple[tuple[str, ...], ...]
    """Files of equal pixels in one split."""
    missing_classes: tuple[str, ...]
    """Splits in which no image, or every image, shows a cancer."""

    @property
    def errors(self) -> tuple[str, ...]:
        """What has to be put right before training, one sentence each."""
        sentences = [
            (len(self.patients_in_two_splits), "patients are in two splits"),
            (len(self.leaks), "images are in two splits under different names"),
            (len(self.broken), "images or masks cannot be read"),
            *((len(what), _PLURALS[ProblemKind(kind)]) for kind, what in self.problems.items()),
        ]
        return (
            *(f"{count:,} {sentence}" for count, sentence in sentences if count),
            *self.missing_classes,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Looked:
    """What one image shows."""

    digest: str = ""
    broken: str = ""
    is_without_breast: bool = False


def inspect(data_set: DataSet, *, keeps_published: bool = True) -> Inspection:
    """Read every image of a data set, and count.

    Parameters
    ----------
    data_set
        From a reader.
    keeps_published
        Whether splits are those of the publisher where there are some.

    Returns
    -------
    inspection
        Pixels are equal if display values are, to one part in 65,535: the same image in another
        format counts.
    """
    images = data_set.images
    splits = assign(images, keeps_published=keeps_published)
    looked: list[_Looked] = [_Looked()] * len(images)

    def look(index: int) -> None:
        looked[index] = _look(data_set, images[index])

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in counted(pool.map(look, range(len(images))), "Reading images", len(images)):
            pass
    leaks, duplicates = _equal_pixels(images, splits, looked)
    return Inspection(
        name=data_set.name,
        licence=data_set.licence,
        all=_count(images),
        by_split_and_label={
            split.value: {
                label.value: _count(
                    [
                        image
                        for image, place in zip(images, splits, strict=True)
                        if place is split and image.label is label
                    ]
                )
                for label in Label
            }
            for split in Split
        },
        by_source=_count_by(images, lambda image: image.source),
        by_view=_count_by(images, view_of),
        by_density=_count_by(images, lambda image: image.density or NOT_STATED),
        with_place_of_lesion=sum(map(has_known_place, images)),
        notes=data_set.notes,
        problems=_by_kind(data_set.problems),
        broken=tuple(one.broken for one in looked if one.broken),
        without_breast=tuple(
            str(image.path)
            for image, one in zip(images, looked, strict=True)
            if one.is_without_breast
        ),
        patients_in_two_splits=_patients_in_two_splits(images, splits),
        leaks=leaks,
        duplicates=duplicates,
        missing_classes=_missing_classes(images, splits),
    )


def _look(data_set: DataSet, image: LabelledImage) -> _Looked:
    """Read one image, and let preprocessing look for a breast."""
    try:
        display = data_set.read_display(image)
        for mask in image.masks:
            read_mask(mask)
    except DataSetError as error:
        return _Looked(broken=str(error))
    values = np.rint(np.clip(display, 0.0, 1.0) * 65535).astype(np.uint16)
    digest = hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()
    if data_set.is_prepared:
        return _Looked(digest=digest)
    try:
        to_network_input(display, _INPUT_PX)
    except PixelDataError:
        return _Looked(digest=digest, is_without_breast=True)
    return _Looked(digest=digest)


def _count(images: Sequence[LabelledImage]) -> Count:
    return Count(images=len(images), patients=len({image.patient_id for image in images}))


def _count_by(
    images: Sequence[LabelledImage], key: Callable[[LabelledImage], str]
) -> dict[str, Count]:
    """Count by a key, in its order."""
    groups: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return {name: _count(groups[name]) for name in sorted(groups)}


def view_of(image: LabelledImage) -> str:
    """Name side and view of an image.

    Parameters
    ----------
    image
        A row of a table.

    Returns
    -------
    view
        As in ``R MLO``.
    """
    parts = [str(part) for part in (image.laterality, image.view_position) if part]
    return " ".join(parts) or NOT_STATED


def _by_kind(problems: Sequence[Problem]) -> dict[str, tuple[str, ...]]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind.value].append(problem.what)
    return {kind: tuple(what) for kind, what in kinds.items()}


def _equal_pixels(
    images: Sequence[LabelledImage], splits: Sequence[Split], looked: Sequence[_Looked]
) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """Group files of equal pixels: those in several splits, and those in one."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(looked):
        if one.digest:
            groups[one.digest].append(index)
    leaks: list[tuple[str, ...]] = []
    duplicates: list[tuple[str, ...]] = []
    for members in groups.values():
        if len(members) > 1:
            names = tuple(f"{images[index].path} ({splits[index]})" for index in members)
            is_leak = len({splits[index] for index in members}) > 1
            (leaks if is_leak else duplicates).append(names)
    return tuple(leaks), tuple(duplicates)


def _patients_in_two_splits(
    images: Sequence[LabelledImage], splits: Sequence[Split]
) -> tuple[str, ...]:
    """Give one file of each patient whom the publisher put into two splits."""
    where: dict[str, set[Split]] = defaultdict(set)
    files: dict[str, Path] = {}
    for image, split in zip(images, splits, strict=True):
        where[image.patient_id].add(split)
        files.setdefault(image.patient_id, image.path)
    return tuple(str(files[patient]) for patient, found in where.items() if len(found) > 1)


def _missing_classes(images: Sequence[LabelledImage], splits: Sequence[Split]) -> tuple[str, ...]:
    """Say where there is one class alone."""
    cancers = Counter(split for image, split in zip(images, splits, strict=True) if image.is_cancer)
    all_images = Counter(splits)
    return tuple(
        f"{split}: {cancers[split]} of {all_images[split]} images show a cancer; both classes are "
        "needed"
        for split in Split
        if not 0 < cancers[split] < all_images[split]
    )
