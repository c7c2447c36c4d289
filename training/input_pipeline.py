"""A table of images to batches, through `model.preprocess`; any Keras back end can train on them.

Preprocessing is done once and kept as 8-bit crops, a little larger than the network's input, so
that an epoch costs augmentation alone.
"""

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from model.errors import PixelDataError
from model.preprocess import PREPROCESS_VERSION, to_network_input
from training.augment import Augmentation, augment
from training.datasets import DataSet, LabelledImage

logger = logging.getLogger(__name__)

Uint8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
_THREADS = 2


def prepared_crops(
    data_set: DataSet,
    images: Sequence[LabelledImage],
    size_px: tuple[int, int],
    cache: Path,
) -> Uint8Array:
    """Preprocess images once, and keep the result on disk.

    Parameters
    ----------
    data_set
        Knows how its images are read.
    images
        Some of its rows.
    size_px
        (height, width) of the crops.
    cache
        Folder for the result; its name hangs on the images, their size and the preprocessing.

    Returns
    -------
    crops
        Shape (images, height, width), values 0 to 255, read-only, mapped from disk. An image in
        which no breast is found is all 0 and logged.
    """
    key = hashlib.sha256(f"{PREPROCESS_VERSION}:{size_px}".encode())
    for image in images:
        key.update(f"{image.path}:{image.is_inverted}\n".encode())
    file = cache / f"crops-{key.hexdigest()[:16]}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        crops = np.zeros((len(images), *size_px), np.uint8)

        def prepare(index: int) -> None:
            try:
                display = data_set.read_display(images[index])
                crops[index] = np.rint(to_network_input(display, size_px).pixels[..., 0])
            except PixelDataError as error:
                logger.warning(
                    "Image left black",
                    extra={"event": "image_left_black", "row": index, "reason": str(error)},
                )

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(prepare, range(len(images))))
        unfinished = file.with_suffix(".unfinished.npy")
        np.save(unfinished, crops)
        unfinished.replace(file)
    mapped: Uint8Array = np.load(file, mmap_mode="r")
    return mapped


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """Augmented batches with a fixed ratio of classes, other images without cancer each epoch."""

    def __init__(
        self,
        crops: Uint8Array,
        is_cancer: npt.NDArray[np.bool_],
        *,
        size_px: tuple[int, int],
        batch_size: int,
        negatives_per_positive: float,
        seed: int,
        augmentation: Augmentation,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self._crops = crops
        self._is_cancer = is_cancer
        self._size_px = size_px
        self._batch_size = batch_size
        self._negatives_per_positive = negatives_per_positive
        self._seed = seed
        self._augmentation = augmentation
        self._epoch = 0
        self._order = self._draw_epoch()

    def __len__(self) -> int:
        """Batches in an epoch; a last one that is not full is left out."""
        return len(self._order) // self._batch_size

    def __getitem__(self, index: int) -> tuple[Float32Array, Float32Array]:
        """One batch: images (batch, height, width, 3) in [0, 255], one-hot classes (batch, 2)."""
        first = index * self._batch_size
        rows = self._order[first : first + self._batch_size]
        images = np.empty((len(rows), *self._size_px, 3), np.float32)
        for place, row in enumerate(rows):
            rng = np.random.default_rng([self._seed, self._epoch, first + place])
            images[place] = augment(self._crops[row], self._size_px, rng, self._augmentation)[
                ..., None
            ]
        classes = np.eye(2, dtype=np.float32)[self._is_cancer[rows].astype(int)]
        return images, classes

    def on_epoch_end(self) -> None:
        """Draw the next epoch's images."""
        self.go_to_epoch(self._epoch + 1)

    def go_to_epoch(self, epoch: int) -> None:
        """Draw the images of any epoch: a resumed run goes on where it was.

        Parameters
        ----------
        epoch
            Counted from 0.
        """
        self._epoch = epoch
        self._order = self._draw_epoch()

    def _draw_epoch(self) -> npt.NDArray[np.intp]:
        """Every image with cancer once, and a fresh draw of those without, shuffled."""
        rng = np.random.default_rng([self._seed, self._epoch])
        positives = np.flatnonzero(self._is_cancer)
        negatives = np.flatnonzero(~self._is_cancer)
        wanted = min(len(negatives), round(len(positives) * self._negatives_per_positive))
        order = np.concatenate([positives, rng.choice(negatives, wanted, replace=False)])
        rng.shuffle(order)
        return order


class InferenceBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """Crops of the network's own size, in their order, not augmented."""

    def __init__(self, crops: Uint8Array, batch_size: int = 16) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._crops = crops
        self._batch_size = batch_size

    def __len__(self) -> int:
        """Batches; the last may be smaller."""
        return -(-len(self._crops) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[Float32Array]:
        """One batch of images, (batch, height, width, 3) in [0, 255]."""
        crops = self._crops[index * self._batch_size : (index + 1) * self._batch_size]
        return (np.repeat(np.asarray(crops, np.float32)[..., None], 3, axis=-1),)
