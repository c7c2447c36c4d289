"""Figures of a network of three classes, each class counting as much as the others.

As in `model.statistics`, one value a resampling.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from model.statistics import Sample, auc

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSample:
    """Rows with a softmax each, under several resamplings.

    Attributes
    ----------
    outputs
        Shape (rows, classes): the softmax.
    truth
        Shape (rows,): place of each row's class among the classes.
    weights
        Shape (resamplings, rows): how often each row was drawn.
    """

    outputs: Float64Array
    truth: IntArray
    weights: Float64Array

    @cached_property
    def confusion(self) -> Float64Array:
        """Shape (resamplings, classes, classes): drawn rows by true class and largest output."""
        classes = self.outputs.shape[1]
        cell = self.truth * classes + self.outputs.argmax(axis=1)
        counts: Float64Array = self.weights @ np.eye(classes**2)[cell]
        return counts.reshape(-1, classes, classes)


def class_accuracy(sample: ClassSample) -> Float64Array:
    """Share of rows whose largest output is their class."""
    right = np.trace(sample.confusion, axis1=1, axis2=2)
    return np.asarray(right / sample.confusion.sum(axis=(1, 2)))


def macro_precision(sample: ClassSample) -> Float64Array:
    """Mean over classes of the share that is right among what is named so; 0 if nothing is."""
    return _macro(sample.confusion, axis=1)


def macro_recall(sample: ClassSample) -> Float64Array:
    """Mean over classes of the share that is named so; NaN where a class was not drawn."""
    drawn = sample.confusion.sum(axis=2).min(axis=1) > 0
    return np.where(drawn, _macro(sample.confusion, axis=2), np.nan)


def macro_f1(sample: ClassSample) -> Float64Array:
    """Mean over classes of the harmonic mean of precision and recall."""
    right = np.diagonal(sample.confusion, axis1=1, axis2=2)
    both = sample.confusion.sum(axis=1) + sample.confusion.sum(axis=2)
    return np.asarray(_share(2 * right, both).mean(axis=1))


def macro_auc(sample: ClassSample) -> Float64Array:
    """Mean over classes of the AUC of each against all others."""
    each = [
        auc(
            Sample(
                scores=sample.outputs[:, place],
                is_cancer=sample.truth == place,
                weights=sample.weights,
            )
        )
        for place in range(sample.outputs.shape[1])
    ]
    return np.asarray(np.mean(each, axis=0))


def _macro(confusion: Float64Array, *, axis: int) -> Float64Array:
    """Mean over classes of the diagonal by its row's or column's sum."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    return np.asarray(_share(right, confusion.sum(axis=axis)).mean(axis=1))


def _share(part: Float64Array, whole: Float64Array) -> Float64Array:
    """Divide, and say 0 of nothing, as scikit-learn does."""
    share: Float64Array = np.zeros(np.shape(part))
    np.divide(part, whole, out=share, where=whole > 0)
    return share
