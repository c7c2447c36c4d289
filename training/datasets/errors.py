"""Errors that several readers raise, and how they name what they found."""

from collections.abc import Sequence
from pathlib import Path

from training.errors import DataSetError


def wrong_folder(folder: Path, *, expected: str, to_do: str) -> DataSetError:
    """Build the error of a folder that does not hold a data set's layout.

    Parameters
    ----------
    folder
        That was given; need not exist.
    expected
        What the layout has there.
    to_do
        Where the right folder comes from.

    Returns
    -------
    error
        Names what lies in the folder, a few entries of it.
    """
    if folder.is_dir():
        found = some([path.name for path in sorted(folder.iterdir())])
    else:
        found = "no folder"
    return DataSetError(where=folder, expected=expected, found=found, to_do=to_do)


def some(names: Sequence[str], count: int = 5) -> str:
    """Write out the first few of many names.

    Parameters
    ----------
    names
        Any number of them.
    count
        How many are written out.

    Returns
    -------
    text
        Such as ``a, b and 17 more``; ``nothing`` where there are none.
    """
    shown = ", ".join(names[:count])
    rest = len(names) - count
    return (f"{shown} and {rest} more" if rest > 0 else shown) or "nothing"
