"""Weights, manifest, card and licence, written together or not at all."""

import logging
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np

from model.manifest import (
    MANIFEST_FILE,
    NOT_FOR_DIAGNOSTIC_USE,
    Manifest,
    TrainingData,
    read_manifest,
    sha256_of,
)
from model.network import CLASSES, GRAD_CAM_LAYER, build, load, network_id
from model.preprocess import PREPROCESS_VERSION
from training.candidates import CHOSEN_WEIGHTS_FILE
from training.card import licence_text, model_card
from training.datasets import DataSet, Split
from training.errors import TrainingError
from training.evaluate import read_evaluation
from training.input_pipeline import prepared_crops
from training.predict import malignancy
from training.settings import TrainingSettings
from training.splits import by_split

logger = logging.getLogger(__name__)

_LARGEST_BYTES = 16_000_000
_CHECKED_IMAGES = 64
_LARGEST_CHANGE = 0.01


class ExportError(TrainingError):
    """The weights that were chosen cannot be shipped; nothing was written."""


def export(data_set: DataSet, settings: TrainingSettings, folder: Path) -> Manifest:
    """Write the chosen and evaluated weights of a run as the node reads them.

    Parameters
    ----------
    data_set
        The one that the run was trained on.
    settings
        Those of the run.
    folder
        Is replaced as a whole, at the end, once the new one has been read back.

    Returns
    -------
    manifest
        As written.

    Raises
    ------
    ExportError
        If the weights have changed since they were evaluated, or storing kernels as float16 moves
        an output of the network by more than 0.01, or the file is larger than 16 MB.
    """
    evaluation = read_evaluation(settings.out_folder)
    chosen = settings.out_folder / CHOSEN_WEIGHTS_FILE
    if sha256_of(chosen) != evaluation.weights_sha256:
        raise ExportError("expected the weights that were evaluated; found others: evaluate again")
    images = by_split(data_set.images)
    train = images[Split.TRAIN]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
        made = Path(scratch) / "weights"
        made.mkdir()
        weights_file = f"{settings.name}-{settings.version}.weights.h5"
        store_kernels_as_float16(chosen, made / weights_file)
        size_bytes = (made / weights_file).stat().st_size
        if size_bytes > _LARGEST_BYTES:
            raise ExportError(f"expected at most {_LARGEST_BYTES} bytes; found {size_bytes}")
        manifest = Manifest(
            name=settings.name,
            version=settings.version,
            weights_file=weights_file,
            sha256=sha256_of(made / weights_file),
            network=network_id(CLASSES),
            input_size_px=settings.input_size_px,
            preprocess_version=PREPROCESS_VERSION,
            classes=CLASSES,
            grad_cam_layer=GRAD_CAM_LAYER,
            calibration=evaluation.calibration,
            operating_point=evaluation.operating_point,
            roll_up=evaluation.roll_up,
            region_rule=evaluation.region_rule,
            figures=evaluation.figures,
            start_weights=settings.start_weights_origin,
            training_data=(
                TrainingData(
                    name=data_set.name,
                    licence=data_set.licence,
                    citation=data_set.citation,
                    patients=len({image.patient_id for image in train}),
                    images=len(train),
                ),
            ),
            licence="Research and education, non-commercial, under the terms of the training data",
            known_gaps=data_set.known_gaps,
            intended_use=NOT_FOR_DIAGNOSTIC_USE,
        )
        (made / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        change = _largest_change(data_set, settings, made)
        if change > _LARGEST_CHANGE:
            raise ExportError(f"expected float16 to move no output by 0.01; found {change:.4f}")
        note = (
            f"Kernels are stored as float16, which moves the softmax of none of {_CHECKED_IMAGES} "
            f"validation images by more than {max(change, 0.0001):.4f}. No breast was found in "
            f"{evaluation.images_without_breast} image(s) of validation and test: they are in no "
            "figure, as a node would not score them."
        )
        card = model_card(manifest, note=note)
        (made / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        (made / "LICENSE").write_text(licence_text(manifest), encoding="utf-8")
        _swap(made, folder, Path(scratch) / "before")
    logger.info("Weights exported", extra={"event": "weights_exported", "sha256": manifest.sha256})
    return manifest


def store_kernels_as_float16(source: Path, target: Path) -> None:
    """Copy a Keras weights file with every kernel as float16 and all else as it was.

    Parameters
    ----------
    source
        Keras HDF5 weights, float32.
    target
        Is written. Keras casts it back to float32 when it reads it. Biases and normalisation
        statistics stay float32: they are small, and their range is not float16's.
    """
    with h5py.File(source) as given, h5py.File(target, "w") as made:

        def copy(name: str, item: object) -> None:
            if isinstance(item, h5py.Group):
                group = made.require_group(name)
                group.attrs.update(item.attrs)
            elif isinstance(item, h5py.Dataset):
                values = item[()]
                is_kernel = values.ndim >= 2 and values.dtype == np.float32
                made.create_dataset(
                    name, data=values.astype(np.float16) if is_kernel else values
                ).attrs.update(item.attrs)

        made.attrs.update(given.attrs)
        given.visititems(copy)


def _largest_change(data_set: DataSet, settings: TrainingSettings, made: Path) -> float:
    """Largest difference that float16 storage makes to the softmax, on validation images."""
    validation = by_split(data_set.images)[Split.VALIDATION]
    crops = prepared_crops(
        data_set, validation, settings.input_size_px, settings.out_folder / "crops"
    )[:_CHECKED_IMAGES]
    before = build(settings.input_size_px)
    before.load_weights(settings.out_folder / CHOSEN_WEIGHTS_FILE)
    after = load(read_manifest(made), made)
    return float(np.abs(malignancy(before, crops) - malignancy(after, crops)).max())


def _swap(made: Path, folder: Path, before: Path) -> None:
    """Put the new folder in the old one's place: a reader never finds half of each."""
    if folder.exists():
        folder.replace(before)
    try:
        made.replace(folder)
    except OSError:
        if before.exists():
            before.replace(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)
