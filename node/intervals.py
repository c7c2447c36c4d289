"""How sure a share is that was counted on few."""

import math

_Z = 1.959963984540054
"""Of the normal distribution: 95 % lie within so many standard deviations."""


def wilson_interval(count: float, total: float) -> tuple[float, float]:
    """Give the 95 % interval of a share.

    Parameters
    ----------
    count
        How many have it, from 0 to `total`.
    total
        Of how many, at least 1; where some of them are alike, as how many they count: a fraction.

    Returns
    -------
    interval
        (low, high), both in [0, 1]; a count of 0 is no certainty that the share is 0.

    References
    ----------
    Wilson, Journal of the American Statistical Association 22, 1927.
    """
    share = count / total
    scale = 1.0 + _Z**2 / total
    middle = (share + _Z**2 / (2 * total)) / scale
    half = _Z * math.sqrt(share * (1.0 - share) / total + _Z**2 / (4 * total**2)) / scale
    # Rounding aside, the ends are exact where nobody or everybody has it.
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == total else min(1.0, middle + half)
    return low, high
