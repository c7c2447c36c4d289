import numpy as np

from model.network import THREE_CLASSES, build
from training.predict import malignancy, softmax

SIZE_PX = (64, 48)
CROPS = np.random.default_rng(1).integers(0, 256, (3, *SIZE_PX), np.uint8)
IMAGES = np.repeat(CROPS[..., None], 3, axis=-1).astype(np.float32)


def test_malignancy_is_the_last_unit_of_the_softmax() -> None:
    for classes in (("no_cancer", "cancer"), THREE_CLASSES):
        model = build(SIZE_PX, classes=classes)

        scores = malignancy(model, CROPS)

        np.testing.assert_allclose(scores, np.asarray(model(IMAGES))[:, -1], atol=1e-6)


def test_the_softmax_has_a_column_a_class() -> None:
    scores = softmax(build(SIZE_PX, classes=THREE_CLASSES), CROPS)

    assert scores.shape == (3, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-6)
