"""What the units of the softmax stand for, and which of them an image's label means."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.network import CLASSES, THREE_CLASSES
from training.datasets import DataSet, Label, LabelledImage, Split
from training.errors import DataSetError
from training.splits import by_split

BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]

_TWO = {Label.NO_CANCER: 0, Label.NORMAL: 0, Label.BENIGN: 0, Label.MALIGNANT: 1}
_THREE = {Label.NORMAL: 0, Label.BENIGN: 1, Label.MALIGNANT: 2}


def class_names(classes: int) -> tuple[str, ...]:
    """Say what the units of the softmax stand for; cancer is the last.

    Parameters
    ----------
    classes
        2 or 3, as in the settings.

    Returns
    -------
    names
        As `model.network.build` takes them.
    """
    return CLASSES if classes == 2 else THREE_CLASSES


def class_indices(images: Sequence[LabelledImage], classes: int) -> IndexArray:
    """Give each image's class.

    Parameters
    ----------
    images
        Rows of a table that `check_labels` has let pass.
    classes
        2 or 3.

    Returns
    -------
    indices
        Shape (images,): places in `class_names`.
    """
    of_label = _TWO if classes == 2 else _THREE
    return np.array([of_label[image.label] for image in images], np.intp)


def labels(images: Sequence[LabelledImage]) -> BoolArray:
    """Say which images show a breast with cancer.

    Parameters
    ----------
    images
        Rows of a table.

    Returns
    -------
    is_cancer
        Shape (images,).
    """
    return np.array([image.is_cancer for image in images], np.bool_)


def check_labels(data_set: DataSet, classes: int, *, is_pretraining: bool = False) -> None:
    """Raise where the labels of a data set cannot teach these classes, or cannot measure them.

    Parameters
    ----------
    data_set
        To train on.
    classes
        2 or 3.
    is_pretraining
        Whether a class may be missing, because a later stage teaches it.

    Raises
    ------
    DataSetError
        If a label says too little, or a class has no image in the training or validation split.
    """
    of_label = _TWO if classes == 2 else _THREE
    unknown = Counter(image.label for image in data_set.images if image.label not in of_label)
    if unknown:
        found = ", ".join(f"{count} × {label}" for label, count in sorted(unknown.items()))
        raise DataSetError(
            where=data_set.name,
            expected=f"labels of {classes} classes: {', '.join(sorted(of_label))}",
            found=found,
            to_do="Set classes = 2, or use a data set that tells normal from benign.",
        )
    needed = {of_label[Label.MALIGNANT]} if is_pretraining else set(range(classes))
    images = by_split(data_set.images)
    for split in (Split.TRAIN, Split.VALIDATION):
        counts = Counter(of_label[image.label] for image in images[split])
        missing = [class_names(classes)[index] for index in sorted(needed) if not counts[index]]
        if missing or len(counts) < 2:
            found = ", ".join(
                f"{counts[index]} × {name}" for index, name in enumerate(class_names(classes))
            )
            raise DataSetError(
                where=data_set.name,
                expected=f"images of every class in the {split} split",
                found=found,
                to_do="Add patients of the class that is missing: with one class alone there is "
                "nothing to tell apart.",
            )
