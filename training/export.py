"""Weights, manifest, card and licence, written together or not at all."""

import io
import logging
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from model.errors import WeightsError
from model.manifest import MANIFEST_FILE, Manifest, read_manifest, sha256_of
from model.network import load
from training.calibrate import calibrated
from training.card import CARD_FILE, licence_text, model_card
from training.datasets import DataSet, Split
from training.errors import RunError
from training.evaluate import EVALUATION_FOLDER
from training.evaluation.report import Evaluation, read_evaluation
from training.predict import softmax
from training.prepared_crops import prepared_crops
from training.settings import TrainingSettings
from training.splits import by_split
from training.whole_file import sync

logger = logging.getLogger(__name__)

Uint8Array = npt.NDArray[np.uint8]

_LARGEST_BYTES = 32_000_000
"""More than the network's float32 weights take: a larger file holds something else."""
_CHECKED_IMAGES = 128
_LARGEST_CHANGE = 1e-3


def export(data_set: DataSet, settings: TrainingSettings, folder: Path) -> Manifest:
    """Write the evaluated weights of a run as a node reads them.

    Kernels are stored as float16, which halves the file, if that moves no score of the validation
    images looked at by more than 0.001; else as the float32 that they were trained in.

    Parameters
    ----------
    data_set
        The one that the run was trained on.
    settings
        Those of the run.
    folder
        Is replaced as a whole, at the end, once the new one is on disk and has been read back.

    Returns
    -------
    manifest
        As written.

    Raises
    ------
    RunError
        If the run was not evaluated, its weights have changed since, `folder` holds something else
        than weights, or there is no room on the disk. Nothing was written then.
    """
    manifest = _evaluated(settings.out_folder)
    _require_weights_folder(folder)
    validation = by_split(data_set.images)[Split.VALIDATION]
    crops = prepared_crops(
        data_set, validation, settings.input_size_px, settings.out_folder / "crops"
    )[:_CHECKED_IMAGES]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".export-") as scratch:
            made = Path(scratch) / "weights"
            made.mkdir()
            manifest, note = _write_weights(manifest, settings, made, crops)
            test = read_evaluation(settings.out_folder / EVALUATION_FOLDER / Split.TEST)
            card = model_card(manifest, note=f"{note} {_left_out(settings, test)}", test=test)
            (made / CARD_FILE).write_text(card, encoding="utf-8")
            (made / "LICENSE").write_text(licence_text(manifest), encoding="utf-8")
            for file in made.iterdir():
                sync(file)
            sync(made)
            _swap(made, folder, Path(scratch) / "before")
            sync(folder.parent)
    except OSError as error:
        raise RunError(
            where=folder,
            expected="room and the right to write the weights",
            found=error.strerror or str(error),
            to_do="Nothing was written, and what was there before is as it was: make room and "
            "export again.",
        ) from error
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
    # In memory first: HDF5 ends the process where a disk fills up while it writes.
    content = io.BytesIO()
    with h5py.File(source) as given, h5py.File(content, "w") as made:

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
    target.write_bytes(content.getvalue())


def _evaluated(run: Path) -> Manifest:
    """Read the manifest of a run, which describes its weights as they were evaluated."""
    try:
        manifest = read_manifest(run)
    except WeightsError as error:
        raise RunError(
            where=run,
            expected="the weights that were evaluated, and their manifest",
            found=error.found,
            to_do="Evaluate the run first, or again if it was trained further: `python -m "
            "training evaluate`.",
        ) from error
    if manifest.figures is None:
        raise RunError(
            where=run,
            expected="weights whose figures are known",
            found="a manifest without figures",
            to_do="Evaluate the run again: it was interrupted.",
        )
    return manifest


def _require_weights_folder(folder: Path) -> None:
    """Refuse to replace a folder that holds something else than weights."""
    if folder.exists() and not (folder / MANIFEST_FILE).is_file() and any(folder.iterdir()):
        raise RunError(
            where=folder,
            expected=f"an empty folder, or one with weights and their {MANIFEST_FILE}",
            found="other files, which an export would remove",
            to_do="Name another folder with --to.",
        )


def _write_weights(
    manifest: Manifest, settings: TrainingSettings, made: Path, crops: Uint8Array
) -> tuple[Manifest, str]:
    """Write weights and manifest, as float16 if the scores allow; returns what to say of it."""
    run = settings.out_folder
    calibration, unit = manifest.calibration, manifest.cancer_unit
    before = calibrated(calibration, softmax(load(manifest, run), crops)[:, unit])
    weights_file = f"{settings.name}-{settings.version}.weights.h5"
    store_kernels_as_float16(run / manifest.weights_file, made / weights_file)
    written = _describe(manifest, made, weights_file)
    after = calibrated(calibration, softmax(load(written, made), crops)[:, unit])
    change = float(np.abs(after - before).max(initial=0.0))
    if change <= _LARGEST_CHANGE:
        note = (
            f"Kernels are stored as float16, which moves the score of none of {len(crops)} "
            f"validation images by more than {max(change, 0.0001):.4f}."
        )
    else:
        shutil.copyfile(run / manifest.weights_file, made / weights_file)
        written = _describe(manifest, made, weights_file)
        note = (
            f"Kernels are stored as float32: float16 would have moved a score by {change:.4f}, "
            f"more than {_LARGEST_CHANGE}."
        )
    size_bytes = (made / weights_file).stat().st_size
    if size_bytes > _LARGEST_BYTES:
        raise RunError(
            where=run / manifest.weights_file,
            expected=f"weights of {_LARGEST_BYTES:,} bytes at most",
            found=f"{size_bytes:,} bytes",
            to_do="The file holds more than the network, such as an optimizer: train again.",
        )
    return written, note


def _describe(manifest: Manifest, made: Path, weights_file: str) -> Manifest:
    """Write the manifest of the weights as they lie there, and read both back."""
    described = manifest.model_copy(
        update={"weights_file": weights_file, "sha256": sha256_of(made / weights_file)}
    )
    (made / MANIFEST_FILE).write_text(described.to_json(), encoding="utf-8")
    return read_manifest(made)


def _left_out(settings: TrainingSettings, test: Evaluation) -> str:
    """Say which images are in no figure."""
    validation = read_evaluation(settings.out_folder / EVALUATION_FOLDER / Split.VALIDATION)
    count = validation.images_without_breast + test.images_without_breast
    return (
        f"No breast was found in {count} image(s) of validation and test: they are in no figure, "
        "as a node would not score them."
    )


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
