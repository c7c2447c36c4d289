"""The folder of a run on drawn breasts, with seeded random weights: evaluation does not mind."""

from pathlib import Path

import keras
import numpy as np
from drawn_breasts import write_rsna_layout

from model.network import CLASSES, build
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.classes import labels
from training.datasets import DataSet, Split, rsna
from training.predict import softmax
from training.prepared_crops import prepared_crops
from training.settings import TrainingSettings
from training.splits import by_split

SIZE_PX = (64, 48)


def drawn_data_set(folder: Path, *, patients: int = 80) -> DataSet:
    """Draw a data set in the layout of the RSNA subset; returns its table."""
    return rsna.read(write_rsna_layout(folder, patients=patients))


def write_run(data_set: DataSet, data_folder: Path, folder: Path) -> TrainingSettings:
    """Write chosen weights that rank validation the right way round; returns the run's settings."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(3)
    model = build(SIZE_PX)
    images = by_split(data_set.images)[Split.VALIDATION]
    outputs = softmax(model, prepared_crops(data_set, images, SIZE_PX, folder / "crops"))[:, 1]
    log_odds = np.log(outputs / (1 - outputs))
    # Untrained, it says nearly the same of every image, and may rank them the wrong way round:
    # neither could be calibrated.
    is_cancer = labels(images)
    sign = np.sign(log_odds[is_cancer].mean() - log_odds[~is_cancer].mean())
    kernel, bias = model.get_layer("softmax").get_weights()
    gain = sign / log_odds.std()
    centred = bias - np.array([0.0, log_odds.mean()])
    model.get_layer("softmax").set_weights([kernel * gain, centred * gain])
    model.save_weights(folder / CHOSEN_WEIGHTS_FILE)
    return TrainingSettings(
        data_set="rsna",
        data_folder=data_folder,
        out_folder=folder,
        name="drawn",
        version="0.1.0",
        start_weights="none",
        start_weights_origin="random, seeded",
        classes=len(CLASSES),
        input_size_px=SIZE_PX,
        crop_size_px=(80, 60),
        seed=1,
    )
