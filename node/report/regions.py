"""How a region is written, the same in every kind that points at one."""

import numpy as np
import numpy.typing as npt

from model.explain import Region
from node.report.source_image import label_of
from node.results import InstanceResult

Float64Array = npt.NDArray[np.float64]


def outline(region: Region) -> Float64Array:
    """Corners of a region, clockwise and closed.

    Parameters
    ----------
    region
        Its half-open box in whole pixels is the outline as it stands.

    Returns
    -------
    points
        Shape (5, 2), each row (column, row) in pixels from the corner of the first pixel: as
        SCOORD counts (PS3.3 C.18.6.1.2) and a graphic annotation in PIXEL units (C.10.5).
    """
    return np.array(
        [
            [region.left, region.top],
            [region.right, region.top],
            [region.right, region.bottom],
            [region.left, region.bottom],
            [region.left, region.top],
        ],
        dtype=np.float64,
    )


def centre(region: Region) -> Float64Array:
    """Where a region is marked: on the summit of its heat map.

    Parameters
    ----------
    region
        A region; its summit lies inside its outline.

    Returns
    -------
    points
        Shape (1, 2): (column, row) in pixels from the corner of the first pixel.
    """
    return np.array([[region.peak_column, region.peak_row]], dtype=np.float64)


def tracking_identifier(image: InstanceResult, number: int) -> str:
    """Name a region, as in ``AI R CC 1``.

    Parameters
    ----------
    image
        The view that it is on.
    number
        Its place among the view's regions, from 1, most suspicious first.

    Returns
    -------
    identifier
        Tracking Identifier (112039, DCM); short, since viewers write it beside the mark. Two
        images of the same view have the same one: `provenance.region_uid` tells them apart.
    """
    return f"AI {label_of(image)} {number}"
