"""The training run: its stages one after the other, and the best that validation found.

The test split is not read here at all.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from pydantic import ValidationError

from model.network import build
from training.batches import TrainingBatches
from training.candidates import CHOSEN_WEIGHTS_FILE, Choice, read_choice, write_choice
from training.classes import check_labels, class_indices, class_names
from training.datasets import DataSet, Split
from training.errors import DataSetError, RunError
from training.prepared_crops import prepared_crops
from training.run_data import data_set_of_stage
from training.settings import Stage, TrainingSettings
from training.splits import by_split
from training.stage import StageData, run_stage
from training.whole_file import whole_file

logger = logging.getLogger(__name__)

_RUN_FILE = "run.json"
_LEAVES_WEIGHTS_AS_THEY_ARE = {
    "data_folder", "out_folder", "name", "version", "start_weights_origin",
}  # fmt: skip


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

    Raises
    ------
    DataSetError
        If the labels cannot teach the classes, there are fewer images than a batch has, or a stage
        would train on patients whom the run holds out.
    RunError
        If the folder holds a run with other settings or images, the disk is full, or the training
        runs away.
    WeightsError
        If the start weights cannot be used.
    """
    check_labels(data_set, settings.classes)
    _claim_folder(data_set, settings)
    keras.utils.set_random_seed(settings.seed)
    model = build(
        settings.input_size_px, classes=class_names(settings.classes), dropout=settings.dropout
    )
    candidates: dict[str, float] = {}
    best = Choice(candidate="", validation_image_auc=-1.0, candidates={})
    before: Path | None = None
    for number, stage in enumerate(settings.stages, start=1):
        folder = settings.out_folder / f"stage-{number}"
        choice = read_choice(folder)
        if choice is None:
            choice = run_stage(
                model,
                stage,
                settings,
                _prepare(data_set, stage, settings, number),
                folder,
                title=f"Stage {number} of {len(settings.stages)}",
                before=before,
            )
        before = folder / CHOSEN_WEIGHTS_FILE
        if stage.data_set is not None:
            # Measured on other images: a start for the next stage, and no candidate.
            continue
        candidates |= {
            f"stage {number}, {name}": value for name, value in choice.candidates.items()
        }
        if choice.validation_image_auc > best.validation_image_auc:
            best = replace(choice, candidate=f"stage {number}, {choice.candidate}")
            with whole_file(settings.out_folder / CHOSEN_WEIGHTS_FILE) as unfinished:
                shutil.copyfile(before, unfinished)
    best = replace(best, candidates=candidates)
    write_choice(best, settings.out_folder)
    return best


def _prepare(data_set: DataSet, stage: Stage, settings: TrainingSettings, number: int) -> StageData:
    """Make the crops of a stage's data set, and what is drawn from them."""
    data_set = data_set_of_stage(stage, settings, data_set)
    if stage.data_set is not None:
        check_labels(data_set, settings.classes, is_pretraining=True)
    images = by_split(data_set.images)
    train, validation = images[Split.TRAIN], images[Split.VALIDATION]
    cache = settings.out_folder / "crops"
    batches = TrainingBatches(
        prepared_crops(data_set, train, settings.crop_size_px, cache),
        class_indices(train, settings.classes),
        classes=settings.classes,
        size_px=settings.input_size_px,
        batch_size=settings.batch_size,
        seed=settings.seed + number - 1,
        augmentation=settings.augmentation,
        sampling=settings.sampling,
        negatives_per_positive=settings.negatives_per_positive,
        has_class_weights=settings.class_weights == "balanced",
        mixup=settings.mixup,
    )
    if len(batches) == 0:
        raise DataSetError(
            where=data_set.name,
            expected=f"images for one batch of {settings.batch_size} in the training split",
            found=f"{len(train)} images",
            to_do="Set a smaller batch_size, or add images.",
        )
    logger.info(
        "Stage begins",
        extra={
            "event": "stage_begins",
            "stage": number,
            "train_images": len(train),
            "validation_images": len(validation),
        },
    )
    return StageData(
        batches=batches,
        validation_crops=prepared_crops(data_set, validation, settings.input_size_px, cache),
        validation_classes=class_indices(validation, settings.classes),
    )


def _claim_folder(data_set: DataSet, settings: TrainingSettings) -> None:
    """Write down what the run is made with; refuse a folder of a run made with something else."""
    made_with = settings.model_dump(mode="json", exclude=_LEAVES_WEIGHTS_AS_THEY_ARE)
    made_with["images"] = _digest(data_set, settings.data_folder)
    made_with["backend"] = keras.backend.backend()
    file = settings.out_folder / _RUN_FILE
    if file.exists():
        earlier = _with_defaults(json.loads(file.read_text(encoding="utf-8")))
        changed = [key for key in made_with if earlier.get(key) != made_with[key]]
        stages = earlier.get("stages", [])
        # A stage more goes on from where the run ended.
        if made_with["stages"][: len(stages)] == stages and "stages" in changed:
            changed.remove("stages")
        if changed:
            raise RunError(
                where=settings.out_folder,
                expected="a run with these settings and images",
                found=f"one that was begun with another {', '.join(sorted(changed))}",
                to_do="Name another folder with --out, or take the old settings to go on.",
            )
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(made_with, indent=2) + "\n", encoding="utf-8")


def _with_defaults(made_with: dict[str, Any]) -> dict[str, Any]:
    """Fill in settings that there were none of when a run was begun."""
    try:
        known = {key: made_with[key] for key in TrainingSettings.model_fields if key in made_with}
        settings = TrainingSettings.model_validate(known)
    except ValidationError:
        return made_with
    filled = settings.model_dump(mode="json", exclude=_LEAVES_WEIGHTS_AS_THEY_ARE)
    return made_with | filled


def _digest(data_set: DataSet, folder: Path) -> str:
    """SHA-256 of the table: paths within the folder, patients, labels and splits."""
    digest = hashlib.sha256()
    for image in data_set.images:
        path = image.path
        inside = path.relative_to(folder) if path.is_relative_to(folder) else path
        line = f"{inside}\t{image.patient_id}\t{image.label}\t{image.split}\n"
        digest.update(line.encode())
    return digest.hexdigest()
