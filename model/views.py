"""Which breast and which view an image shows, and how it departs from a standard view."""

import re
from dataclasses import dataclass
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from model.attributes import items_of, value_of


class Laterality(StrEnum):
    """Image Laterality (0020,0062), PS3.3 C.8.11.7; only sides of a single breast are kept."""

    RIGHT = "R"
    LEFT = "L"


class ViewModifier(StrEnum):
    """View modifiers that decide whether an image can be analysed, from CID 4015."""

    MAGNIFICATION = "magnification"
    SPOT_COMPRESSION = "spot compression"
    IMPLANT_DISPLACED = "implant displaced"
    OTHER = "other"
    """A modifier that does not take the breast out of the picture: cleavage, rolled, tangential."""


STANDARD_VIEWS: tuple[tuple[Laterality, str], ...] = (
    (Laterality.RIGHT, "CC"),
    (Laterality.LEFT, "CC"),
    (Laterality.RIGHT, "MLO"),
    (Laterality.LEFT, "MLO"),
)
"""The four views of a screening examination, in hanging order (PS3.17 Y.4)."""

VIEW_POSITIONS = (
    "CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB", "SIO", "ISO", "CV", "AT", "RL", "RM",
    "RI", "RS",
)  # fmt: skip
"""View Position (0018,5101) of mammograms: ACR MQCM 1999 equivalents, PS3.16 CID 4014, 4015."""

# PS3.16 CID 4014 View for Mammography: SNOMED CT, then the SNOMED-RT codes of older equipment.
_VIEW_CODES = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399192008": "XCCL", "R-1024A": "XCCL",
    "399101009": "XCCM", "R-1024B": "XCCM",
    "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO",
    "441555000": "ISO", "R-40AAA": "ISO",
}  # fmt: skip

# PS3.16 CID 4015 View Modifier for Mammography, the same way.
_MODIFIER_CODES = {
    "399163009": ViewModifier.MAGNIFICATION, "R-102D6": ViewModifier.MAGNIFICATION,
    "399055006": ViewModifier.SPOT_COMPRESSION, "R-102D7": ViewModifier.SPOT_COMPRESSION,
    "399209000": ViewModifier.IMPLANT_DISPLACED, "R-102D5": ViewModifier.IMPLANT_DISPLACED,
}  # fmt: skip

# How people write it where no attribute holds it: "R MLO", "LCC", "RIGHT_CC", "L-XCCL".
_WRITTEN = re.compile(
    r"(?<![A-Z])(?P<laterality>RIGHT|LEFT|RT|LT|R|L)?[\s_.-]*"
    r"(?P<view>XCCL|XCCM|MLO|LMO|CC|ML|LM)(?![A-Z])"
)
_WRITTEN_SIDE = re.compile(r"(?<![A-Z])(RIGHT|LEFT|RT|LT)(?![A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an image shows.

    Attributes
    ----------
    laterality
        The breast, or None where nothing in the data set says so (or it says both).
    view_position
        One of `VIEW_POSITIONS`, or None where nothing says so.
    modifiers
        From the View Modifier Code Sequence (0054,0222), without repetition.
    """

    laterality: Laterality | None
    view_position: str | None
    modifiers: frozenset[ViewModifier] = frozenset()


def read_view(ds: Dataset) -> View:
    """Read side and view from the standard attributes, else from what film sets use instead.

    The order for the side: Image Laterality (0020,0062); Laterality (0020,0060); Series Description
    (0008,103E) and Protocol Name (0018,1030). For the view: View Position (0018,5101); View Code
    Sequence (0054,0220); Patient Orientation (0020,0020) that holds a view, as in CBIS-DDSM; the
    same two texts. A text counts only where it names one side, or one view.

    Parameters
    ----------
    ds
        A header; pixel data are not needed.

    Returns
    -------
    view
        With None for what nothing says.

    References
    ----------
    DICOM PS3.3 C.8.11.7 (Mammography Image Module), PS3.16 CID 4014 and CID 4015.
    """
    codes, modifier_codes = _view_codes(ds)
    texts = [
        *_values(ds, "PatientOrientation"),
        *_values(ds, "SeriesDescription"),
        *_values(ds, "ProtocolName"),
    ]
    return View(
        laterality=(
            _laterality(_values(ds, "ImageLaterality"))
            or _laterality(_values(ds, "Laterality"))
            or _written_laterality(texts)
        ),
        view_position=(
            next((v for v in _values(ds, "ViewPosition") if v in VIEW_POSITIONS), None)
            or next((_VIEW_CODES[code] for code in codes if code in _VIEW_CODES), None)
            or _written_view(texts)
        ),
        modifiers=frozenset(
            _MODIFIER_CODES.get(code, ViewModifier.OTHER) for code in modifier_codes
        ),
    )


def _values(ds: Dataset, keyword: str) -> list[str]:
    """Every value of an attribute as upper case text; none if it is absent or empty."""
    value = value_of(ds, keyword)
    if value is None:
        return []
    values = value if isinstance(value, MultiValue | list) else [value]
    return [text for text in (str(one).strip().upper() for one in values) if text]


def _view_codes(ds: Dataset) -> tuple[list[str], list[str]]:
    """Code values of the view and of its modifiers."""
    codes: list[str] = []
    modifiers: list[str] = []
    for view in items_of(ds, "ViewCodeSequence"):
        codes += _values(view, "CodeValue")
        for modifier in items_of(view, "ViewModifierCodeSequence"):
            modifiers += _values(modifier, "CodeValue")
    return codes, modifiers


def _laterality(values: list[str]) -> Laterality | None:
    """R or L; B (both), U (unpaired) and anything else say nothing of one breast."""
    return next((Laterality(value) for value in values if value in ("R", "L")), None)


def _written_laterality(texts: list[str]) -> Laterality | None:
    """Return the one side that the texts name."""
    named = {match["laterality"] for text in texts for match in _WRITTEN.finditer(text)}
    named |= {match[1] for text in texts for match in _WRITTEN_SIDE.finditer(text)}
    sides = {Laterality(name[0]) for name in named if name}
    return sides.pop() if len(sides) == 1 else None


def _written_view(texts: list[str]) -> str | None:
    """Return the one view that the texts name."""
    views = {match["view"] for text in texts for match in _WRITTEN.finditer(text)}
    return views.pop() if len(views) == 1 else None
