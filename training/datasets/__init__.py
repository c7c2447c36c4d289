"""One file a data set: its layout and labels, read into one table of images.

The table is all that the rest of training knows of a data set.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One mammogram and what is known of it."""

    path: Path
    patient_id: str
    """The data set's own pseudonym; splits are made on it, and nothing else uses it."""
    is_cancer: bool
    """Whether the label says biopsy-proven cancer in this breast."""
    is_inverted: bool
    """Whether the stored grey values run the wrong way (air is white)."""


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
