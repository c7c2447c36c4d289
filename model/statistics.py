"""Figures of merit, each computed for all resamplings at once.

A resampling is a row of weights: how often each scored row was drawn. So nothing is copied or
sorted a thousand times: the scores are sorted once, and what lies above each threshold is a
running sum of weights, for every resampling side by side.

A figure that a resampling does not define (the precision where nothing is called) is NaN there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

BINS = 10
"""Of the calibration: as equal in number of rows as ties allow."""
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Scored rows under several resamplings.

    Attributes
    ----------
    scores
        Shape (rows,): calibrated, in [0, 1].
    is_cancer
        Shape (rows,).
    weights
        Shape (resamplings, rows): how often each row was drawn.
    """

    scores: Float64Array
    is_cancer: BoolArray
    weights: Float64Array

    @cached_property
    def positives(self) -> Float64Array:
        """Shape (resamplings,): drawn rows with cancer."""
        return np.asarray(self.weights[:, self.is_cancer].sum(axis=1))

    @cached_property
    def negatives(self) -> Float64Array:
        """Shape (resamplings,): drawn rows without cancer."""
        return np.asarray(self.weights[:, ~self.is_cancer].sum(axis=1))

    @cached_property
    def thresholds(self) -> Float64Array:
        """Shape (thresholds,): every score that occurs, falling."""
        return np.unique(self.scores)[::-1]

    @cached_property
    def true_positives(self) -> Float64Array:
        """Shape (resamplings, thresholds): drawn rows with cancer at or above each threshold."""
        return self._at_or_above(self.is_cancer)

    @cached_property
    def false_positives(self) -> Float64Array:
        """Shape (resamplings, thresholds): drawn rows without cancer at or above each threshold."""
        return self._at_or_above(~self.is_cancer)

    @cached_property
    def bin_of(self) -> IntArray:
        """Shape (rows,): the calibration bin of each row, from 0."""
        edges = np.percentile(self.scores, np.linspace(0, 100, BINS + 1))
        return np.asarray(np.searchsorted(edges[1:-1], self.scores), np.intp)

    def _at_or_above(self, counted: BoolArray) -> Float64Array:
        order = np.argsort(-self.scores, kind="stable")
        weights = np.where(counted, self.weights, 0.0)[:, order]
        starts = np.searchsorted(-self.scores[order], -self.thresholds)
        return np.cumsum(np.add.reduceat(weights, starts, axis=1), axis=1)


Statistic = Callable[[Sample], Float64Array]
"""From a sample to one value a resampling, shape (resamplings,)."""


def auc(sample: Sample) -> Float64Array:
    """Area under the ROC curve; ties count a half."""
    true, false = _from_zero(sample.true_positives), _from_zero(sample.false_positives)
    area = (np.diff(false) * (true[:, 1:] + true[:, :-1]) / 2).sum(axis=1)
    return _share(area, sample.positives * sample.negatives)


def average_precision(sample: Sample) -> Float64Array:
    """Area under the precision-recall curve, as the mean precision over steps of recall."""
    true, false = sample.true_positives, sample.false_positives
    precision = np.nan_to_num(_share(true, true + false))
    return _share((np.diff(_from_zero(true)) * precision).sum(axis=1), sample.positives)


def sensitivity_at_specificity(specificity: float) -> Statistic:
    """Make the figure: the largest sensitivity of any threshold that keeps a specificity.

    Parameters
    ----------
    specificity
        In (0, 1).

    Returns
    -------
    statistic
        In [0, 1]; nothing is read between thresholds.
    """

    def statistic(sample: Sample) -> Float64Array:
        allowed = (1 - specificity) * sample.negatives + _ROUNDING
        place = (sample.false_positives <= allowed[:, None]).sum(axis=1)
        true = _from_zero(sample.true_positives)
        return _share(
            np.take_along_axis(true, place[:, None], axis=1)[:, 0],
            np.where(sample.negatives > 0, sample.positives, 0),
        )

    return statistic


def specificity_at_sensitivity(sensitivity: float) -> Statistic:
    """Make the figure: the largest specificity of any threshold that keeps a sensitivity.

    Parameters
    ----------
    sensitivity
        In (0, 1).

    Returns
    -------
    statistic
        In [0, 1]; nothing is read between thresholds.
    """

    def statistic(sample: Sample) -> Float64Array:
        needed = sensitivity * sample.positives - _ROUNDING
        place = (sample.true_positives < needed[:, None]).sum(axis=1)
        false = np.take_along_axis(sample.false_positives, place[:, None], axis=1)[:, 0]
        return _share(sample.negatives - false, np.where(sample.positives > 0, sample.negatives, 0))

    return statistic


def brier(sample: Sample) -> Float64Array:
    """Mean square of score less truth: 0 is perfect."""
    return _mean(sample, (sample.scores - sample.is_cancer) ** 2)


def calibration_error(sample: Sample) -> Float64Array:
    """Compare score and share of cancers over bins: the expected calibration error.

    References
    ----------
    Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015; with
    bins of equal numbers instead of equal widths, for scores crowd together.
    """
    inside = np.eye(BINS)[sample.bin_of]
    gap = sample.weights @ (inside * (sample.scores - sample.is_cancer)[:, None])
    return _share(np.abs(gap).sum(axis=1), sample.weights.sum(axis=1))


def called(
    sample: Sample, threshold: float
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Count what a threshold calls and misses.

    Parameters
    ----------
    sample
        Of any level.
    threshold
        At or above which a row is called.

    Returns
    -------
    true_positives, false_positives, false_negatives, true_negatives
        Shape (resamplings,) each.
    """
    is_called = sample.scores >= threshold
    true = sample.weights @ (is_called & sample.is_cancer)
    false = sample.weights @ (is_called & ~sample.is_cancer)
    return true, false, sample.positives - true, sample.negatives - false


def accuracy_at(threshold: float) -> Statistic:
    """Make the figure: share of rows on the right side of a threshold."""

    def statistic(sample: Sample) -> Float64Array:
        true, _, _, spared = called(sample, threshold)
        return _share(true + spared, sample.positives + sample.negatives)

    return statistic


def precision_at(threshold: float) -> Statistic:
    """Make the figure: share of cancers among the called."""

    def statistic(sample: Sample) -> Float64Array:
        true, false, _, _ = called(sample, threshold)
        return _share(true, true + false)

    return statistic


def recall_at(threshold: float) -> Statistic:
    """Make the figure: share of cancers that are called, the sensitivity."""

    def statistic(sample: Sample) -> Float64Array:
        return _share(called(sample, threshold)[0], sample.positives)

    return statistic


def specificity_of(threshold: float) -> Statistic:
    """Make the figure: share of the rest that is not called."""

    def statistic(sample: Sample) -> Float64Array:
        return _share(called(sample, threshold)[3], sample.negatives)

    return statistic


def f1_at(threshold: float) -> Statistic:
    """Make the figure: harmonic mean of precision and recall; 0 where no cancer is called."""

    def statistic(sample: Sample) -> Float64Array:
        true, false, missed, _ = called(sample, threshold)
        return _share(2 * true, 2 * true + false + missed)

    return statistic


def _mean(sample: Sample, values: Float64Array) -> Float64Array:
    """Weighted mean of one value a row."""
    return _share(sample.weights @ values, sample.weights.sum(axis=1))


def _share(part: Float64Array, whole: Float64Array) -> Float64Array:
    """Divide, and leave NaN where there is nothing to divide by."""
    share: Float64Array = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _from_zero(counts: Float64Array) -> Float64Array:
    """Put the threshold above all scores, at which nothing is called, before the others."""
    return np.concatenate([np.zeros((len(counts), 1)), counts], axis=1)
