"""Which breast and which view an image shows."""

from enum import StrEnum


class Laterality(StrEnum):
    """Image Laterality (0020,0062), PS3.3 C.8.11.7; only sides of a single breast are kept."""

    RIGHT = "R"
    LEFT = "L"


STANDARD_VIEWS: tuple[tuple[Laterality, str], ...] = (
    (Laterality.RIGHT, "CC"),
    (Laterality.LEFT, "CC"),
    (Laterality.RIGHT, "MLO"),
    (Laterality.LEFT, "MLO"),
)
"""The four views of a screening examination, in hanging order (PS3.17 Y.4)."""
