"""One stage of a run: trained epoch by epoch, measured on validation after each, resumable."""

import importlib.util
import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from training.batches import TrainingBatches
from training.candidates import (
    CHOSEN_WEIGHTS_FILE,
    Choice,
    choose,
    load_weights,
    save_weights,
    write_choice,
)
from training.checkpoint import MOVING_AVERAGE, Checkpoint
from training.epoch_progress import EpochProgress
from training.errors import RunError
from training.objective import compile_for
from training.predict import softmax
from training.settings import Stage, TrainingSettings
from training.start import adapt_normalisation, freeze, set_normalisation_momentum, start_from
from training.whole_file import disk_error

logger = logging.getLogger(__name__)

_HISTORY_FILE = "history.csv"
_SMALLEST = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageData:
    """What a stage is trained on and measured on."""

    batches: TrainingBatches
    validation_crops: npt.NDArray[np.uint8]
    """Shape (images, height, width), values 0 to 255, of the network's input size."""
    validation_classes: npt.NDArray[np.intp]
    """Shape (images,): places in the softmax; the last is cancer."""


def run_stage(
    model: keras.Model,
    stage: Stage,
    settings: TrainingSettings,
    data: StageData,
    folder: Path,
    *,
    title: str,
    before: Path | None,
) -> Choice:
    """Train a stage to its end, or the rest of it, and leave the chosen weights in its folder.

    Parameters
    ----------
    model
        From `model.network.build`; has the chosen weights afterwards.
    stage
        Its course.
    settings
        Of the run.
    data
        Of this stage.
    folder
        Of this stage; what an earlier process left there is gone on with.
    title
        For whoever watches.
    before
        Weights that the stage before chose; None: the run's start weights.

    Returns
    -------
    choice
        Among the epochs, their moving averages, and the average of the last ones.

    Raises
    ------
    RunError
        If the disk is full, or the training runs away; what was kept before is whole.
    WeightsError
        If the start weights cannot be used.
    """
    checkpoint = Checkpoint(folder, averaged_epochs=stage.averaged_epochs)
    measure = _Measure(data, checkpoint, has_average=settings.ema_momentum > 0)
    if not checkpoint.is_done:
        if not checkpoint.epochs:
            _begin(model, settings, data.batches, before)
        set_normalisation_momentum(model, settings.normalisation_momentum)
        freeze(
            model,
            stage.frozen_prefixes,
            trains_head_alone=stage.trains == "head",
            trains_normalisation=stage.trains_normalisation,
        )
        compile_for(model, stage, settings, steps_in_epoch=len(data.batches))
        if checkpoint.epochs:
            checkpoint.restore(model)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _train(model, stage, settings, data.batches, measure, checkpoint, folder, title)
        except OSError as error:
            raise disk_error(folder, error) from error
    choice = choose(model, checkpoint.candidates(), checkpoint.last_files(), measure.auc_of)
    save_weights(model, folder / CHOSEN_WEIGHTS_FILE)
    write_choice(choice, folder)
    return choice


def _begin(
    model: keras.Model, settings: TrainingSettings, batches: TrainingBatches, before: Path | None
) -> None:
    """Give the network the weights that the stage starts from."""
    if before is not None:
        load_weights(model, before)
        return
    start_from(model, settings.start_weights)
    adapt_normalisation(model, batches, settings.adaptation_batches)


def _train(
    model: keras.Model,
    stage: Stage,
    settings: TrainingSettings,
    batches: TrainingBatches,
    measure: "_Measure",
    checkpoint: Checkpoint,
    folder: Path,
    title: str,
) -> None:
    """Run the epochs that are not done yet."""
    mode = "max" if settings.monitor == "val_auc" else "min"
    with_memory: list[keras.callbacks.Callback] = []
    if stage.schedule == "plateau":
        model.optimizer.learning_rate = stage.learning_rate
        with_memory.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor=settings.monitor,
                mode=mode,
                factor=stage.plateau_factor,
                patience=stage.plateau_patience,
            )
        )
    if stage.early_stopping_patience:
        with_memory.append(
            keras.callbacks.EarlyStopping(
                monitor=settings.monitor, mode=mode, patience=stage.early_stopping_patience
            )
        )
    progress = EpochProgress(
        title, epochs=stage.epochs, images_in_epoch=len(batches) * settings.batch_size
    )
    _cut_history(folder / _HISTORY_FILE, len(checkpoint.epochs))
    history = keras.callbacks.CSVLogger(str(folder / _HISTORY_FILE), append=True)
    try:
        model.fit(
            batches,
            epochs=stage.epochs,
            initial_epoch=len(checkpoint.epochs),
            verbose=0,
            # Keras would draw an order of the batches that no resumed run could draw again.
            shuffle=False,
            callbacks=[
                _EpochSeeds(settings.seed, batches),
                measure,
                *with_memory,
                history,
                *_tensorboard(folder),
                checkpoint,
                progress,
                _Replay(with_memory, checkpoint.epochs),
            ],
        )
    finally:
        # Keras says nothing to its callbacks where an epoch breaks off.
        progress.on_train_end()
        history.on_train_end()


class _EpochSeeds(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Makes what is drawn and dropped hang on seed and epoch alone: a resumed run does the same."""

    def __init__(self, seed: int, batches: TrainingBatches) -> None:
        super().__init__()
        self._seed = seed
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Draw the epoch's images, and set the state of every dropout."""
        self._batches.go_to_epoch(epoch)
        rng = np.random.default_rng([self._seed, epoch])
        for layer in self.model.layers:
            # Also the trunk's stochastic depth, which Keras builds as dropout of whole images.
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                layer.seed_generator.state.assign(rng.integers(0, 2**31, 2))


class _Measure(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Adds the figures on validation to an epoch's; the callbacks behind it see them."""

    def __init__(self, data: StageData, checkpoint: Checkpoint, *, has_average: bool) -> None:
        super().__init__()
        self._data = data
        self._checkpoint = checkpoint
        self._has_average = has_average

    def auc_of(self, model: keras.Model) -> float:
        """Image AUC of cancer against everything else, on validation."""
        return self._auc(softmax(model, self._data.validation_crops))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure."""
        figures = {} if logs is None else logs
        truth = self._data.validation_classes
        scores = softmax(self.model, self._data.validation_crops)
        figures["val_auc"] = self._auc(scores)
        figures["val_accuracy"] = float((scores.argmax(axis=1) == truth).mean())
        of_truth = scores[np.arange(len(truth)), truth]
        figures["val_loss"] = float(-np.log(np.maximum(of_truth, _SMALLEST)).mean())
        figures["learning_rate"] = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )
        if self._has_average:
            weights = _copied_weights(self.model)
            # Puts the moving average in the place of the weights; where a back end only points to
            # it, running the network would take it from the optimizer.
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
            self.model.set_weights(_copied_weights(self.model))
            figures["val_auc_of_average"] = self.auc_of(self.model)
            name = f"epoch {epoch + 1}, {MOVING_AVERAGE}"
            save_weights(self.model, self._checkpoint.weights_file(name))
            self.model.set_weights(weights)
        logger.info("Epoch done", extra={"event": "epoch_done", "epoch": epoch + 1, **figures})

    def _auc(self, scores: npt.NDArray[np.float64]) -> float:
        if not np.isfinite(scores).all():
            raise RunError(
                where=self._checkpoint.folder,
                expected="a network whose output is a number",
                found="NaN on validation: the training has run away",
                to_do="Set a lower learning_rate, and name another folder with --out.",
            )
        is_cancer = self._data.validation_classes == scores.shape[1] - 1
        return float(roc_auc_score(is_cancer, scores[:, -1]))


def _copied_weights(model: keras.Model) -> list[npt.NDArray[np.float32]]:
    """Give weights that share no memory with the network."""
    return [np.array(weight, copy=True) for weight in model.get_weights()]


class _Replay(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Tells callbacks that count epochs of those that an earlier process ran."""

    def __init__(
        self, callbacks: list[keras.callbacks.Callback], epochs: list[dict[str, float]]
    ) -> None:
        super().__init__()
        self._callbacks = callbacks
        self._epochs = list(epochs)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Go through them again; the learning rate falls as it fell then."""
        for epoch, figures in enumerate(self._epochs):
            for callback in self._callbacks:
                callback.on_epoch_end(epoch, dict(figures))


def _cut_history(file: Path, epochs: int) -> None:
    """Take out of the table an epoch whose end was not kept."""
    if file.exists():
        with file.open(encoding="utf-8") as rows:
            kept = list(islice(rows, epochs + 1)) if epochs else []
        file.write_text("".join(kept), encoding="utf-8")


def _tensorboard(folder: Path) -> list[keras.callbacks.Callback]:
    """Curves for TensorBoard, where that is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return []
    return [keras.callbacks.TensorBoard(str(folder / "tensorboard"), write_graph=False)]
