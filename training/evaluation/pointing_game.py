"""The pointing game: how often the heat map's highest point lies on the lesion.

A map that pointed anywhere on the breast would hit as often as lesions cover it: that share is the
chance that the rate is held against.

References
----------
Zhang et al., Top-down Neural Attention by Excitation Backprop, IJCV 126, 2018; here without the
tolerance of 15 pixels around the lesion that the original allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from model.explain import HeatMap
from model.manifest import Interval
from training.datasets import Label, LabelledImage
from training.evaluation.bootstrap import interval, patient_weights
from training.lesions import has_known_place, lesion_mask

_LARGEST_PX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """Where one heat map pointed.

    Attributes
    ----------
    patient_id
        The data set's pseudonym.
    is_hit
        Whether the highest point of the map lies on a lesion; a map of zeros hits nothing.
    lesion_share
        Share of the breast that lesions cover, in (0, 1].
    """

    patient_id: str
    is_hit: bool
    lesion_share: float


class PointingGame(BaseModel):
    """Hits on images with cancer whose place is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    patients: int
    hit_rate: Interval
    chance: Interval
    """Mean share of the breast that lesions cover."""
    above_chance: Interval
    """Hit rate less chance, on the same resamplings."""


def has_cancer_of_known_place(image: LabelledImage) -> bool:
    """Whether an image shows a cancer and the data set says where."""
    return image.is_cancer and has_known_place(_cancers_alone(image))


def play(explained: Sequence[tuple[HeatMap, LabelledImage]], *, seed: int) -> PointingGame | None:
    """Let heat maps point, and count the hits.

    Parameters
    ----------
    explained
        Heat maps of the malignant class, and the images that they were made from.
    seed
        Of the resamplings.

    Returns
    -------
    game
        With 95 % intervals from resamplings of patients; None without an image that takes part.

    Raises
    ------
    DataSetError
        If the mask of a lesion cannot be read.
    """
    pointed = [point(heat_map, image) for heat_map, image in explained]
    return count_hits([one for one in pointed if one is not None], seed=seed)


def point(heat_map: HeatMap, image: LabelledImage) -> Pointed | None:
    """Let one heat map point.

    Parameters
    ----------
    heat_map
        Of the malignant class, made from `image`.
    image
        With the place of its lesions.

    Returns
    -------
    pointed
        None if no lesion lies on what was found to be the breast: nothing could be hit.
    """
    geometry = heat_map.geometry
    scale = min(1.0, _LARGEST_PX / max(geometry.original_rows, geometry.original_columns))
    shape = (
        max(1, round(geometry.original_rows * scale)),
        max(1, round(geometry.original_columns * scale)),
    )
    lesions = lesion_mask(
        _cancers_alone(image), (geometry.original_rows, geometry.original_columns), shape
    )
    breast = heat_map.breast_on_original(shape)
    share = float((lesions & breast).sum() / max(1, breast.sum()))
    if share == 0.0:
        return None
    peak = heat_map.peak_on_original()
    is_hit = False
    if peak is not None:
        row = min(max(int(peak[0] * shape[0] / geometry.original_rows), 0), shape[0] - 1)
        column = min(max(int(peak[1] * shape[1] / geometry.original_columns), 0), shape[1] - 1)
        is_hit = bool(lesions[row, column])
    return Pointed(patient_id=image.patient_id, is_hit=is_hit, lesion_share=share)


def count_hits(pointed: Sequence[Pointed], *, seed: int) -> PointingGame | None:
    """Count the hits.

    Parameters
    ----------
    pointed
        From `point`.
    seed
        Of the resamplings.

    Returns
    -------
    game
        With 95 % intervals from resamplings of patients; None without an image.
    """
    if not pointed:
        return None
    weights = patient_weights([one.patient_id for one in pointed], seed=seed)
    drawn = weights.sum(axis=1)
    hits = weights @ np.array([one.is_hit for one in pointed], np.float64)
    shares = weights @ np.array([one.lesion_share for one in pointed], np.float64)
    hit_rate, chance, above = (interval(values / drawn) for values in (hits, shares, hits - shares))
    # Every resampling draws a patient, and every patient here has an image: none is undefined.
    if hit_rate is None or chance is None or above is None:
        return None
    return PointingGame(
        images=len(pointed),
        patients=len({one.patient_id for one in pointed}),
        hit_rate=hit_rate,
        chance=chance,
        above_chance=above,
    )


def _cancers_alone(image: LabelledImage) -> LabelledImage:
    """Leave out the lesions that are known to be none."""
    labels = image.mask_labels or (None,) * len(image.masks)
    masks = [
        (path, label)
        for path, label in zip(image.masks, labels, strict=True)
        if label in {None, Label.MALIGNANT}
    ]
    return replace(
        image,
        boxes=tuple(box for box in image.boxes if box.label in {None, Label.MALIGNANT}),
        masks=tuple(path for path, _ in masks),
        mask_labels=tuple(label for _, label in masks if label is not None),
    )
