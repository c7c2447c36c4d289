"""The colours of a heat map, laid over grey anatomy."""

import cv2
import numpy as np
import numpy.typing as npt

from node.results import UInt8Array

Float32Array = npt.NDArray[np.float32]

# Perceptually even and without black: on grey anatomy the dark end of other maps reads as tissue.
_COLOUR_MAP = cv2.COLORMAP_PLASMA
# Below the first value no colour, from the second on this much of it: anatomy stays visible.
_FADE_FROM, _FADE_TO = 0.15, 0.5
_OPACITY = 0.55


def blend(
    grey: UInt8Array, values: Float32Array, *, within: Float32Array | None = None
) -> UInt8Array:
    """Lay the colours of heat map values over anatomy.

    Parameters
    ----------
    grey
        Shape (rows, columns), values 0 to 255.
    values
        Shape (rows, columns), in [0, 1].
    within
        Shape (rows, columns), in [0, 1]: how much of the colour is laid on; by default all.

    Returns
    -------
    blended
        Shape (rows, columns, 3), RGB, values 0 to 255: the grey itself where the value is low.
    """
    levels = np.round(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, _COLOUR_MAP), cv2.COLOR_BGR2RGB)
    ramp = np.clip((values - _FADE_FROM) / (_FADE_TO - _FADE_FROM), 0.0, 1.0)
    opacity = (_OPACITY * ramp * ramp * (3.0 - 2.0 * ramp))[..., np.newaxis]
    if within is not None:
        opacity = opacity * within[..., np.newaxis]
    blended = grey[..., np.newaxis] * (1.0 - opacity) + colours * opacity
    return np.asarray(np.round(blended), np.uint8)
