"""Which patient trains, validates or tests: deterministic, and never by image.

The four views of a patient are nearly copies of each other, so a split by image would test on what
was trained on. A patient's split hangs on a hash of its pseudonym alone: adding images to the data
set, or reading them in another order, moves nobody.
"""

import hashlib
from collections.abc import Iterable

from training.datasets import LabelledImage, Split
from training.errors import TrainingError

_VALIDATION_SHARE = 0.16
_TEST_SHARE = 0.16


class LeakError(TrainingError):
    """A patient is in two splits: every figure made from them would be wrong."""


def split_of(patient_id: str, *, salt: str = "mammonode-1") -> Split:
    """Say which split a patient belongs to.

    Parameters
    ----------
    patient_id
        The data set's pseudonym.
    salt
        Another salt is another split, to measure how much hangs on it.

    Returns
    -------
    split
        The same one every time, on every machine.
    """
    digest = hashlib.sha256(f"{salt}:{patient_id}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < _TEST_SHARE:
        return Split.TEST
    return Split.VALIDATION if place < _TEST_SHARE + _VALIDATION_SHARE else Split.TRAIN


def by_split(images: Iterable[LabelledImage]) -> dict[Split, tuple[LabelledImage, ...]]:
    """Sort images into their patients' splits, and check the result for leaks.

    Parameters
    ----------
    images
        Of one or several data sets.

    Returns
    -------
    images_by_split
        Every split has its key; each image is in one of them, in its old order.

    Raises
    ------
    LeakError
        If two splits share a patient or a file.
    """
    sorted_images: dict[Split, list[LabelledImage]] = {split: [] for split in Split}
    for image in images:
        sorted_images[split_of(image.patient_id)].append(image)
    result = {split: tuple(members) for split, members in sorted_images.items()}
    check_no_leak(result)
    return result


def check_no_leak(images_by_split: dict[Split, tuple[LabelledImage, ...]]) -> None:
    """Raise if a patient or a file is in more than one split.

    Parameters
    ----------
    images_by_split
        The splits to check.

    Raises
    ------
    LeakError
        With how many are shared, and by which splits.
    """
    splits = list(images_by_split)
    for index, one in enumerate(splits):
        for other in splits[index + 1 :]:
            for what, shared in (
                ("patients", _patients(images_by_split[one]) & _patients(images_by_split[other])),
                ("files", _files(images_by_split[one]) & _files(images_by_split[other])),
            ):
                if shared:
                    raise LeakError(f"{one} and {other} share {len(shared)} {what}")


def _patients(images: Iterable[LabelledImage]) -> set[str]:
    """Pseudonyms of the images."""
    return {image.patient_id for image in images}


def _files(images: Iterable[LabelledImage]) -> set[str]:
    """Whole paths of the images."""
    return {str(image.path) for image in images}
