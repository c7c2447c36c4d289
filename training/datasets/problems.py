"""What lies in a data set's folder, or should, and cannot be in its table."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class ProblemKind(StrEnum):
    """Why something in the folder is not in the table."""

    LABEL_WITHOUT_IMAGE = "label without an image"
    IMAGE_WITHOUT_LABEL = "image without a label"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that the reader left out and a person should look at."""

    kind: ProblemKind
    what: str
    """The file, relative to the data set's folder, or what the label names it."""


def mismatches(
    *, labels_without_image: Iterable[str], images_without_label: Iterable[str]
) -> tuple[Problem, ...]:
    """Write down where labels and images do not go together.

    Parameters
    ----------
    labels_without_image
        What the labels call their images.
    images_without_label
        Files, relative to the data set's folder.

    Returns
    -------
    problems
        Sorted within each kind.
    """
    return tuple(
        Problem(kind=kind, what=what)
        for kind, names in (
            (ProblemKind.LABEL_WITHOUT_IMAGE, labels_without_image),
            (ProblemKind.IMAGE_WITHOUT_LABEL, images_without_label),
        )
        for what in sorted(names)
    )
