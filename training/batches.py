"""Prepared crops to batches, augmented or not; any Keras back end can train on them."""

from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from training.augment import Augmentation, augment

Uint8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Sampling = Literal["all", "balanced", "ratio"]


class TrainingBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """Augmented batches; which images an epoch has hangs on seed and epoch alone."""

    def __init__(
        self,
        crops: Uint8Array,
        class_indices: npt.NDArray[np.intp],
        *,
        classes: int,
        size_px: tuple[int, int],
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
        sampling: Sampling = "all",
        negatives_per_positive: float = 1.0,
        has_class_weights: bool = False,
        mixup: float = 0.0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self._crops = crops
        self._class_indices = class_indices
        self._classes = classes
        self._size_px = size_px
        self._batch_size = batch_size
        self._seed = seed
        self._augmentation = augmentation
        self._sampling = sampling
        self._negatives_per_positive = negatives_per_positive
        self._has_class_weights = has_class_weights
        self._mixup = mixup
        self.go_to_epoch(0)

    def __len__(self) -> int:
        """Batches in an epoch; a last one that is not full is left out."""
        return len(self._order) // self._batch_size

    def __getitem__(self, index: int) -> tuple[Float32Array, ...]:
        """One batch.

        Images (batch, height, width, 3) in [0, 255]; classes (batch, classes), one-hot unless
        mixed; and, where classes have weights, those of the images (batch,).
        """
        first = index * self._batch_size
        rows = self._order[first : first + self._batch_size]
        grey = np.empty((len(rows), *self._size_px), np.float32)
        for place, row in enumerate(rows):
            rng = np.random.default_rng([self._seed, self._epoch, first + place])
            grey[place] = augment(self._crops[row], self._size_px, rng, self._augmentation)
        targets = np.eye(self._classes, dtype=np.float32)[self._class_indices[rows]]
        if self._mixup > 0:
            grey, targets = self._mixed(grey, targets, index)
        images = np.repeat(grey[..., None], 3, axis=-1)
        if not self._has_class_weights:
            return images, targets
        return images, targets, targets @ self._weights

    def go_to_epoch(self, epoch: int) -> None:
        """Draw the images of any epoch; whoever trains says which.

        Keras' own `on_epoch_end` is called more than once an epoch by some back ends.

        Parameters
        ----------
        epoch
            Counted from 0.
        """
        self._epoch = epoch
        self._order = self._draw_epoch(np.random.default_rng([self._seed, epoch]))
        counts = np.bincount(self._class_indices[self._order], minlength=self._classes)
        present = max(1, int((counts > 0).sum()))
        weights = len(self._order) / (present * np.maximum(counts, 1))
        self._weights = weights.astype(np.float32)

    def _draw_epoch(self, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Rows of one epoch, in the order in which batches take them."""
        if self._sampling == "balanced":
            return self._draw_balanced(rng)
        if self._sampling == "all":
            return rng.permutation(len(self._class_indices))
        # Every image of the last class, cancer, once, and a fresh draw of the others.
        is_positive = self._class_indices == self._classes - 1
        positives, negatives = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
        wanted = min(len(negatives), round(len(positives) * self._negatives_per_positive))
        order = np.concatenate([positives, rng.choice(negatives, wanted, replace=False)])
        rng.shuffle(order)
        return order

    def _draw_balanced(self, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Class after class in turn, each shuffled, and shuffled again when it has run out."""
        present = np.unique(self._class_indices)
        turns = -(-len(self._class_indices) // len(present))
        columns = []
        for class_index in present:
            rows = np.flatnonzero(self._class_indices == class_index)
            rounds = [rng.permutation(rows) for _ in range(-(-turns // len(rows)))]
            columns.append(np.concatenate(rounds)[:turns])
        order: npt.NDArray[np.intp] = np.stack(columns, axis=1).ravel()
        return order[: len(self._class_indices)]

    def _mixed(
        self, grey: Float32Array, targets: Float32Array, index: int
    ) -> tuple[Float32Array, Float32Array]:
        """Mix every image of a batch, and its label, with another one's.

        Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
        """
        # A fourth number: no image's own generator has one.
        rng = np.random.default_rng([self._seed, self._epoch, index, 1])
        share = np.float32(rng.beta(self._mixup, self._mixup))
        partners = rng.permutation(len(grey))
        return (
            share * grey + (1 - share) * grey[partners],
            share * targets + (1 - share) * targets[partners],
        )


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
