"""The errors of the model, one tree, grouped by what the catcher does.

::

    ModelError
    ├── PixelDataError   this image cannot be analysed; the rest of the study goes on
    └── WeightsError     these weights cannot be used; stop before any image is scored
"""

from enum import StrEnum


class PixelDataCause(StrEnum):
    """What is wrong with an image's pixels, for whoever decides what becomes of the image."""

    NO_BREAST = "no breast"
    ALL_ZERO = "all zero"
    MULTI_FRAME = "more than one frame"
    NOT_GREYSCALE = "not one grey value for each pixel"
    UNDECODABLE = "cannot be decoded"
    """Also: absent, short, long, or more than any mammogram has."""


class ModelError(Exception):
    """Root of everything that `model` raises on purpose."""


class _FactsError(ModelError):
    """Builds one message from what was expected, what was found and what to do."""

    def __init__(self, *, expected: str, found: str, to_do: str = "") -> None:
        self.expected = expected
        self.found = found
        self.to_do = to_do
        message = f"expected {expected}; found {found}"
        super().__init__(f"{message}. {to_do}" if to_do else message)


class PixelDataError(_FactsError):
    """The pixels of one image are not what a mammogram's pixels can be.

    Parameters
    ----------
    expected
        What the pixels had to be, with attribute names and tags where there are any.
    found
        What they were. Never a patient's name, ID, birth date or accession number.
    to_do
        What a person can do about it; empty where there is nothing to do.
    cause
        The same for a program; what preprocessing finds is that there is no breast.
    """

    def __init__(
        self,
        *,
        expected: str,
        found: str,
        to_do: str = "",
        cause: PixelDataCause = PixelDataCause.NO_BREAST,
    ) -> None:
        super().__init__(expected=expected, found=found, to_do=to_do)
        self.cause = cause


class WeightsError(_FactsError):
    """Weights or their manifest are missing, damaged or made for something else.

    Parameters
    ----------
    expected
        What the file or the field had to be.
    found
        What it was: the path, the value, the digest.
    to_do
        What a person can do about it.
    """
