"""From network input to calibrated scores and heat maps; from views to breast to study."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model.explain import HeatMap, grad_cam
from model.manifest import SHIPPED_WEIGHTS, Manifest, RollUp, read_manifest
from model.network import load, split_at_features
from model.preprocess import PREPROCESS_VERSION, NetworkInput
from model.views import Laterality

Float32Array = npt.NDArray[np.float32]

_BATCH = 4
_SMALLEST = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What the network says of one image.

    Attributes
    ----------
    score
        AI malignancy score in (0, 1), calibrated at the prevalence that the manifest states.
    heat_map
        Grad-CAM of the same forward pass.
    """

    score: float
    heat_map: HeatMap


class Classifier:
    """A network with its weights and their manifest, ready to classify.

    Parameters
    ----------
    model
        What `model.network.build` or `model.network.load` returned.
    manifest
        Of its weights.
    """

    def __init__(self, model: keras.Model, manifest: Manifest) -> None:
        self.manifest = manifest
        trunk, head = split_at_features(model)
        shape = (_BATCH, *manifest.input_size_px, 3)
        cancer = manifest.cancer_unit
        others = [unit for unit in range(len(manifest.classes)) if unit != cancer]

        # TensorFlow ships no types, so that its decorator has none.
        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])  # type: ignore[untyped-decorator]
        def forward(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            features = trunk(pixels, training=False)
            with tf.GradientTape() as tape:
                tape.watch(features)
                scores = head(features, training=False)
                # Of the log odds, not of the softmax: with two classes they differ by a factor
                # that is the same for all features of an image, and a heat map is free of scale;
                # but a softmax that is 1 in float32 has no gradient left, and would have no map.
                log_odds = tf.math.log(tf.maximum(scores[:, cancer], _SMALLEST)) - tf.math.log(
                    tf.maximum(tf.reduce_sum(tf.gather(scores, others, axis=1), axis=1), _SMALLEST)
                )
            return scores[:, cancer], features, tape.gradient(log_odds, features)

        self._forward = forward

    @classmethod
    def load(cls, weights_folder: Path | None = None) -> "Classifier":
        """Read a manifest, check the weights against it, and build the network.

        Parameters
        ----------
        weights_folder
            The folder with ``manifest.json`` and the weights; None takes the shipped ones.

        Returns
        -------
        classifier
            Ready; its first call takes seconds longer than the others (`warm_up`).

        Raises
        ------
        WeightsError
            If manifest or weights are missing, damaged, do not fit each other, or were made for
            another preprocessing than this software's.
        """
        folder = weights_folder or SHIPPED_WEIGHTS
        manifest = read_manifest(folder)
        manifest.require_preprocessing(PREPROCESS_VERSION)
        return cls(load(manifest, folder), manifest)

    def warm_up(self) -> None:
        """Run the network once on nothing, so that no study waits for its compilation."""
        self._forward(np.zeros((_BATCH, *self.manifest.input_size_px, 3), np.float32))

    def classify(self, inputs: Sequence[NetworkInput]) -> list[Classification]:
        """Score and explain images, each from one forward pass.

        Images pass in batches of a fixed size, the last one filled up with empty images, so that an
        image gets the same score whatever it is scored together with.

        Parameters
        ----------
        inputs
            Made by `model.preprocess.to_network_input` for the manifest's input size; any number.

        Returns
        -------
        classifications
            One for each input, in their order.
        """
        results: list[Classification] = []
        for start in range(0, len(inputs), _BATCH):
            batch = inputs[start : start + _BATCH]
            pixels = np.zeros((_BATCH, *self.manifest.input_size_px, 3), np.float32)
            for index, network_input in enumerate(batch):
                pixels[index] = network_input.pixels
            malignancy, features, gradients = (out.numpy() for out in self._forward(pixels))
            results += [
                self._classification(
                    float(malignancy[index]), features[index], gradients[index], network_input
                )
                for index, network_input in enumerate(batch)
            ]
        return results

    def _classification(
        self,
        malignancy: float,
        features: Float32Array,
        gradients: Float32Array,
        network_input: NetworkInput,
    ) -> Classification:
        """Calibrate one output, and draw its heat map as strongly as the score deserves."""
        score = self.manifest.calibration.score(malignancy)
        point = self.manifest.operating_point
        strength = 1.0 if point.is_reached(score) else score / point.threshold
        return Classification(
            score=score,
            heat_map=grad_cam(features, gradients, network_input, strength=strength),
        )


def roll_up_breasts(
    views: Iterable[tuple[Laterality | None, float]], rule: RollUp
) -> Mapping[Laterality | None, float]:
    """Combine the scores of views into one for each breast.

    Parameters
    ----------
    views
        The breast that each view shows, None if unknown, and its score in [0, 1].
    rule
        The manifest's.

    Returns
    -------
    scores
        In [0, 1], for each breast of which there is a view. Views of an unknown side are taken
        together as if they were a breast of their own: they are not left out of the study.
    """
    scores: dict[Laterality | None, list[float]] = defaultdict(list)
    for laterality, score in views:
        scores[laterality].append(score)
    return {
        laterality: rule.views_to_breast.of(of_breast) for laterality, of_breast in scores.items()
    }


def roll_up_study(breasts: Iterable[float], rule: RollUp) -> float | None:
    """Combine the scores of breasts into the study's.

    Parameters
    ----------
    breasts
        In [0, 1].
    rule
        The manifest's.

    Returns
    -------
    score
        In [0, 1]; None if there is no breast.
    """
    scores = list(breasts)
    return rule.breasts_to_study.of(scores) if scores else None
