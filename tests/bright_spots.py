"""A classifier without a network that finds the bright disc of a phantom: its answer is known."""

from collections.abc import Sequence

import numpy as np

from model.classify import Classification, Classifier
from model.explain import HeatMap
from model.manifest import Manifest
from model.preprocess import NetworkInput

SCORE_WITH_SPOT = 0.87
SCORE_WITHOUT = 0.08
_LEAST_CONTRAST = 0.5
"""How far the brightest pixel stands out from the tissue, in widths of the tissue's own range."""
_HILL_SHARE = 0.03


class BrightSpotClassifier(Classifier):
    """Stands where the network stands in the pipeline; everything around it is the real thing.

    A view with a spot that stands out scores 0.87, and its heat map is a hill over the middle of
    the spot; any other scores 0.08 and has its hill in the middle of the breast.

    Parameters
    ----------
    manifest
        Gives the input size, the operating point and the rule for regions.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def classify(self, inputs: Sequence[NetworkInput]) -> list[Classification]:
        """Look for the spot in each input."""
        return [self._classify(one) for one in inputs]

    def _classify(self, network_input: NetworkInput) -> Classification:
        grey, on_breast = network_input.pixels[..., 0], network_input.breast_mask
        dark, light, lightest = np.quantile(grey[on_breast], (0.1, 0.9, 1.0))
        has_spot = lightest - light > _LEAST_CONTRAST * (light - dark)
        is_spot = on_breast & (grey > (light + lightest) / 2)
        score = SCORE_WITH_SPOT if has_spot else SCORE_WITHOUT
        middle = np.argwhere(is_spot if has_spot else on_breast).mean(axis=0)
        row, column = np.indices(grey.shape)
        distance = np.hypot(row - middle[0], column - middle[1])
        hill = np.exp(-((distance / (_HILL_SHARE * grey.shape[0])) ** 2) / 2) * on_breast
        strength = min(1.0, score / self.manifest.operating_point.threshold)
        heat_map = HeatMap(
            values=(hill * strength / hill.max()).astype(np.float32),
            breast_mask=on_breast,
            geometry=network_input.geometry,
        )
        return Classification(score=score, heat_map=heat_map)
