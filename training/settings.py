"""The settings of a training run: one frozen tree, read once from a TOML file.

``config/training.toml`` holds each with its default; ``config/shipped-weights.toml`` is the run
that produced the shipped weights.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.augment import Augmentation
from training.errors import SettingsError
from training.settings_faults import settings_error

CalibrationMethod = Literal["platt", "temperature", "isotonic"]


class Stage(BaseModel):
    """One course of the learning rate; starts from what the stage before it chose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_set: str | None = None
    """Another data set to train this stage on, such as MRI or patches; none: the run's."""
    data_folder: Path | None = None
    """Its folder; none: the one that it has by default."""
    epochs: int = Field(30, ge=1)
    """Epochs at most."""
    trains: Literal["network", "head"] = "network"
    """``head`` leaves all of EfficientNetV2B0 as it is."""
    frozen_prefixes: tuple[str, ...] = ()
    """Layers whose names begin so keep their weights too."""
    trains_normalisation: bool = True
    """False: every batch normalisation keeps its statistics, scale and offset."""
    learning_rate: float = Field(1e-4, gt=0)
    """At the start, or at the end of the warm-up."""
    schedule: Literal["plateau", "cosine"] = "plateau"
    """``plateau``: falls when `monitor` stands still; ``cosine``: to a hundredth over the stage."""
    warm_up_epochs: float = Field(0.0, ge=0)
    """Cosine: epochs over which the learning rate rises from a hundredth of it."""
    plateau_patience: int = Field(3, ge=1)
    """Plateau: epochs without an improvement before the learning rate falls."""
    plateau_factor: float = Field(0.3, gt=0, lt=1)
    """Plateau: what the learning rate is multiplied with."""
    early_stopping_patience: int = Field(0, ge=0)
    """Epochs without an improvement of `monitor` before the stage ends; 0: it does not."""
    averaged_epochs: int = Field(1, ge=1)
    """How many of the last epochs' weights are averaged into one more candidate; 1: no average."""

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        if self.schedule == "plateau" and self.warm_up_epochs:
            raise ValueError('warm_up_epochs only with schedule = "cosine"')
        if self.data_folder is not None and self.data_set is None:
            raise ValueError("data_folder of a stage only with its data_set")
        return self


class TrainingSettings(BaseModel):
    """What decides the weights, beside the images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_set: str = "cbis_ddsm"
    """Name of the data set, as ``python -m training inspect --help`` lists them; several with +."""
    data_folder: Path = Path("data/CBIS_DDSM")
    """Its folder."""
    keeps_published_split: bool = True
    """Whether patients stay in the publisher's split, where there is one; else a hash decides."""
    allows_incomplete: bool = False
    """Whether to train on what is there when labels lack an image, or images a label."""
    out_folder: Path = Path("training-runs/1")
    """Where the run's checkpoints, history, crops and figures go."""
    name: str = "mammonode-effnetv2b0"
    """Name of the weights, as the manifest and every report say it."""
    version: str = "0.1.0"
    """Version of the weights."""
    start_weights: str = "imagenet"
    """``imagenet`` (Keras downloads it), ``none``, or a file of EfficientNetV2B0 without top."""
    start_weights_origin: str = (
        "EfficientNetV2B0 of Keras Applications, ImageNet-1k, Apache License 2.0"
    )
    """Who made the start weights, and under which licence; goes into manifest and card."""
    classes: Literal[2, 3] = 2
    """2: no cancer (or benign) and malignant; 3: normal, benign and malignant."""
    input_size_px: tuple[int, int] = (224, 224)
    """(height, width) of the network's input, at least 32 each."""
    crop_size_px: tuple[int, int] = (256, 256)
    """(height, width) of the crops kept for augmentation, of the same aspect ratio."""
    seed: int = Field(20220101, ge=0)
    """For weights of the head, sampling, dropout and augmentation."""
    batch_size: int = Field(32, ge=1)
    """Images in a step."""
    sampling: Literal["all", "balanced", "ratio"] = "all"
    """``all``: each image once an epoch; ``balanced``: as many of each class in every batch;
    ``ratio``: each malignant image once, and others drawn anew each epoch."""
    negatives_per_positive: float = Field(1.5, gt=0)
    """Ratio: images of other classes for each malignant one."""
    class_weights: Literal["none", "balanced"] = "none"
    """``balanced``: an image weighs in inverse proportion to how common its class is."""
    mixup: float = Field(0.0, ge=0)
    """Parameter of the beta distribution that two images are mixed by; 0: none are."""
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    """``focal`` gives less weight to what is already told apart."""
    focal_gamma: float = Field(2.0, ge=0)
    """Focal: how much less."""
    label_smoothing: float = Field(0.05, ge=0, lt=0.5)
    """Share of each label that is spread over the classes: labels are noisy."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """``adamw`` decays weights too."""
    weight_decay: float = Field(0.004, ge=0)
    """Of AdamW."""
    ema_momentum: float = Field(0.0, ge=0, lt=1)
    """Of a moving average of the weights, one more candidate after each epoch; 0: none."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Before the last layer."""
    normalisation_momentum: float = Field(0.98, ge=0, lt=1)
    """Of the moving mean and variance in every batch normalisation."""
    adaptation_batches: int = Field(40, ge=0)
    """Batches over which they are first brought from photographs to these images."""
    monitor: Literal["val_auc", "val_loss"] = "val_auc"
    """What the plateau and early stopping look at, on validation."""
    calibration: CalibrationMethod = "platt"
    """From the network's output to the score: slope and offset of the log odds, the slope alone, or
    any rising course, which wants some hundreds of images with cancer on validation."""
    stages: tuple[Stage, ...] = Field(
        (
            Stage(trains="head", epochs=5, learning_rate=1e-3),
            Stage(trains="network", epochs=30, learning_rate=1e-4, early_stopping_patience=8),
        ),
        min_length=1,
    )
    """Run one after the other."""
    augmentation: Augmentation = Augmentation()
    """How far training images are bent."""

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        if self.stages[-1].data_set is not None:
            raise ValueError("a last stage on the run's own data_set")
        height, width = self.input_size_px
        crop_height, crop_width = self.crop_size_px
        if min(height, width) < 32:
            raise ValueError("input_size_px of at least 32 × 32")
        if crop_height < height or crop_width < width:
            raise ValueError("crop_size_px not smaller than input_size_px")
        if abs(crop_height * width - crop_width * height) > 0.02 * crop_height * width:
            raise ValueError("crop_size_px of the same aspect ratio as input_size_px")
        return self


def read_settings(
    path: Path | None, *, changes: Sequence[str] = (), **overrides: object
) -> TrainingSettings:
    """Read the settings of a run.

    Parameters
    ----------
    path
        A TOML file; a setting that it lacks has its default. None: all have.
    changes
        Each ``KEY=VALUE``, the value as in TOML, as in ``augmentation.zoom=0.1``; they go before
        the file.
    **overrides
        Settings given by options of their own; None leaves the file's value.

    Returns
    -------
    settings
        Checked.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a setting is unknown or out of range.
    """
    values = {} if path is None else _read_toml(path)
    for change in changes:
        _put(values, change)
    values.update({key: value for key, value in overrides.items() if value is not None})
    try:
        return TrainingSettings.model_validate(values)
    except ValidationError as error:
        where = "the defaults" if path is None else str(path)
        if changes or any(value is not None for value in overrides.values()):
            where += " and the command line"
        raise settings_error(error.errors()[0], TrainingSettings, where=where) from None


def _read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            key="--config", found=f"{path}: {error.strerror}", accepted="a file that can be read"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            key="--config", found=f"{path}: {error}", accepted="a TOML file in UTF-8"
        ) from error


def _put(values: dict[str, object], change: str) -> None:
    """Set one ``KEY=VALUE`` in the tree of a file."""
    key, is_given, text = change.partition("=")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        # A bare word is meant as a text: a shell eats the quotes that TOML wants.
        value = text
    if not is_given or not key:
        raise SettingsError(
            key="--set", found=change, accepted="KEY=VALUE, as in augmentation.zoom=0.1"
        )
    *sections, last = key.split(".")
    place = values
    for section in sections:
        inner = place.setdefault(section, {})
        if not isinstance(inner, dict):
            raise SettingsError(key="--set", found=change, accepted=f"a key outside {section}")
        place = inner
    place[last] = value
