"""How a view hangs in a picture: the turn that brings it there from the way in which it is stored.

A right breast hangs with its chest wall on the right of the picture, a left breast with its chest
wall on the left; lateral is up in views from above and below, the head in views from the side.

References
----------
DICOM PS3.3 C.7.6.1.1.1 Patient Orientation, C.10.6 Spatial Transformation; PS3.17 Y.4 (hanging of
mammograms); IHE Radiology, Mammography Image.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from model.explain import HeatMap
from model.preprocess import BoolArray
from model.views import Laterality
from node.report.source_image import patient_orientation
from node.results import InstanceResult

Pixel = TypeVar("Pixel", bound=np.generic)

_OPPOSITE = str.maketrans("APRLHF", "PALRFH")
_VIEWS_FROM_ABOVE_OR_BELOW = ("CC", "XCCL", "XCCM", "FB", "CV", "RL", "RM")
_OBLIQUE_VIEWS = ("MLO", "LMO", "AT")
_CLEARLY_FULLER = 0.1
"""Of an outer third: of 1,200 screening mammograms the chest wall's differed by less in one."""


@dataclass(frozen=True, slots=True)
class SpatialTransformation:
    """One of the eight ways in which a rectangle can be laid on its grid."""

    rotation_degrees: int
    """Image Rotation (0070,0042): 0, 90, 180 or 270, clockwise."""
    is_flipped: bool
    """Image Horizontal Flip (0070,0041): whether columns are reversed, after the rotation."""

    @property
    def words(self) -> str:
        """What is done, as in ``turned by 90 degrees clockwise and mirrored``; empty if nothing."""
        done = []
        if self.rotation_degrees:
            clockwise = "" if self.rotation_degrees == 180 else " clockwise"
            done.append(f"turned by {self.rotation_degrees} degrees{clockwise}")
        if self.is_flipped:
            done.append("mirrored")
        return " and ".join(done)

    def apply(self, array: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]:
        """Turn an image.

        Parameters
        ----------
        array
            Shape (rows, columns) or (rows, columns, samples).

        Returns
        -------
        turned
            A contiguous array; rows and columns are swapped by a quarter turn.
        """
        turned: npt.NDArray[Any] = np.rot90(array, -self.rotation_degrees // 90)
        return np.ascontiguousarray(turned[:, ::-1] if self.is_flipped else turned)

    def apply_to_size(self, rows: int, columns: int) -> tuple[int, int]:
        """Tell what becomes of (rows, columns)."""
        return (columns, rows) if self.rotation_degrees % 180 else (rows, columns)

    def apply_to_directions(self, row: str, column: str) -> tuple[str, str]:
        """Tell what becomes of the two values of Patient Orientation (0020,0020).

        Parameters
        ----------
        row, column
            Where a row leads from left to right, and a column from top to bottom, as in ``P`` and
            ``FL``.

        Returns
        -------
        directions
            The same of the turned image.
        """
        for _ in range(self.rotation_degrees // 90):
            row, column = column.translate(_OPPOSITE), row
        return (row.translate(_OPPOSITE) if self.is_flipped else row), column


AS_STORED = SpatialTransformation(0, is_flipped=False)
MIRRORED = SpatialTransformation(0, is_flipped=True)
TRANSFORMATIONS = tuple(
    SpatialTransformation(degrees, is_flipped=is_flipped)
    for is_flipped in (False, True)
    for degrees in (0, 90, 180, 270)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hanging:
    """How one view is drawn.

    Attributes
    ----------
    transformation
        What brings the stored image there.
    is_chest_wall_right
        Against which edge of the picture the chest wall lies, or seems to.
    patient_orientation
        Patient Orientation of what is drawn; None where nothing says it, or nothing that agrees
        with the picture.
    """

    transformation: SpatialTransformation
    is_chest_wall_right: bool
    patient_orientation: tuple[str, str] | None


def hanging_of(instance: InstanceResult) -> Hanging:
    """Decide how a view is drawn, by the first of these that holds.

    1. Nobody knows which breast it is: as it is stored.
    2. Patient Orientation (0020,0020) fits the view, and the chest wall is not seen elsewhere than
       it says: the one turn of the eight after which the directions are those of the hanging.
    3. There is none, or view or picture contradict it, and the chest wall is clearly seen on the
       left or the right: mirrored if that is not the side of this breast. Of the turns that
       would bring it there this one leaves at the top what is at the top.
    4. Nothing says enough: as it is stored.

    Parameters
    ----------
    instance
        A view with a heat map. The mask of the breast shows the chest wall: where it is fullest.

    Returns
    -------
    hanging
        The same for the same header, side, view and mask.

    Raises
    ------
    ValueError
        If the view has not been analysed.
    """
    if instance.heat_map is None:
        raise ValueError(f"expected an analysed view, found {instance.sop_instance_uid}")
    stored = patient_orientation(instance.source)
    is_seen_right = instance.heat_map.geometry.is_mirrored
    if instance.laterality is None:
        return Hanging(
            transformation=AS_STORED, is_chest_wall_right=is_seen_right, patient_orientation=stored
        )
    is_right = instance.laterality is Laterality.RIGHT
    breast = _breast_as_stored(instance.heat_map)
    told = _by_patient_orientation(stored, instance.laterality, instance.view_position)
    if told is not None and stored is not None and _may_be_so(breast, told, is_right=is_right):
        return Hanging(
            transformation=told,
            is_chest_wall_right=is_right,
            patient_orientation=told.apply_to_directions(*stored),
        )
    wall, opposite, others = _fullness(breast, is_right=is_seen_right)
    is_clear = wall > opposite + _CLEARLY_FULLER and wall >= others
    is_mirrored = is_clear and is_seen_right is not is_right
    return Hanging(
        transformation=MIRRORED if is_mirrored else AS_STORED,
        is_chest_wall_right=is_seen_right is not is_mirrored,
        patient_orientation=None,
    )


def _by_patient_orientation(
    stored: tuple[str, str] | None, laterality: Laterality, view_position: str | None
) -> SpatialTransformation | None:
    """Find the turn after which rows and columns lead where they do in the hanging."""
    if stored is None:
        return None
    to_chest_wall = "P" if laterality is Laterality.RIGHT else "A"
    for down in _downwards(laterality, view_position):
        for transformation in TRANSFORMATIONS:
            row, column = transformation.apply_to_directions(*stored)
            # Of several letters the first is the main direction, but an oblique column may lead
            # as much to the feet as to the other side.
            if row[0] == to_chest_wall and column[0] not in "AP" and down in column:
                return transformation
    return None


def _downwards(laterality: Laterality, view_position: str | None) -> tuple[str, ...]:
    """Directions that a column of a hung view may have, the more telling first."""
    medial = "L" if laterality is Laterality.RIGHT else "R"
    if view_position in _VIEWS_FROM_ABOVE_OR_BELOW:
        return (medial,)
    # An oblique view leads to the feet and to the middle of the body at once (PS3.17 A).
    if view_position is None or view_position in _OBLIQUE_VIEWS:
        return "F", medial
    return ("F",)


def _breast_as_stored(heat_map: HeatMap) -> BoolArray:
    """Cut the mask of the breast to its box, the way round in which the image is stored."""
    box = heat_map.geometry.content
    mask = heat_map.breast_mask[
        round(box.top) : round(box.bottom), round(box.left) : round(box.right)
    ]
    return mask[:, ::-1] if heat_map.geometry.is_mirrored else mask


def _may_be_so(breast: BoolArray, transformation: SpatialTransformation, *, is_right: bool) -> bool:
    """Whether nothing in the picture contradicts a header by which it hangs once it is turned."""
    wall, opposite, others = _fullness(transformation.apply(breast), is_right=is_right)
    if wall < opposite - _CLEARLY_FULLER:
        return False
    # A header that is wrong about a quarter turn would lay an upright breast on its side.
    return transformation.rotation_degrees % 180 == 0 or wall >= others


def _fullness(breast: BoolArray, *, is_right: bool) -> tuple[float, float, float]:
    """Share of tissue in the outer thirds of the breast's box.

    Returns
    -------
    fullness
        At the chest wall, if it is on that side; opposite; and the larger of above and below.
    """
    down, across = (max(1, size // 3) for size in breast.shape)
    left, right = float(breast[:, :across].mean()), float(breast[:, -across:].mean())
    others = max(float(breast[:down].mean()), float(breast[-down:].mean()))
    return (right, left, others) if is_right else (left, right, others)
