"""What a network starts from: ImageNet, weights of its own kind, or nothing."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import keras

from model.errors import WeightsError
from model.manifest import MANIFEST_FILE, read_manifest
from model.network import HEAD_LAYERS, load
from training.batches import TrainingBatches


def start_from(model: keras.Model, start_weights: str) -> None:
    """Give a network the weights it starts from.

    Parameters
    ----------
    model
        From `model.network.build`; its head is left as it is, unless a whole network is given.
    start_weights
        ``imagenet``; ``none``; the path of a Keras weights file of EfficientNetV2B0 without top;
        or a folder with a manifest, such as ``model/weights``, whose network goes on learning.

    Raises
    ------
    WeightsError
        If the file is not there, or does not fit.
    """
    if start_weights == "none":
        return
    if (Path(start_weights) / MANIFEST_FILE).is_file():
        _start_from_network(model, Path(start_weights))
        return
    trunk = keras.applications.EfficientNetV2B0(
        include_top=False,
        weights="imagenet" if start_weights == "imagenet" else None,
        input_shape=model.inputs[0].shape[1:],
        include_preprocessing=True,
    )
    if start_weights != "imagenet":
        _load_trunk(trunk, start_weights)
    _copy_weights(trunk, model)


def _load_trunk(trunk: keras.Model, file: str) -> None:
    """Read EfficientNetV2B0 without top."""
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that a file knows nothing of, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            trunk.load_weights(file)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        what = "no such file" if not Path(file).exists() else str(error).partition("\n")[0]
        raise WeightsError(
            expected="Keras weights of EfficientNetV2B0 without top (*.weights.h5), or a folder "
            f"with a {MANIFEST_FILE}",
            found=f"{file}: {what}",
            to_do='Name others with --start-weights; "imagenet" lets Keras download them',
        ) from error


def _start_from_network(model: keras.Model, folder: Path) -> None:
    """Go on from weights that a node could load; a head for other classes starts anew."""
    manifest = read_manifest(folder)
    source = load(manifest, folder)
    has_same_head = len(manifest.classes) == model.outputs[0].shape[-1]
    _copy_weights(source, model, without=() if has_same_head else HEAD_LAYERS)


def _copy_weights(source: keras.Model, model: keras.Model, without: Sequence[str] = ()) -> None:
    """Copy the weights of every layer of `source` to the layer of the same name."""
    for layer in source.layers:
        if layer.weights and layer.name not in without:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def adapt_normalisation(model: keras.Model, batches: TrainingBatches, count: int) -> None:
    """Estimate every normalisation's mean and variance on mammograms before anything is frozen.

    Photographs have colours and other contrasts: with their statistics the frozen blocks would
    stay off for good. Kernels are not touched.

    Parameters
    ----------
    model
        Its batch normalisations change.
    batches
        As in training.
    count
        How many of them are used.
    """
    for index in range(min(count, len(batches))):
        model(batches[index][0], training=True)


def freeze(
    model: keras.Model,
    prefixes: Sequence[str],
    *,
    trains_head_alone: bool = False,
    trains_normalisation: bool = True,
) -> None:
    """Freeze layers by the beginnings of their names; every other layer learns.

    Parameters
    ----------
    model
        Its layers' `trainable` is set.
    prefixes
        Such as ``block1``.
    trains_head_alone
        Whether all of EfficientNetV2B0 is frozen beside them.
    trains_normalisation
        False: every batch normalisation is frozen, and uses its moving statistics in training.
    """
    for layer in model.layers:
        is_frozen = layer.name.startswith(tuple(prefixes))
        if trains_head_alone and layer.name not in HEAD_LAYERS:
            is_frozen = True
        if not trains_normalisation and isinstance(layer, keras.layers.BatchNormalization):
            is_frozen = True
        layer.trainable = not is_frozen


def set_normalisation_momentum(model: keras.Model, momentum: float) -> None:
    """Say how slowly the moving mean and variance of every batch normalisation move.

    Parameters
    ----------
    model
        Its batch normalisations change.
    momentum
        In [0, 1).
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
