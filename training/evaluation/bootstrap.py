"""Intervals by drawing patients with replacement, all their rows with them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.manifest import Interval

Float64Array = npt.NDArray[np.float64]

RESAMPLINGS = 1000


def patient_weights(patients: Sequence[str], *, seed: int) -> Float64Array:
    """Draw patients with replacement: rows of one patient are no independent evidence.

    Parameters
    ----------
    patients
        Whose row each is.
    seed
        Of the draws. The same patients with the same seed are drawn alike, whatever their rows:
        so that images, breasts and two networks are measured on the same draws.

    Returns
    -------
    weights
        Shape (1 + `RESAMPLINGS`, rows): how often each row was drawn. In the first, each row is
        there once: that of the figure itself.
    """
    names, places = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLINGS)
    return np.concatenate([np.ones((1, len(places))), counts[:, places]])


def interval(values: Float64Array) -> Interval | None:
    """Take the middle 95 % of the resamplings.

    Parameters
    ----------
    values
        Shape (1 + resamplings,), the figure itself first; NaN where it is not defined.

    Returns
    -------
    interval
        None if the figure itself is not defined. Resamplings without it, such as those that drew
        one class only, are left out.
    """
    drawn = values[1:][np.isfinite(values[1:])]
    if not (np.isfinite(values[0]) and drawn.size):
        return None
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(value=float(values[0]), low=float(low), high=float(high))
