"""Every data set that can be named in the settings, and its reader."""

from collections.abc import Callable, Mapping
from pathlib import Path

from training.datasets import DataSet, rsna
from training.errors import SettingsError

READERS: Mapping[str, Callable[[Path], DataSet]] = {"rsna": rsna.read}
"""Reader of a data set's folder, by the data set's short name."""


def read_data_set(name: str, folder: Path) -> DataSet:
    """Read the table of a data set.

    Parameters
    ----------
    name
        A key of `READERS`.
    folder
        Where the data set lies.

    Returns
    -------
    data_set
        Its table; no image has been read.

    Raises
    ------
    SettingsError
        If there is no data set of that name.
    DataSetError
        If the folder does not hold it.
    """
    if name not in READERS:
        raise SettingsError(
            key="data_set", found=repr(name), accepted="one of " + ", ".join(sorted(READERS))
        )
    return READERS[name](folder)
