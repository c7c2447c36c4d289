"""The training run: ImageNet start, stages, checkpoints each epoch, resumable.

The validation split chooses between the epochs and the average of the last few of each stage; the
test split is not read here at all.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from model.network import build
from training.datasets import DataSet, LabelledImage, Split
from training.input_pipeline import InferenceBatches, TrainingBatches, prepared_crops
from training.settings import Stage, TrainingSettings
from training.splits import by_split

logger = logging.getLogger(__name__)

BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]
CHOICE_FILE = "choice.json"
CHOSEN_WEIGHTS_FILE = "chosen.weights.h5"
_ADAPTATION_BATCHES = 40
_NORMALISATION_MOMENTUM = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which candidate the validation split preferred, among how many."""

    candidate: str
    validation_image_auc: float
    candidates: dict[str, float]
    """Image AUC on validation of each."""


def fit(data_set: DataSet, settings: TrainingSettings) -> Choice:
    """Train, and leave the chosen weights in ``out_folder``.

    Parameters
    ----------
    data_set
        Where the images come from.
    settings
        Everything else that decides the weights. An interrupted run with the same `out_folder`
        goes on from its last whole epoch.

    Returns
    -------
    choice
        Also written to ``choice.json``.
    """
    keras.utils.set_random_seed(settings.seed)
    images = by_split(data_set.images)
    train, validation = images[Split.TRAIN], images[Split.VALIDATION]
    cache = settings.out_folder / "crops"
    train_crops = prepared_crops(data_set, train, settings.crop_size_px, cache)
    validation_crops = prepared_crops(data_set, validation, settings.input_size_px, cache)
    logger.info(
        "Training begins",
        extra={
            "event": "training_begins",
            "train_images": len(train),
            "validation_images": len(validation),
        },
    )
    model = build(settings.input_size_px, dropout=settings.dropout)
    candidates: dict[str, float] = {}
    best = Choice(candidate="", validation_image_auc=-1.0, candidates={})
    before: Path | None = None
    for number, stage in enumerate(settings.stages):
        folder = settings.out_folder / f"stage-{number + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        batches = TrainingBatches(
            train_crops,
            labels(train),
            size_px=settings.input_size_px,
            batch_size=settings.batch_size,
            negatives_per_positive=settings.negatives_per_positive,
            seed=settings.seed + number,
            augmentation=settings.augmentation,
        )
        history = _History(folder, validation_crops, labels(validation))
        if len(history.aucs) < stage.epochs:
            _run_stage(model, stage, settings, batches, history, before)
        choice = _choose(model, history, stage)
        before = folder / CHOSEN_WEIGHTS_FILE
        candidates |= {
            f"stage {number + 1}, {name}": value for name, value in choice.candidates.items()
        }
        if choice.validation_image_auc > best.validation_image_auc:
            best = replace(choice, candidate=f"stage {number + 1}, {choice.candidate}")
            shutil.copyfile(before, settings.out_folder / CHOSEN_WEIGHTS_FILE)
    best = replace(best, candidates=candidates)
    (settings.out_folder / CHOICE_FILE).write_text(json.dumps(asdict(best), indent=2))
    return best


def labels(images: Sequence[LabelledImage]) -> BoolArray:
    """Labels of a table.

    Parameters
    ----------
    images
        Rows of the table.

    Returns
    -------
    is_cancer
        Shape (images,).
    """
    return np.array([image.is_cancer for image in images], np.bool_)


def malignancy(model: keras.Model, crops: npt.NDArray[np.uint8]) -> Float64Array:
    """Run the network over prepared crops.

    Parameters
    ----------
    model
        From `model.network.build`.
    crops
        Shape (images, height, width), values 0 to 255.

    Returns
    -------
    malignancy
        Shape (images,): the softmax unit for cancer, in [0, 1], not calibrated.
    """
    scores: Float64Array = model.predict(InferenceBatches(crops), verbose=0).astype(np.float64)
    return scores[:, 1]


def start_from(model: keras.Model, start_weights: str) -> None:
    """Give the trunk the weights it starts from.

    Parameters
    ----------
    model
        From `model.network.build`; its head is left as it is.
    start_weights
        ``imagenet``, or the path of a Keras weights file of EfficientNetV2B0 without top.
    """
    trunk = keras.applications.EfficientNetV2B0(
        include_top=False,
        weights="imagenet" if start_weights == "imagenet" else None,
        input_shape=model.inputs[0].shape[1:],
        include_preprocessing=True,
    )
    if start_weights != "imagenet":
        trunk.load_weights(start_weights)
    for layer in trunk.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def adapt_normalisation(model: keras.Model, batches: TrainingBatches) -> None:
    """Estimate every normalisation's mean and variance on mammograms before anything is frozen.

    Photographs have colours and other contrasts: with their statistics the frozen blocks would
    stay off for good. Kernels are not touched.

    Parameters
    ----------
    model
        Its batch normalisations change.
    batches
        Some of them are used, as in training.
    """
    for index in range(min(_ADAPTATION_BATCHES, len(batches))):
        model(batches[index][0], training=True)


def freeze(model: keras.Model, prefixes: Sequence[str]) -> None:
    """Freeze layers by the beginnings of their names.

    Parameters
    ----------
    model
        Its layers' `trainable` is set.
    prefixes
        Such as ``block1``.
    """
    for layer in model.layers:
        layer.trainable = not layer.name.startswith(tuple(prefixes))


def average_weights(model: keras.Model, files: Sequence[Path]) -> None:
    """Set a model to the average of several weights files of the same run.

    Parameters
    ----------
    model
        Takes the average.
    files
        At least one.
    """
    total = [np.zeros(weight.shape, np.float64) for weight in model.get_weights()]
    for file in files:
        model.load_weights(file)
        for place, weight in enumerate(model.get_weights()):
            total[place] += weight
    model.set_weights([weight / len(files) for weight in total])


class _History(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """After each epoch of a stage: the weights, and the image AUC on validation."""

    def __init__(self, folder: Path, crops: npt.NDArray[np.uint8], is_cancer: BoolArray) -> None:
        super().__init__()
        self.folder = folder
        self._crops = crops
        self._is_cancer = is_cancer
        self._file = folder / "history.json"
        self.aucs: list[float] = json.loads(self._file.read_text()) if self._file.exists() else []

    def weights_file(self, epoch: int) -> Path:
        """File of an epoch's weights, counted from 0."""
        return self.folder / f"epoch-{epoch:02d}.weights.h5"

    def measure(self, model: keras.Model) -> float:
        """Image AUC on validation."""
        return float(roc_auc_score(self._is_cancer, malignancy(model, self._crops)))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the epoch."""
        self.model.save_weights(self.weights_file(epoch))
        auc = self.measure(self.model)
        # An epoch that was cut short after its checkpoint is run, and measured, again.
        self.aucs = [*self.aucs[:epoch], auc]
        self._file.write_text(json.dumps(self.aucs))
        logger.info(
            "Epoch done",
            extra={
                "event": "epoch_done",
                "epoch": epoch + 1,
                "validation_image_auc": round(auc, 4),
                "loss": (logs or {}).get("loss"),
            },
        )


def _run_stage(
    model: keras.Model,
    stage: Stage,
    settings: TrainingSettings,
    batches: TrainingBatches,
    history: _History,
    before: Path | None,
) -> None:
    """Train one stage, or the rest of it where an earlier run was cut short."""
    if before is not None:
        model.load_weights(before)
    elif not history.aucs:
        start_from(model, settings.start_weights)
        adapt_normalisation(model, batches)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _NORMALISATION_MOMENTUM
    batches.go_to_epoch(len(history.aucs))
    freeze(model, stage.frozen_prefixes)
    _compile(model, stage, settings, steps_in_epoch=len(batches))
    model.fit(
        batches,
        epochs=stage.epochs,
        verbose=2,
        callbacks=[
            history,
            # After the history: an epoch counts as done once its weights and figure are kept.
            keras.callbacks.BackupAndRestore(str(history.folder / "backup")),
        ],
    )


def _compile(
    model: keras.Model, stage: Stage, settings: TrainingSettings, *, steps_in_epoch: int
) -> None:
    """AdamW with warm-up and cosine; smoothed cross-entropy."""
    warm_up_steps = round(stage.warm_up_epochs * steps_in_epoch)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=stage.learning_rate / 100,
        decay_steps=stage.epochs * steps_in_epoch - warm_up_steps,
        alpha=0.01,
        warmup_target=stage.learning_rate,
        warmup_steps=warm_up_steps,
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
        metrics=[keras.metrics.AUC(name="auc")],
        # XLA is six times slower than plain TensorFlow for this network on a CPU.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )


def _choose(model: keras.Model, history: _History, stage: Stage) -> Choice:
    """Take the stage's candidate with the best image AUC on validation, and write it down."""
    candidates = {f"epoch {epoch + 1}": auc for epoch, auc in enumerate(history.aucs)}
    epochs = len(history.aucs)
    last = [history.weights_file(epoch) for epoch in range(epochs)][-stage.averaged_epochs :]
    average = f"average of the last {len(last)} epochs"
    average_weights(model, last)
    candidates[average] = history.measure(model)
    best = max(candidates, key=lambda name: candidates[name])
    if best != average:
        model.load_weights(history.weights_file(int(best.removeprefix("epoch ")) - 1))
    # A model that was compiled would save its optimizer too.
    bare = build(model.inputs[0].shape[1:3])
    bare.set_weights(model.get_weights())
    bare.save_weights(history.folder / CHOSEN_WEIGHTS_FILE)
    return Choice(candidate=best, validation_image_auc=candidates[best], candidates=candidates)
