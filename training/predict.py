"""Prepared crops to the network's output."""

import keras
import numpy as np
import numpy.typing as npt

from training.batches import InferenceBatches

Float64Array = npt.NDArray[np.float64]


def softmax(model: keras.Model, crops: npt.NDArray[np.uint8]) -> Float64Array:
    """Run the network over prepared crops.

    Parameters
    ----------
    model
        From `model.network.build`.
    crops
        Shape (images, height, width), values 0 to 255.

    Returns
    -------
    scores
        Shape (images, classes): the softmax, each row of sum 1.
    """
    scores: Float64Array = model.predict(InferenceBatches(crops), verbose=0).astype(np.float64)
    return scores
