"""Which patient trains, validates or tests: deterministic, and never by image.

The four views of a patient are nearly copies of each other, so a split by image would test on what
was trained on. The publisher's split is kept where there is one and it is wanted; of those whom the
publisher trains on, some validate. Everywhere else a patient's split hangs on a hash of its
pseudonym alone: adding images to the data set, reading them in another order, or joining the data
set with others, moves nobody.
"""

import hashlib
from collections.abc import Iterable, Sequence

from training.datasets import LabelledImage, Split
from training.errors import DataSetError

_VALIDATION_SHARE = 0.16
_TEST_SHARE = 0.16
_SALT = "mammonode-1"


class LeakError(DataSetError):
    """A patient is in two splits: every figure made from them would be wrong."""


def split_of(patient_id: str) -> Split:
    """Say which split a patient belongs to.

    Parameters
    ----------
    patient_id
        The data set's pseudonym.

    Returns
    -------
    split
        The same one every time, on every machine.
    """
    place = _place(patient_id)
    if place < _TEST_SHARE:
        return Split.TEST
    return Split.VALIDATION if place < _TEST_SHARE + _VALIDATION_SHARE else Split.TRAIN


def assign(images: Sequence[LabelledImage], *, keeps_published: bool = True) -> tuple[Split, ...]:
    """Say which split each image belongs to, and check nothing.

    Parameters
    ----------
    images
        Of one or several data sets.
    keeps_published
        Whether a publisher's split is kept where there is one. Where the publisher has no
        validation split, some of those whom it trains on validate.

    Returns
    -------
    splits
        One an image.
    """
    validated = {image.source for image in images if image.split is Split.VALIDATION}

    def split(image: LabelledImage) -> Split:
        key = _pseudonym(image)
        if image.split is None or not keeps_published:
            return split_of(key)
        if image.split is Split.TRAIN and image.source not in validated:
            return Split.VALIDATION if _place(key) < _VALIDATION_SHARE else Split.TRAIN
        return image.split

    return tuple(split(image) for image in images)


def by_split(
    images: Iterable[LabelledImage], *, keeps_published: bool = True
) -> dict[Split, tuple[LabelledImage, ...]]:
    """Sort images into their patients' splits, and check the result for leaks.

    Parameters
    ----------
    images
        Of one or several data sets.
    keeps_published
        Whether a publisher's split is kept where there is one.

    Returns
    -------
    images_by_split
        Every split has its key; each image is in one of them, in its old order.

    Raises
    ------
    LeakError
        If two splits share a patient or a file.
    """
    images = tuple(images)
    sorted_images: dict[Split, list[LabelledImage]] = {split: [] for split in Split}
    for image, split in zip(images, assign(images, keeps_published=keeps_published), strict=True):
        sorted_images[split].append(image)
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
        With which splits share how many, and one file of them.
    """
    splits = list(images_by_split)
    for index, one in enumerate(splits):
        for other in splits[index + 1 :]:
            for what, key in (("patients", _patient), ("files", _file)):
                theirs = {key(image) for image in images_by_split[other]}
                shared = [image for image in images_by_split[one] if key(image) in theirs]
                if shared:
                    count = len({key(image) for image in shared})
                    raise LeakError(
                        where=shared[0].path,
                        expected="every patient and every file in one split alone",
                        found=f"that {one} and {other} share {count} {what}, this one's among them",
                        to_do=(
                            "Split by patient instead of keeping the publisher's split, or correct "
                            "the patients in the table."
                        ),
                    )


def check_no_leak_between(
    pretraining: dict[Split, tuple[LabelledImage, ...]],
    images_by_split: dict[Split, tuple[LabelledImage, ...]],
    *,
    has_same_patients: bool,
) -> None:
    """Raise if a stage on other images learns from what its run holds out.

    Parameters
    ----------
    pretraining
        Splits of the stage's data set: it trains on one, and validation chooses among its epochs.
    images_by_split
        Those of the run's own.
    has_same_patients
        Whether a pseudonym means the same patient in both; files are compared in any case.

    Raises
    ------
    LeakError
        With how many, and one file of them.
    """
    for learns, held_out in (
        (Split.TRAIN, Split.VALIDATION), (Split.TRAIN, Split.TEST), (Split.VALIDATION, Split.TEST),
    ):  # fmt: skip
        kept = images_by_split[held_out]
        for what, key in (("patients", _pseudonym), ("files", _file)):
            theirs = {key(image) for image in kept} if what == "files" or has_same_patients else ()
            shared = [image for image in pretraining[learns] if key(image) in theirs]
            if shared:
                count = len({key(image) for image in shared})
                raise LeakError(
                    where=shared[0].path,
                    expected=f"a stage on other images to leave the run's {held_out} split alone",
                    found=f"{count} {what} of it in the stage's {learns} split, this one among "
                    "them",
                    to_do="Set keeps_published_split = false: a hash then puts a patient into the "
                    "same split of both.",
                )


def _place(key: str) -> float:
    """Place of a patient in [0, 1), by hash."""
    digest = hashlib.sha256(f"{_SALT}:{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _patient(image: LabelledImage) -> str:
    """Pseudonym of an image's patient."""
    return image.patient_id


def _pseudonym(image: LabelledImage) -> str:
    """Name a patient as in the data set alone, whether or not it was joined with others."""
    return image.split_key or image.patient_id


def _file(image: LabelledImage) -> str:
    """Whole path of an image."""
    return str(image.path)
