"""Intervals of 95 % in closed form, with the rows of one patient as what they are: alike.

Two breasts of a woman, and two of her studies, are less than twice the evidence. Shares get
Wilson's interval at the effective number of rows: their number divided by the design effect, which
is the variance between patients over that of independent rows. The AUC gets DeLong's interval with
the patients as clusters, on the scale of its log odds, so that it ends inside [0, 1].

References
----------
Wilson, J Am Stat Assoc 22, 1927. Korn and Graubard, Survey Methodology 24, 1998. DeLong et al.,
Biometrics 44, 1988; with clusters Obuchowski, Biometrics 53, 1997.
"""

import math

import numpy as np
import numpy.typing as npt

from model.manifest import Interval
from model.statistics import Sample, auc
from node.intervals import wilson_interval

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

_Z = 1.959963984540054
"""Of the standard normal distribution: 97.5 % lie below it."""


def wilson(share: float, rows: float) -> Interval:
    """Give Wilson's interval of a share.

    Parameters
    ----------
    share
        In [0, 1].
    rows
        As how many independent ones its rows count.
    """
    low, high = wilson_interval(share * rows, rows)
    return Interval(value=share, low=min(low, share), high=max(high, share))


def share_of(hits: BoolArray, patients: IntArray) -> Interval:
    """Give a share of rows with its interval.

    Parameters
    ----------
    hits
        Shape (rows,), at least one row.
    patients
        Shape (rows,): whose each row is, as numbers from 0.
    """
    rows = len(hits)
    share = float(hits.mean())
    _, clusters = np.unique(patients, return_inverse=True)
    count = int(clusters.max()) + 1
    if count == rows:
        return wilson(share, rows)
    if share in (0.0, 1.0):
        # How alike the rows of a patient are cannot be seen when all are alike: the worst is held.
        return wilson(share, count)
    if count < 2:
        return wilson(share, 1)
    gaps = np.bincount(clusters, weights=hits - share)
    between = count / (count - 1) * float((gaps**2).sum()) / rows**2
    design_effect = max(1.0, between / (share * (1 - share) / rows))
    return wilson(share, rows / design_effect)


def auc_of(scores: Float64Array, is_cancer: BoolArray, patients: IntArray) -> Interval:
    """Give the area under the ROC curve with its interval.

    Parameters
    ----------
    scores
        Shape (rows,).
    is_cancer
        Shape (rows,): at least one row of either sort.
    patients
        Shape (rows,): whose each row is, as numbers from 0.
    """
    area = float(
        auc(Sample(scores=scores, is_cancer=is_cancer, weights=np.ones((1, len(scores)))))[0]
    )
    of_cancers = _placed(scores[is_cancer], scores[~is_cancer])
    of_others = 1 - _placed(scores[~is_cancer], scores[is_cancer])
    count = int(patients.max()) + 1
    cancers, others = len(of_cancers), len(of_others)
    sums = [
        np.bincount(patients[rows], weights=placed - area, minlength=count)
        for rows, placed in ((is_cancer, of_cancers), (~is_cancer, of_others))
    ]
    with_cancer, with_others = (np.unique(patients[rows]).size for rows in (is_cancer, ~is_cancer))
    if area in (0.0, 1.0) or min(with_cancer, with_others) < 2:
        # Nothing varies: what is left is how few there are.
        return wilson(area, min(with_cancer, with_others))
    both = np.unique(patients).size
    variance = (
        with_cancer / (with_cancer - 1) * float((sums[0] ** 2).sum()) / cancers**2
        + with_others / (with_others - 1) * float((sums[1] ** 2).sum()) / others**2
        + 2 * both / (both - 1) * float((sums[0] * sums[1]).sum()) / (cancers * others)
    )
    if variance <= 0:
        return wilson(area, min(with_cancer, with_others))
    odds = math.log(area / (1 - area))
    reach = _Z * math.sqrt(variance) / (area * (1 - area))
    return Interval(value=area, low=_from_log_odds(odds - reach), high=_from_log_odds(odds + reach))


def _placed(scores: Float64Array, among: Float64Array) -> Float64Array:
    """Say of each score which share of others lies below it; ties count a half."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, scores, side="left")
    not_above = np.searchsorted(ordered, scores, side="right")
    return np.asarray((below + not_above) / (2 * len(among)), np.float64)


def _from_log_odds(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, odds)))
