"""How fast images are trained on, beside plain ``keras.utils.image_dataset_from_directory``.

The same network, compiled the same way, on the same machine, taking turns: Keras reads PNG files of
the network's size from class folders, decodes, batches and prefetches them, as its documentation
shows; ours takes the cached crops and bends each one anew. A third turn is ours with every
augmentation switched off. Images per second of processor time are the figure to go by where the
machine has other work to do.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np

from model.network import build
from training.augment import NO_AUGMENTATION, Augmentation
from training.batches import TrainingBatches
from training.objective import compile_for
from training.settings import Stage, TrainingSettings


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=224, help="height and width (default 224)")
    parser.add_argument("--batch", type=int, default=16, help="images in a batch (default 16)")
    parser.add_argument("--steps", type=int, default=8, help="batches in a turn (default 8)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("--head", action="store_true", help="train the head alone")
    options = parser.parse_args()
    count = options.batch * options.steps
    size_px = (options.size, options.size)

    with tempfile.TemporaryDirectory() as folder:
        crops, classes = _draw(count, round(options.size * 1.15))
        _write_class_folders(Path(folder), crops, classes, size_px)

        def ours(augmentation: Augmentation) -> Callable[[], object]:
            return lambda: TrainingBatches(
                crops, classes, classes=2, size_px=size_px, batch_size=options.batch, seed=1,
                augmentation=augmentation,
            )  # fmt: skip

        def plain() -> object:
            return keras.utils.image_dataset_from_directory(
                folder, label_mode="categorical", batch_size=options.batch, image_size=size_px,
                shuffle=True, seed=1, verbose=False,
            ).prefetch(2)  # fmt: skip

        makers = {
            "ours, augmented": ours(Augmentation()),
            "ours, not augmented": ours(NO_AUGMENTATION),
            "image_dataset_from_directory": plain,
        }
        model = build(size_px)
        if options.head:
            for layer in model.layers:
                layer.trainable = layer.name in ("dense", "softmax")
        compile_for(model, Stage(), TrainingSettings(), steps_in_epoch=options.steps)
        speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
        for turn in range(options.turns + 1):
            for name, make in makers.items():
                batches = make()
                begun, processor_begun = time.perf_counter(), time.process_time()
                model.fit(batches, verbose=0, shuffle=False)  # each shuffles itself
                if turn:  # the first one traces and warms up
                    speeds[name].append(
                        (
                            count / (time.perf_counter() - begun),
                            count / (time.process_time() - processor_begun),
                        )
                    )
    for name, turns in speeds.items():
        by_clock, by_processor = zip(*turns, strict=True)
        for what, values in (
            ("images/s", by_clock),
            ("images per second of processor time", by_processor),
        ):
            of_turns = ", ".join(f"{value:.1f}" for value in values)
            sys.stdout.write(f"{name}: {median(values):.1f} {what} (median of {of_turns})\n")
    return 0


def _draw(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise on half an ellipse: the content does not matter, that it does not compress does."""
    rng = np.random.default_rng(3)
    crops = np.zeros((count, size, size), np.uint8)
    inside = np.zeros((size, size), np.uint8)
    cv2.ellipse(inside, (0, size // 2), (size // 2, size * 2 // 5), 0, 0, 360, 1, cv2.FILLED)
    for crop in crops:
        crop[:] = inside * rng.integers(40, 200, (size, size), np.uint8)
    return crops, np.arange(count) % 2


def _write_class_folders(
    folder: Path, crops: np.ndarray, classes: np.ndarray, size_px: tuple[int, int]
) -> None:
    """Write the same images as PNG, at the network's size."""
    for number, (crop, class_index) in enumerate(zip(crops, classes, strict=True)):
        of_class = folder / str(class_index)
        of_class.mkdir(exist_ok=True)
        small = cv2.resize(crop, size_px[::-1], interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(of_class / f"{number}.png"), small)


if __name__ == "__main__":
    sys.exit(main())
