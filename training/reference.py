"""What the validation split is like, for a node to tell by whether its own images are like it.

Figures of many images alone: no image and no patient can be read off them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.errors import WeightsError
from model.image_statistics import STATISTICS
from model.manifest import MANIFEST_FILE, Distribution, Manifest, Reference, read_manifest
from model.network import load
from model.preprocess import PREPROCESS_VERSION
from training.calibrate import calibrated
from training.card import CARD_FILE, with_reference
from training.classes import labels
from training.datasets import DataSet, Split
from training.errors import DataSetError
from training.evaluation.scoring import ScoredImages, score_images
from training.splits import by_split
from training.whole_file import whole_file

BoolArray = npt.NDArray[np.bool_]

BINS = 5
"""Of equal numbers. The more bins, the more chance moves the index, and a validation split is often
small: five keep nearly all of what ten would find, with less than half of the noise."""


def reference_of(validation: ScoredImages, manifest: Manifest) -> Reference:
    """Count how scores and image statistics are spread over the validation split.

    Parameters
    ----------
    validation
        Scored by the weights.
    manifest
        Of the weights, with their calibration.

    Returns
    -------
    reference
        Without image statistics where the images had been cropped before.
    """
    scores = calibrated(manifest.calibration, validation.outputs[:, manifest.cancer_unit])
    known = [each for each in validation.image_statistics if each is not None]
    has_statistics = len(known) == len(validation.images)
    return Reference(
        patients=len(set(validation.patient_ids)),
        images=len(validation.images),
        score=_distribution(scores, validation.is_cancer),
        image_statistics={
            name: _distribution([getattr(each, name) for each in known], validation.is_cancer)
            for name in STATISTICS
            if has_statistics
        },
    )


def add_reference(weights_folder: Path, data_set: DataSet, cache: Path) -> Manifest:
    """Write the reference into the manifest of weights that were exported without one.

    Weights, version and digest stay as they are: the same network, described in more words.

    Parameters
    ----------
    weights_folder
        Holds a manifest and the weights it describes.
    data_set
        The one that the weights were trained on.
    cache
        Folder for prepared crops.

    Returns
    -------
    manifest
        As written; the model card beside it says the same.

    Raises
    ------
    WeightsError
        If the weights cannot be used, or the validation split is not the one of their figures.
    DataSetError
        If it has images of one class only.
    """
    manifest = read_manifest(weights_folder)
    manifest.require_preprocessing(PREPROCESS_VERSION)
    images = by_split(data_set.images)[Split.VALIDATION]
    if not 0 < labels(images).sum() < len(images):
        raise DataSetError(
            where=Split.VALIDATION,
            expected="images with and without cancer",
            found=f"{len(images)} images of one class",
            to_do="Use the data set that the weights were trained on.",
        )
    model = load(manifest, weights_folder)
    scored = score_images(model, data_set, images, manifest.input_size_px, cache)
    reference = reference_of(scored, manifest)
    _require_same_split(manifest, reference)
    described = manifest.model_copy(update={"reference": reference})
    card = weights_folder / CARD_FILE
    if card.is_file():
        with whole_file(card) as file:
            file.write_text(with_reference(card.read_text(encoding="utf-8"), reference), "utf-8")
    with whole_file(weights_folder / MANIFEST_FILE) as file:
        file.write_text(described.to_json(), encoding="utf-8")
    return described


def _require_same_split(manifest: Manifest, reference: Reference) -> None:
    """Refuse other images than those that calibration and operating point were chosen on."""
    if manifest.figures is None:
        return
    figures = manifest.figures.validation
    if (figures.patients, figures.images) != (reference.patients, reference.images):
        raise WeightsError(
            expected=f"the validation split of the figures of {manifest.name}: "
            f"{figures.patients} patients, {figures.images} images",
            found=f"{reference.patients} patients, {reference.images} images",
            to_do="Use the data set that the weights were trained on",
        )


def _distribution(
    values: Sequence[float] | npt.NDArray[np.float64], is_cancer: BoolArray
) -> Distribution:
    """Cut values into bins of equal numbers, and count each class in them."""
    found = np.asarray(values, np.float64)
    # Where many values are equal, quantiles coincide, and there are fewer bins.
    edges = np.unique(np.quantile(found, np.arange(1, BINS) / BINS))
    places = np.searchsorted(edges, found, side="right")
    cancer, others = (
        np.bincount(places[chosen], minlength=len(edges) + 1).tolist()
        for chosen in (is_cancer, ~is_cancer)
    )
    return Distribution(edges=tuple(edges.tolist()), cancer=tuple(cancer), others=tuple(others))
