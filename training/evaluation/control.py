"""The control: what a logistic regression reaches that sees nine intensity statistics alone.

A network that does no better may have learnt brightness, contrast or the detector, and not cancer.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

Float64Array = npt.NDArray[np.float64]
Uint8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

_FOLDS = 5


def control_trained_on(
    crops: Uint8Array, is_cancer: BoolArray, evaluated: Uint8Array
) -> Float64Array:
    """Fit the control on a training split and apply it to the images evaluated.

    Parameters
    ----------
    crops
        Shape (images, height, width), values 0 to 255: of the training split.
    is_cancer
        Shape (images,).
    evaluated
        As `crops`: of the images evaluated.

    Returns
    -------
    scores
        Shape (images evaluated,), in [0, 1].
    """
    return _probability(
        _fitted(intensity_statistics(crops), is_cancer), intensity_statistics(evaluated)
    )


def control_across_folds(
    crops: Uint8Array, is_cancer: BoolArray, patient_ids: Sequence[str]
) -> Float64Array:
    """Fit the control on the images evaluated: on four fifths of the patients for the last fifth.

    Parameters
    ----------
    crops
        Shape (images, height, width), values 0 to 255.
    is_cancer
        Shape (images,).
    patient_ids
        Whose each image is.

    Returns
    -------
    scores
        Shape (images,), in [0, 1]; NaN with fewer than five patients of either sort.
    """
    given = intensity_statistics(crops)
    patients = np.asarray(patient_ids)
    scores = np.full(len(crops), np.nan)
    if min(len(set(patients[is_cancer])), len(set(patients[~is_cancer]))) < _FOLDS:
        return scores
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    for train, rest in folds.split(given, is_cancer, patients):
        scores[rest] = _probability(_fitted(given[train], is_cancer[train]), given[rest])
    return scores


def intensity_statistics(crops: Uint8Array) -> Float64Array:
    """Nine numbers an image that know nothing of where anything is.

    Parameters
    ----------
    crops
        Shape (images, height, width), values 0 to 255, air 0: what the network sees.

    Returns
    -------
    statistics
        Shape (images, 9): share of the breast in the input; mean, standard deviation and the
        percentiles 5, 25, 50, 75, 95 and 99 of its grey values.
    """
    rows = []
    for crop in crops:
        breast = crop[crop > 0]
        if breast.size == 0:
            rows.append(np.zeros(9))
            continue
        percentiles = np.percentile(breast, (5, 25, 50, 75, 95, 99))
        rows.append(
            np.concatenate([[breast.size / crop.size, breast.mean(), breast.std()], percentiles])
        )
    return np.array(rows).reshape(len(crops), 9)


def _fitted(given: Float64Array, is_cancer: BoolArray) -> Pipeline:
    """Fit a logistic regression on standardised statistics."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(given, is_cancer)


def _probability(control: Pipeline, given: Float64Array) -> Float64Array:
    """Probability of cancer, from the nine statistics alone."""
    return np.asarray(control.predict_proba(given)[:, 1], np.float64)
