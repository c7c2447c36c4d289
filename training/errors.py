"""The errors of training, one tree, grouped by what the person at the keyboard does.

::

    TrainingError
    ├── SettingsError   correct a setting or the command line; nothing was begun
    ├── DataSetError    correct or fetch the images or their table
    └── RunError        look at the run's folder; what was kept of the run is whole

Weights that do not fit are a `model.errors.WeightsError`. No message holds an attribute of a
patient; a data set's own pseudonym is none.
"""


class TrainingError(Exception):
    """Root of everything that `training` raises on purpose."""


class SettingsError(TrainingError):
    """A setting is unknown, or holds a value that is not accepted.

    Parameters
    ----------
    key
        As in ``stages[0].epochs``.
    found
        What it held, and where.
    accepted
        What would be accepted.
    nearest
        The known key that is spelled most like `key`, if the key is unknown.
    """

    def __init__(self, *, key: str, found: str, accepted: str, nearest: str | None = None) -> None:
        hint = f" Did you mean {nearest}?" if nearest else ""
        super().__init__(f"{key}: found {found}; accepted: {accepted}.{hint}")
        self.key = key
        self.nearest = nearest


class _FactsError(TrainingError):
    """Builds one message from where, what was expected, what was found and what to do."""

    def __init__(self, *, where: object, expected: str, found: str, to_do: str) -> None:
        self.found = found
        super().__init__(f"{where}: expected {expected}; found {found}. {to_do}")


class DataSetError(_FactsError):
    """A data set cannot be read, or not for what is asked of it.

    Parameters
    ----------
    where
        The file (with its line), the folder, or the data set's name.
    expected
        What had to be there.
    found
        What was there.
    to_do
        A whole sentence: what a person can do about it.
    """


class RunError(_FactsError):
    """The folder of a run cannot be used, or not for what is asked of it.

    Parameters
    ----------
    where
        The file or the folder.
    expected
        What had to be there, or had to be possible.
    found
        What was there, or happened.
    to_do
        A whole sentence: what a person can do about it.
    """
