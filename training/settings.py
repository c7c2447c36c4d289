"""The settings of a training run: one frozen tree, read once from ``config/training.toml``."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.augment import Augmentation


class Stage(BaseModel):
    """One schedule of the learning rate; starts from what the stage before it chose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1)
    """Passes over all images with cancer."""
    learning_rate: float = Field(gt=0)
    """At the end of the warm-up; falls to a hundredth of it by a cosine."""
    warm_up_epochs: float = Field(ge=0)
    """Over which the learning rate rises from a hundredth of it."""
    frozen_prefixes: tuple[str, ...]
    """Layers whose names begin so keep their weights."""
    averaged_epochs: int = Field(ge=1)
    """How many of the last epochs' weights are averaged into one more candidate."""


class TrainingSettings(BaseModel):
    """What decides the weights, beside the images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_folder: Path
    """Folder of the data set, with its ``labels.csv``."""
    out_folder: Path
    """Where checkpoints, the history and the cache of crops go."""
    start_weights: str
    """``imagenet`` (Keras downloads it) or the path of EfficientNetV2B0 weights without top."""
    start_weights_origin: str
    """Who made the start weights, and under which licence; goes into manifest and card."""
    name: str
    """Name of the weights, as the manifest and every report say it."""
    version: str
    """Version of the weights."""
    input_size_px: tuple[int, int]
    """(height, width) of the network's input."""
    crop_size_px: tuple[int, int]
    """(height, width) of the crops kept for augmentation, of the same aspect ratio."""
    seed: int
    """For weights of the head, sampling and augmentation."""
    batch_size: int = Field(ge=1)
    """Images in a step."""
    negatives_per_positive: float = Field(gt=0)
    """Images without cancer for one with, in an epoch."""
    weight_decay: float = Field(ge=0)
    """Of AdamW."""
    label_smoothing: float = Field(ge=0, lt=0.5)
    """The labels are noisy: no image is wholly cancer or wholly not."""
    dropout: float = Field(ge=0, lt=1)
    """Before the last layer."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """Run one after the other."""
    augmentation: Augmentation = Augmentation()
    """How far training images are bent."""


def read_settings(path: Path, **overrides: object) -> TrainingSettings:
    """Read the settings of a run.

    Parameters
    ----------
    path
        A TOML file with every setting that has no default.
    **overrides
        Settings given on the command line; None leaves the file's value.

    Returns
    -------
    settings
        Checked.

    Raises
    ------
    pydantic.ValidationError
        If a setting is missing, unknown or out of range.
    """
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    values.update({key: value for key, value in overrides.items() if value is not None})
    return TrainingSettings.model_validate(values)
