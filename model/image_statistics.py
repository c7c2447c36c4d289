"""A few numbers that say whether an image looks like those that the network was trained on.

They are taken from what the network is given, after the preprocessing: what that evens out does not
concern the network, and what it cannot even out shows here. Training and the node compute them by
the same function.
"""

from dataclasses import dataclass, fields

import cv2
import numpy as np

from model.preprocess import NetworkInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStatistics:
    """What the pixels of one network input are like.

    Attributes
    ----------
    breast_share
        Share of the network's input that shows breast, in [0, 1]: its shape, and whether the crop
        found it.
    mean_grey
        Mean of the breast's grey values, in [0, 255]. Their median is held near one value by the
        preprocessing; the mean tells how they lie about it.
    grey_deviation
        Standard deviation of the breast's grey values, in [0, 127.5]: contrast.
    detail
        Mean magnitude of the Laplacian inside the breast, in grey values, at least 0: how sharp or
        noisy it is. Another detector, another compression or another post-processing shows here
        first.
    """

    breast_share: float
    mean_grey: float
    grey_deviation: float
    detail: float


STATISTICS = tuple(field.name for field in fields(ImageStatistics))
"""Their names, in the order of the class."""


def image_statistics(network_input: NetworkInput) -> ImageStatistics:
    """Compute the statistics of one image; takes about a millisecond.

    Parameters
    ----------
    network_input
        From `model.preprocess.to_network_input`; there is a breast in it.

    Returns
    -------
    statistics
        All finite.
    """
    grey = np.ascontiguousarray(network_input.pixels[..., 0])
    breast = network_input.breast_mask.astype(np.uint8)
    mean, deviation = cv2.meanStdDev(grey, mask=breast)
    # The step from the skin to the padding is no detail: it would tell the outline's length.
    inside = cv2.erode(breast, np.ones((3, 3), np.uint8), borderValue=0)
    magnitude = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    return ImageStatistics(
        breast_share=float(network_input.breast_mask.mean()),
        mean_grey=float(mean[0, 0]),
        grey_deviation=float(deviation[0, 0]),
        detail=float(cv2.mean(magnitude, mask=inside)[0]),
    )
