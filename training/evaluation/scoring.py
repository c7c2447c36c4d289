"""Images of a data set through the network: what it says of each, and where its crop came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from model.image_statistics import ImageStatistics
from model.preprocess import Geometry
from training.breasts import breasts_of
from training.classes import labels
from training.datasets import DataSet, LabelledImage
from training.predict import softmax
from training.prepared_crops import (
    prepared_crops,
    prepared_geometries,
    prepared_statistics,
)

Float64Array = npt.NDArray[np.float64]
Uint8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredImages:
    """Images in which a breast was found, with the network's output.

    Attributes
    ----------
    images
        Rows of a data set.
    breasts
        Which breast each shows.
    crops
        Shape (images, height, width), values 0 to 255: what the network was given.
    geometries
        Where each crop came from; None for images that were prepared already.
    image_statistics
        What each crop is like; None for images that were prepared already.
    outputs
        Shape (images, classes): the softmax, not calibrated.
    without_breast
        How many images were left out, because no breast was found in them: as in a node.
    """

    images: tuple[LabelledImage, ...]
    breasts: tuple[str, ...]
    crops: Uint8Array
    geometries: tuple[Geometry | None, ...]
    image_statistics: tuple[ImageStatistics | None, ...]
    outputs: Float64Array
    without_breast: int

    @property
    def is_cancer(self) -> BoolArray:
        """Shape (images,)."""
        return labels(self.images)

    @property
    def patient_ids(self) -> list[str]:
        """Whose each image is."""
        return [image.patient_id for image in self.images]

    @property
    def mixed_breasts(self) -> int:
        """Breasts that have images with and without cancer: a check on what a breast is."""
        seen: dict[str, set[bool]] = {}
        for image, breast in zip(self.images, self.breasts, strict=True):
            seen.setdefault(breast, set()).add(image.is_cancer)
        return sum(len(found) == 2 for found in seen.values())


def score_images(
    model: keras.Model,
    data_set: DataSet,
    images: Sequence[LabelledImage],
    size_px: tuple[int, int],
    cache: Path,
) -> ScoredImages:
    """Run the network over images.

    Parameters
    ----------
    model
        From `model.network.build` or `model.network.load`.
    data_set
        Knows how its images are read.
    images
        Some of its rows.
    size_px
        (height, width) of the network's input.
    cache
        Folder for prepared crops.

    Returns
    -------
    scored
        In the order of `images`.

    Raises
    ------
    DataSetError
        If an image cannot be read.
    """
    crops = prepared_crops(data_set, images, size_px, cache)
    geometries = prepared_geometries(data_set, images, size_px, cache)
    statistics = prepared_statistics(data_set, images, size_px, cache)
    has_breast = np.any(crops, axis=(1, 2)).tolist()
    kept = tuple(compress(images, has_breast))
    kept_geometries = tuple(compress(geometries, has_breast))
    kept_crops = crops[np.array(has_breast, np.bool_)]
    return ScoredImages(
        images=kept,
        breasts=tuple(breasts_of(data_set, kept, kept_geometries)),
        crops=kept_crops,
        geometries=kept_geometries,
        image_statistics=tuple(compress(statistics, has_breast)),
        outputs=(softmax(model, kept_crops) if kept else np.zeros((0, model.outputs[0].shape[-1]))),
        without_breast=len(images) - len(kept),
    )
