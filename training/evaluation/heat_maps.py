"""The node's own heat maps of images that were scored."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from model.classify import Classifier
from model.explain import HeatMap
from model.manifest import Manifest
from model.preprocess import Box, Geometry, NetworkInput, to_network_input
from training.datasets import DataSet
from training.evaluation.scoring import ScoredImages
from training.progress import counted

_AT_ONCE = 16


def why_no_heat_maps() -> str | None:
    """Say why no heat map can be drawn here, in a sentence; None where it can.

    Returns
    -------
    reason
        Heat maps are made as in a node, with TensorFlow.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return None
    return f"No heat map was drawn: Keras runs on {backend}, and heat maps need TensorFlow."


def heat_maps(
    classifier: Classifier, data_set: DataSet, scored: ScoredImages, rows: Sequence[int]
) -> list[HeatMap]:
    """Draw the heat maps of some images.

    Parameters
    ----------
    classifier
        Of the network that scored them.
    data_set
        Knows how its images are read.
    scored
        From `score_images`.
    rows
        Places in `scored`.

    Returns
    -------
    maps
        One a row, in their order.

    Raises
    ------
    DataSetError
        If an image cannot be read any more.
    """
    if not rows:
        return []
    return list(counted(_drawn(classifier, data_set, scored, rows), "Drawing heat maps", len(rows)))


def _drawn(
    classifier: Classifier, data_set: DataSet, scored: ScoredImages, rows: Sequence[int]
) -> Iterator[HeatMap]:
    """Draw some at once, so that a large data set fits into memory."""
    for start in range(0, len(rows), _AT_ONCE):
        inputs = [
            _network_input(classifier.manifest, data_set, scored, row)
            for row in rows[start : start + _AT_ONCE]
        ]
        for result in classifier.classify(inputs):
            yield result.heat_map


def _network_input(
    manifest: Manifest, data_set: DataSet, scored: ScoredImages, row: int
) -> NetworkInput:
    """Make the input again, with the mask and geometry that a heat map needs."""
    if scored.geometries[row] is not None:
        display = data_set.read_display(scored.images[row])
        return to_network_input(display, manifest.input_size_px)
    # Prepared already: the picture is the input, all of it.
    crop = np.asarray(scored.crops[row], np.float32)
    height, width = crop.shape
    whole = Box(top=0, left=0, bottom=height, right=width)
    return NetworkInput(
        pixels=np.repeat(crop[..., None], 3, axis=-1),
        breast_mask=crop > 0,
        geometry=Geometry(
            original_rows=height,
            original_columns=width,
            crop=whole,
            is_mirrored=False,
            scale_rows=1.0,
            scale_columns=1.0,
            content=whole,
            input_rows=height,
            input_columns=width,
        ),
    )
