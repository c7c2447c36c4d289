"""Scores and heat maps from the real network, small and untrained."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from model.classify import Classifier, roll_up_breasts, roll_up_study
from model.errors import WeightsError
from model.explain import grad_cam
from model.manifest import MANIFEST_FILE, RollUp, RollUpRule, read_manifest
from model.network import GRAD_CAM_LAYER, THREE_CLASSES, load, split_at_features
from model.preprocess import NetworkInput, to_network_input
from model.views import Laterality
from networks import write_untrained_weights
from phantoms import Disc, breast_pixels

SIZE_PX = (96, 72)
R, L = Laterality.RIGHT, Laterality.LEFT


@pytest.fixture(scope="module")
def classifier(untrained_weights: Path) -> Classifier:
    return Classifier.load(untrained_weights)


@pytest.fixture(scope="module")
def model(untrained_weights: Path) -> keras.Model:
    return load(read_manifest(untrained_weights), untrained_weights)


@pytest.fixture(scope="module")
def inputs() -> list[NetworkInput]:
    return [to_network_input(breast_pixels("L", seed=seed), SIZE_PX) for seed in range(6)]


def test_an_image_has_the_same_score_alone_in_a_batch_and_in_any_place(
    classifier: Classifier, inputs: list[NetworkInput]
) -> None:
    alone = [classifier.classify([each])[0] for each in inputs]

    together = classifier.classify(inputs)
    turned = classifier.classify(inputs[::-1])[::-1]

    # Exactly: every batch has the same size, so that the same kernels run in the same order.
    for one, two, three in zip(alone, together, turned, strict=True):
        assert one.score == two.score == three.score
        np.testing.assert_array_equal(one.heat_map.values, two.heat_map.values)
        np.testing.assert_array_equal(one.heat_map.values, three.heat_map.values)


def test_the_same_weights_loaded_again_give_the_same_score(
    classifier: Classifier,
    model: keras.Model,
    untrained_weights: Path,
    inputs: list[NetworkInput],
) -> None:
    again = Classifier(model, read_manifest(untrained_weights))

    assert again.classify(inputs[:1])[0].score == classifier.classify(inputs[:1])[0].score


def test_different_images_have_different_scores(
    classifier: Classifier, inputs: list[NetworkInput]
) -> None:
    scores = {result.score for result in classifier.classify(inputs)}

    assert len(scores) == len(inputs)
    assert all(0.0 < score < 1.0 for score in scores)


def test_the_score_is_the_calibrated_output_of_the_network(
    model: keras.Model, classifier: Classifier, inputs: list[NetworkInput]
) -> None:
    calibration = classifier.manifest.calibration.model_copy(update={"slope": 2.0, "offset": -1.0})
    calibrated = with_manifest(classifier, calibration=calibration)

    (result,) = calibrated.classify(inputs[:1])

    raw = float(np.asarray(model(inputs[0].pixels[None], training=False))[0, 1])
    logit = 2.0 * np.log(raw / (1 - raw)) - 1.0
    # The two halves of the network and the whole differ by the rounding of float32.
    assert result.score == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)


def with_manifest(classifier: Classifier, **changes: object) -> Classifier:
    """Share the network, which takes seconds to compile, under another manifest."""
    other = copy.copy(classifier)
    other.manifest = classifier.manifest.model_copy(update=changes)
    return other


def test_nothing_to_classify_gives_nothing(classifier: Classifier) -> None:
    assert classifier.classify([]) == []


@pytest.mark.parametrize(("threshold", "strength"), [(0.1, 1.0), (0.9, None)])
def test_the_heat_map_is_at_full_strength_from_the_operating_point_on(
    classifier: Classifier,
    inputs: list[NetworkInput],
    threshold: float,
    strength: float | None,
) -> None:
    point = classifier.manifest.operating_point.model_copy(update={"threshold": threshold})

    (result,) = with_manifest(classifier, operating_point=point).classify(inputs[:1])

    expected = strength or result.score / threshold
    assert result.heat_map.values.max() == pytest.approx(expected, abs=1e-6)


def test_of_three_classes_score_and_heat_map_are_of_the_malignant_one(
    tmp_path: Path, inputs: list[NetworkInput]
) -> None:
    folder = write_untrained_weights(tmp_path, classes=THREE_CLASSES)
    manifest = read_manifest(folder)
    network = load(manifest, folder)
    features, gradients, malignant = malignant_gradients(network, inputs[0])

    (result,) = Classifier(network, manifest).classify(inputs[:1])

    assert manifest.calibration.score(malignant) == pytest.approx(result.score, abs=1e-5)
    strength = min(1.0, result.score / manifest.operating_point.threshold)
    expected = grad_cam(features, gradients, inputs[0], strength=strength)
    np.testing.assert_allclose(result.heat_map.values, expected.values, atol=1e-3)
    assert result.heat_map.values.max() > 0


def malignant_gradients(
    network: keras.Model, given: NetworkInput
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], float]:
    """Features, gradient of log(p / (1 - p)) of the third unit, and p itself."""
    trunk, head = split_at_features(network)
    features = trunk(given.pixels[None])
    with tf.GradientTape() as tape:
        tape.watch(features)
        malignant = head(features)[:, 2]
        log_odds = tf.math.log(malignant / (1 - malignant))
    gradients = tape.gradient(log_odds, features)
    return features.numpy()[0], gradients.numpy()[0], float(malignant.numpy()[0])


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("place", [(0.3, 0.3), (0.62, 0.35), (0.5, 0.5)])
def test_a_network_that_fires_on_a_disc_points_at_the_disc(
    untrained_weights: Path, laterality: str, place: tuple[float, float]
) -> None:
    rows, columns, size_px = 1000, 800, (256, 192)
    depth = place[1] * columns
    disc = Disc(place[0] * rows, columns - depth if laterality == "R" else depth, 80)
    with_disc = to_network_input(
        breast_pixels(laterality, rows=rows, columns=columns, lesion=disc), size_px
    )
    manifest = read_manifest(untrained_weights).model_copy(update={"input_size_px": size_px})

    (result,) = Classifier(fires_on_the_brightest(with_disc), manifest).classify([with_disc])

    laid = result.heat_map.on_original()
    row, column = np.argwhere(laid > 0.9 * laid.max()).mean(axis=0) + 0.5
    # Half a cell of the features either way, in pixels of the original: one cell fires alone.
    tolerance = 16 / with_disc.geometry.scale_rows
    assert (row, column) == pytest.approx((disc.row, disc.column), abs=tolerance)


def test_a_network_that_is_sure_still_says_where(untrained_weights: Path) -> None:
    disc = Disc(300, 200, 80)
    given = to_network_input(breast_pixels("L", rows=1000, columns=800, lesion=disc), (256, 192))
    manifest = read_manifest(untrained_weights).model_copy(update={"input_size_px": (256, 192)})
    network = fires_on_the_brightest(given)
    softmax = network.get_layer("softmax")
    kernel, _ = softmax.get_weights()
    # Odds of e to the 40: 1 in float32, where the softmax is flat.
    softmax.set_weights([kernel, np.array([-20, 20], np.float32)])
    raw = np.asarray(network(given.pixels[None]))[0, 1]

    (result,) = Classifier(network, manifest).classify([given])

    assert raw == 1.0
    laid = result.heat_map.on_original()
    row, column = np.argwhere(laid > 0.9 * laid.max()).mean(axis=0) + 0.5
    tolerance = 16 / given.geometry.scale_rows
    assert (row, column) == pytest.approx((disc.row, disc.column), abs=tolerance)


def fires_on_the_brightest(given: NetworkInput) -> keras.Model:
    """Make a network of the real one's layout whose second channel sees the brightest of `given`.

    Five strided convolutions with "same" padding, as in the real trunk, average the brightness.
    The first channel is brightness itself, and lowers the score.
    """
    pixels = keras.Input((*given.breast_mask.shape, 3))
    smooth = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
    x = pixels
    for level in range(5):
        weights = np.zeros((3, 3, x.shape[-1], 2), np.float32)
        for channel in range(2):
            weights[:, :, channel, channel] = smooth
        layer = keras.layers.Conv2D(2, 3, strides=2, padding="same", name=f"halve{level}")
        x = layer(x)
        layer.set_weights([weights, np.zeros(2, np.float32)])
    brightness = np.asarray(keras.Model(pixels, x)(given.pixels[None]))[0, ..., 1]
    top = keras.layers.Conv2D(2, 1, activation="relu", name=GRAD_CAM_LAYER)
    features = top(x)
    bias = np.array([0.0, -0.9 * brightness.max()], np.float32)
    top.set_weights([np.eye(2, dtype=np.float32)[None, None], bias])
    average = keras.layers.GlobalAveragePooling2D(name="average_pooling")(features)
    largest = keras.layers.GlobalMaxPooling2D(name="max_pooling")(features)
    pooled = keras.layers.Concatenate(name="pooled")([average, largest])
    dense = keras.layers.Dense(2, name="dense")
    hidden = keras.layers.Dropout(0.5, name="dropout")(dense(pooled))
    softmax = keras.layers.Dense(2, activation="softmax", name="softmax")
    model = keras.Model(pixels, softmax(hidden))
    kernel = np.zeros((4, 2), np.float32)
    kernel[0, 0], kernel[1, 1] = 0.0001, 0.01
    dense.set_weights([kernel, np.zeros(2, np.float32)])
    softmax.set_weights([np.array([[1, -1], [-1, 1]], np.float32), np.zeros(2, np.float32)])
    return model


def test_the_cells_of_the_network_look_where_the_heat_map_shows_them(model: keras.Model) -> None:
    trunk, _ = split_at_features(model)
    rng = np.random.default_rng(0)
    pixels = tf.constant(rng.random((1, *SIZE_PX, 3), np.float32) * 255)
    features = np.zeros(trunk.output.shape[1:], np.float32)
    features[1, 1] = 1.0

    with tf.GradientTape() as tape:
        tape.watch(pixels)
        seen = tf.reduce_sum(trunk(pixels, training=False)[0, 1, 1] * rng.standard_normal(1280))
    looked_at = np.square(tape.gradient(seen, pixels).numpy()[0]).sum(axis=-1)
    whole = NetworkInput(
        pixels=pixels.numpy()[0],
        breast_mask=np.ones(SIZE_PX, np.bool_),
        geometry=to_network_input(breast_pixels("L"), SIZE_PX).geometry,
    )
    shown = grad_cam(features, np.ones_like(features), whole).values

    # A third of a cell, for the field of view reaches beyond the image here; half a cell would be
    # the error of dividing the image evenly.
    assert _middle(looked_at) == pytest.approx(_middle(shown > 0.95), abs=10.5)


def _middle(weights: npt.NDArray[Any]) -> tuple[float, float]:
    """Centre of mass, row and column."""
    row, column = np.mgrid[0 : weights.shape[0], 0 : weights.shape[1]] + 0.5
    total = weights.sum()
    return float((weights * row).sum() / total), float((weights * column).sum() / total)


def test_weights_made_for_another_preprocessing_are_refused(
    tmp_path: Path, untrained_weights: Path
) -> None:
    folder = shutil.copytree(untrained_weights, tmp_path / "weights")
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["preprocess_version"] = "another"
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))

    with pytest.raises(WeightsError, match="preprocessing version"):
        Classifier.load(folder)


def test_weights_that_are_not_those_of_the_manifest_are_refused(
    tmp_path: Path, untrained_weights: Path
) -> None:
    folder = shutil.copytree(untrained_weights, tmp_path / "weights")
    with (folder / read_manifest(folder).weights_file).open("ab") as file:
        file.write(b"\0")

    with pytest.raises(WeightsError, match="SHA-256"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(RollUpRule.MEAN, {R: 0.3, L: 0.8, None: 0.1}), (RollUpRule.MAX, {R: 0.4, L: 0.8, None: 0.1})],
)
def test_views_roll_up_to_breasts_by_the_manifests_rule(
    rule: RollUpRule, expected: dict[Laterality | None, float]
) -> None:
    views = [(R, 0.2), (L, 0.8), (R, 0.4), (None, 0.1)]

    scores = roll_up_breasts(views, RollUp(views_to_breast=rule, breasts_to_study=RollUpRule.MAX))

    assert scores == pytest.approx(expected)


def test_breasts_roll_up_to_the_study() -> None:
    rule = RollUp(views_to_breast=RollUpRule.MEAN, breasts_to_study=RollUpRule.MAX)

    assert roll_up_study([0.2, 0.7], rule) == 0.7


def test_no_breast_is_no_score() -> None:
    rule = RollUp(views_to_breast=RollUpRule.MEAN, breasts_to_study=RollUpRule.MAX)

    assert roll_up_study([], rule) is None
