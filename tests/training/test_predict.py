import numpy as np

from model.network import THREE_CLASSES, build
from training.predict import softmax

SIZE_PX = (64, 48)
CROPS = np.random.default_rng(1).integers(0, 256, (3, *SIZE_PX), np.uint8)
IMAGES = np.repeat(CROPS[..., None], 3, axis=-1).astype(np.float32)


def test_the_softmax_is_the_networks_own_of_grey_images() -> None:
    model = build(SIZE_PX, classes=THREE_CLASSES)

    scores = softmax(model, CROPS)

    np.testing.assert_allclose(scores, np.asarray(model(IMAGES)), atol=1e-6)
