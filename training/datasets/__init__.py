"""One file a data set: its layout and labels, read into one table of images.

The table is all that the rest of training knows of a data set. `training.datasets.registry` finds a
reader by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.views import Laterality
from training.datasets.problems import Problem

Float32Array = npt.NDArray[np.float32]


class Label(StrEnum):
    """What is known of the breast, or of the lesion, that an image shows."""

    NO_CANCER = "no_cancer"
    """No cancer; whether there was a benign finding is not said."""
    NORMAL = "normal"
    BENIGN = "benign"
    MALIGNANT = "malignant"
    """Cancer: proven by biopsy, but in INbreast, where BI-RADS 4 to 6 stands for it."""


class Split(StrEnum):
    """What a patient's images are used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a lesion lies, as the smallest upright box around it, on the image's own pixel grid.

    Rows count downwards from the top edge, columns to the right from the left edge, both from 0;
    `bottom` and `right` lie just outside.
    """

    top: float
    left: float
    bottom: float
    right: float
    label: Label | None = None
    """What is known of this lesion; the image's label is that of its worst one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One image and what is known of it; None where its data set does not say."""

    path: Path
    patient_id: str
    """The data set's own pseudonym; splits are made on it, and nothing else uses it."""
    label: Label
    source: str
    """Short name of the data set, such as ``rsna``."""
    study_id: str | None = None
    laterality: Laterality | None = None
    view_position: str | None = None
    """A Defined Term of View Position (0018,5101), such as CC."""
    split: Split | None = None
    """Where the data set's publisher put the patient."""
    split_key: str | None = None
    """What a split by hash is made on, where that is not `patient_id`; see `registry.join`."""
    boxes: tuple[Box, ...] = ()
    masks: tuple[Path, ...] = ()
    """Images of the same pixel grid in which a lesion is not 0."""
    mask_labels: tuple[Label, ...] = ()
    """What is known of the lesion in each of `masks`."""
    findings: tuple[str, ...] = ()
    """Kinds of the lesions, in the data set's own words, such as ``mass``."""
    density: str | None = None
    """ACR breast composition, a to d; in mini-MIAS its own F, G and D."""
    bi_rads: str | None = None
    """Assessment category, 0 to 6; of several lesions the gravest."""
    subtlety: int | None = None
    """1, subtle, to 5, obvious; of several lesions the most obvious."""
    is_inverted: bool = False
    """Whether the stored grey values run the wrong way (air is white)."""

    @property
    def is_cancer(self) -> bool:
        """Whether the label says cancer."""
        return self.label is Label.MALIGNANT


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A table of images, how to read one, and what must be said of them."""

    name: str
    licence: str
    citation: str
    images: tuple[LabelledImage, ...]
    read_display: Callable[[LabelledImage], Float32Array]
    """An image as `model.preprocess.to_network_input` wants it: [0, 1], air 0."""
    known_gaps: tuple[str, ...]
    """How these images differ from what a hospital sends."""
    problems: tuple[Problem, ...] = ()
    """What lies in the folder, or should, and is not among `images`."""
    notes: tuple[str, ...] = ()
    """What the reader found and decided: swapped files, splits not kept, images left out."""
    is_prepared: bool = False
    """Whether the images are pieces of network input already: they are resized and no more."""
