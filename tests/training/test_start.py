from pathlib import Path

import keras
import numpy as np
import pytest

from model.errors import WeightsError
from model.network import HEAD_LAYERS, build
from networks import write_untrained_weights
from training.augment import Augmentation
from training.batches import TrainingBatches
from training.start import adapt_normalisation, freeze, set_normalisation_momentum, start_from

SIZE_PX = (64, 48)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in the form of ImageNet's; their numbers are random, seeded."""
    keras.utils.set_random_seed(11)
    trunk = keras.applications.EfficientNetV2B0(
        include_top=False, weights=None, input_shape=(*SIZE_PX, 3)
    )
    file = tmp_path_factory.mktemp("start") / "imagenet.weights.h5"
    trunk.save_weights(file)
    return file


@pytest.fixture
def model() -> keras.Model:
    """A network of random weights, all layers learning."""
    return build(SIZE_PX)


def weights_of(
    model: keras.Model, layer: str
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return [np.array(values) for values in model.get_layer(layer).get_weights()]


def test_the_trunk_starts_from_the_weights_given_and_the_head_does_not(imagenet: Path) -> None:
    model = build(SIZE_PX)
    head = [np.array(values) for values in model.get_layer("dense").get_weights()]

    start_from(model, str(imagenet))

    keras.utils.set_random_seed(11)
    trunk = keras.applications.EfficientNetV2B0(
        include_top=False, weights=None, input_shape=(*SIZE_PX, 3)
    )
    for name in ("stem_conv", "block6a_expand_conv", "top_conv"):
        np.testing.assert_array_equal(
            model.get_layer(name).get_weights()[0], trunk.get_layer(name).get_weights()[0]
        )
    np.testing.assert_array_equal(model.get_layer("dense").get_weights()[0], head[0])


def test_normalisation_adapts_to_mammograms_and_kernels_stay() -> None:
    model = build(SIZE_PX)
    crops = np.random.default_rng(0).integers(0, 99, (12, 80, 60), np.uint8)
    batches = TrainingBatches(
        crops,
        np.array([1] * 4 + [0] * 8),
        classes=2,
        size_px=SIZE_PX,
        batch_size=4,
        seed=0,
        augmentation=Augmentation(),
    )
    kernel = np.array(model.get_layer("stem_conv").get_weights()[0])
    mean = np.array(model.get_layer("stem_bn").get_weights()[2])

    adapt_normalisation(model, batches, 3)

    np.testing.assert_array_equal(model.get_layer("stem_conv").get_weights()[0], kernel)
    assert np.abs(model.get_layer("stem_bn").get_weights()[2] - mean).max() > 1e-3


def test_frozen_layers_are_those_named() -> None:
    model = build(SIZE_PX)

    freeze(model, ("stem", "block1"))

    frozen = {layer.name for layer in model.layers if not layer.trainable}
    assert {"stem_conv", "stem_bn", "block1a_project_conv"} <= frozen
    assert not any(name.startswith(("block2", "top", "dense")) for name in frozen)


def test_the_head_alone_learns_where_that_is_asked_for() -> None:
    model = build(SIZE_PX)

    freeze(model, (), trains_head_alone=True)

    assert {layer.name for layer in model.layers if layer.trainable} == set(HEAD_LAYERS)


def test_normalisation_stays_as_it_is_where_that_is_asked_for() -> None:
    model = build(SIZE_PX)

    freeze(model, (), trains_normalisation=False)

    frozen = {layer.name for layer in model.layers if not layer.trainable}
    assert {"stem_bn", "block6h_project_bn", "top_bn"} <= frozen
    assert all(name.endswith("_bn") for name in frozen)


def test_what_one_stage_froze_learns_again_in_the_next() -> None:
    model = build(SIZE_PX)
    freeze(model, (), trains_head_alone=True)

    freeze(model, ("stem",))

    assert model.get_layer("block1a_project_conv").trainable
    assert not model.get_layer("stem_conv").trainable


def test_every_normalisation_gets_the_momentum() -> None:
    model = build(SIZE_PX)

    set_normalisation_momentum(model, 0.5)

    found = {
        layer.momentum
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert found == {0.5}


def test_a_network_that_a_node_could_load_goes_on_learning_with_its_head(tmp_path: Path) -> None:
    folder = write_untrained_weights(tmp_path / "weights", input_size_px=SIZE_PX, seed=3)
    keras.utils.set_random_seed(3)
    source = build(SIZE_PX)
    model = build(SIZE_PX)

    start_from(model, str(folder))

    for layer in ("stem_conv", "dense", "softmax"):
        np.testing.assert_array_equal(weights_of(model, layer)[0], weights_of(source, layer)[0])


def test_its_head_starts_anew_for_other_classes(tmp_path: Path) -> None:
    folder = write_untrained_weights(tmp_path / "weights", input_size_px=SIZE_PX, seed=3)
    keras.utils.set_random_seed(3)
    source = build(SIZE_PX)
    model = build(SIZE_PX, classes=("normal", "benign", "malignant"))
    head = weights_of(model, "dense")[0]

    start_from(model, str(folder))

    np.testing.assert_array_equal(
        weights_of(model, "stem_conv")[0], weights_of(source, "stem_conv")[0]
    )
    np.testing.assert_array_equal(weights_of(model, "dense")[0], head)


def test_without_start_weights_nothing_changes() -> None:
    model = build(SIZE_PX)
    before = weights_of(model, "stem_conv")[0]

    start_from(model, "none")

    np.testing.assert_array_equal(weights_of(model, "stem_conv")[0], before)


def test_start_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.weights\.h5: no such file.*--start-weights"):
        start_from(build(SIZE_PX), "nowhere.weights.h5")


def test_start_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")

    with pytest.raises(WeightsError, match=r"other\.weights\.h5"):
        start_from(build(SIZE_PX), str(tmp_path / "other.weights.h5"))


def test_half_a_file_of_start_weights_is_refused(imagenet: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.weights.h5"
    half.write_bytes(imagenet.read_bytes()[: imagenet.stat().st_size // 2])

    with pytest.raises(WeightsError, match=r"half\.weights\.h5"):
        start_from(build(SIZE_PX), str(half))
