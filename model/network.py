"""The network: EfficientNetV2B0, two poolings, one hidden layer, a softmax of two or three units.

Nothing else decides the architecture: training builds it here, and the node builds it here
before it reads weights. Keras HDF5 weights only; no pickles, no Lambda layers.
"""

import warnings
from pathlib import Path

import keras

from model.errors import WeightsError
from model.manifest import Manifest

GRAD_CAM_LAYER = "top_activation"
"""Output of the last convolution, after its normalisation and activation (Grad-CAM's features)."""

CLASSES = ("no_cancer", "cancer")
"""What the units of the softmax stand for, in order, where training did not say otherwise."""

THREE_CLASSES = ("normal", "benign", "malignant")
"""The same of a network that was trained to tell three classes apart."""

_DENSE_UNITS = 128
HEAD_LAYERS = ("average_pooling", "max_pooling", "pooled", "dense", "dropout", "softmax")
"""What stands on EfficientNetV2B0, in order."""


def network_id(classes: tuple[str, ...]) -> str:
    """Name the architecture that `build` makes for these classes.

    Parameters
    ----------
    classes
        `CLASSES` or `THREE_CLASSES`.

    Returns
    -------
    name
        A manifest names the one that its weights fit.
    """
    return f"efficientnetv2b0-average-max-dense{_DENSE_UNITS}-softmax{len(classes)}"


def build(
    input_size_px: tuple[int, int],
    *,
    classes: tuple[str, ...] = CLASSES,
    dropout: float = 0.3,
) -> keras.Model:
    """Build the network with random weights.

    Parameters
    ----------
    input_size_px
        (height, width) of the input in pixels, at least 32 each.
    classes
        `CLASSES` or `THREE_CLASSES`: one unit of the softmax for each.
    dropout
        Share of the hidden units dropped in training; has no effect afterwards.

    Returns
    -------
    model
        Input (batch, height, width, 3) in [0, 255]; output (batch, classes), a softmax over
        `classes`.

    References
    ----------
    Tan and Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021.
    """
    trunk = keras.applications.EfficientNetV2B0(
        include_top=False,
        weights=None,
        input_shape=(*input_size_px, 3),
        include_preprocessing=True,
    )
    features = trunk.output
    average = keras.layers.GlobalAveragePooling2D(name="average_pooling")(features)
    # A cancer fills few of the cells: its average drowns in the rest of the breast.
    largest = keras.layers.GlobalMaxPooling2D(name="max_pooling")(features)
    pooled = keras.layers.Concatenate(name="pooled")([average, largest])
    hidden = keras.layers.Dense(_DENSE_UNITS, activation="swish", name="dense")(pooled)
    kept = keras.layers.Dropout(dropout, name="dropout")(hidden)
    scores = keras.layers.Dense(
        len(classes), activation="softmax", dtype="float32", name="softmax"
    )(kept)
    return keras.Model(trunk.input, scores, name="mammonode")


def split_at_features(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Cut the network behind its last convolution, for Grad-CAM from one forward pass.

    Both halves share their weights with `model`. The score comes from running one after the other;
    the gradient of a score with respect to the features needs the second half alone.

    Parameters
    ----------
    model
        What `build` or `load` returned.

    Returns
    -------
    trunk, head
        `trunk`: (batch, height, width, 3) to features (batch, height / 32, width / 32, 1280),
        both rounded up. `head`: those features to scores (batch, classes).

    References
    ----------
    Selvaraju et al., Grad-CAM, ICCV 2017.
    """
    features = model.get_layer(GRAD_CAM_LAYER).output
    trunk = keras.Model(model.inputs[0], features, name="trunk")
    given = keras.Input(features.shape[1:], name="features")
    average, largest, pooled, dense, dropout, softmax = (
        model.get_layer(name) for name in HEAD_LAYERS
    )
    scores = softmax(dropout(dense(pooled([average(given), largest(given)]))))
    return trunk, keras.Model(given, scores, name="head")


def load(manifest: Manifest, folder: Path) -> keras.Model:
    """Build the network that a manifest describes and read its weights.

    Parameters
    ----------
    manifest
        From `model.manifest.read_manifest`, which has checked the file's digest.
    folder
        Where the manifest and its weights file lie.

    Returns
    -------
    model
        Ready for inference.

    Raises
    ------
    WeightsError
        If the manifest names another architecture, other classes or another Grad-CAM layer than
        this software has, or the file does not fit the network.
    """
    known = {network_id(classes): classes for classes in (CLASSES, THREE_CLASSES)}
    for name, expected, found in (
        ("network", tuple(known), manifest.network),
        ("classes", (known.get(manifest.network),), manifest.classes),
        ("grad_cam_layer", (GRAD_CAM_LAYER,), manifest.grad_cam_layer),
    ):
        if found not in expected:
            raise WeightsError(
                expected=f"manifest with {name} = {' or '.join(map(repr, expected))}",
                found=f"{found!r}",
                to_do="Use weights made with this version of the software",
            )
    model = build(manifest.input_size_px, classes=manifest.classes)
    path = folder / manifest.weights_file
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that a file knows nothing of, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise WeightsError(
            expected=f"Keras weights for {manifest.network}",
            found=f"{path}: {error}",
            to_do="Export the weights again with `python -m training export`",
        ) from error
    return model
