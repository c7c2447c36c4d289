from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from model.errors import WeightsError
from model.manifest import read_manifest
from model.network import (
    CLASSES,
    GRAD_CAM_LAYER,
    THREE_CLASSES,
    build,
    load,
    network_id,
    split_at_features,
)
from networks import write_untrained_weights

Images = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return build((96, 72))


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(2).random((3, 96, 72, 3), np.float32) * 255


def test_two_classes_come_out_and_sum_to_one(model: keras.Model, images: Images) -> None:
    scores = np.asarray(model(images))

    assert scores.shape == (3, 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


def test_three_classes_come_out_where_three_are_asked_for(images: Images) -> None:
    model = build((96, 72), classes=THREE_CLASSES)

    scores = np.asarray(model(images))

    assert scores.shape == (3, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


def test_each_number_of_classes_has_its_own_name_of_architecture() -> None:
    # Manifests of weights that are out in the world name the first.
    assert network_id(CLASSES) == "efficientnetv2b0-average-max-dense128-softmax2"
    assert network_id(THREE_CLASSES) == "efficientnetv2b0-average-max-dense128-softmax3"


def test_the_network_rescales_grey_values_itself(model: keras.Model, images: Images) -> None:
    scores = np.asarray(model(images))
    scores_of_another_range = np.asarray(model(images / 255))

    assert np.abs(scores - scores_of_another_range).max() > 1e-4


def test_no_layer_needs_a_pickle(model: keras.Model) -> None:
    assert not [layer for layer in model.layers if isinstance(layer, keras.layers.Lambda)]


def test_features_and_head_together_are_the_network(model: keras.Model, images: Images) -> None:
    trunk, head = split_at_features(model)

    features = trunk(images)

    # 32 input pixels for one feature, rounded up.
    assert tuple(features.shape) == (3, 3, 3, 1280)
    np.testing.assert_allclose(np.asarray(head(features)), np.asarray(model(images)), atol=1e-6)
    assert trunk.layers[-1].name == GRAD_CAM_LAYER


def test_features_and_head_share_the_networks_weights(images: Images) -> None:
    model = build((96, 72))
    trunk, head = split_at_features(model)
    softmax = model.get_layer("softmax")

    softmax.set_weights([np.zeros_like(values) for values in softmax.get_weights()])

    np.testing.assert_allclose(np.asarray(head(trunk(images))), 0.5)


def test_weights_come_back_from_disk_as_they_were(untrained: Path, images: Images) -> None:
    keras.utils.set_random_seed(3)
    expected = np.asarray(build((96, 72))(images))

    model = load(read_manifest(untrained), untrained)

    np.testing.assert_allclose(np.asarray(model(images)), expected, atol=1e-6)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained_weights(tmp_path_factory.mktemp("weights"), seed=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("network", "resnet50"),
        ("classes", ("cancer", "no_cancer")),
        ("classes", THREE_CLASSES),
        ("grad_cam_layer", "block6h_add"),
    ],
)
def test_weights_for_something_else_are_refused(untrained: Path, field: str, value: object) -> None:
    manifest = read_manifest(untrained).model_copy(update={field: value})

    with pytest.raises(WeightsError, match=field):
        load(manifest, untrained)


def test_weights_of_three_classes_load_by_their_manifest(tmp_path: Path, images: Images) -> None:
    folder = write_untrained_weights(tmp_path, classes=THREE_CLASSES, seed=4)
    keras.utils.set_random_seed(4)
    expected = np.asarray(build((96, 72), classes=THREE_CLASSES)(images))

    model = load(read_manifest(folder), folder)

    np.testing.assert_allclose(np.asarray(model(images)), expected, atol=1e-6)


def test_weights_of_three_classes_do_not_pass_for_weights_of_two(tmp_path: Path) -> None:
    folder = write_untrained_weights(tmp_path, classes=THREE_CLASSES)
    manifest = read_manifest(folder).model_copy(
        update={"network": network_id(CLASSES), "classes": CLASSES}
    )

    with pytest.raises(WeightsError, match="export"):
        load(manifest, folder)


def test_a_file_that_holds_other_weights_is_refused(untrained: Path, tmp_path: Path) -> None:
    manifest = read_manifest(untrained)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / manifest.weights_file)

    with pytest.raises(WeightsError, match=manifest.weights_file):
        load(manifest, tmp_path)
