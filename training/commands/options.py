"""What the commands have in common: options, exit codes, and how an error ends a command."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer

from model.errors import ModelError, WeightsError
from training.datasets.registry import READERS
from training.errors import DataSetError, SettingsError, TrainingError
from training.settings import TrainingSettings, read_settings

PROGRAM = "python -m training"
EXIT_CODES = (
    "Exit codes: 0 done, 1 not done, 2 command line or settings not accepted, 3 the data set "
    "cannot be used, 4 weights cannot be used, 130 interrupted."
)
DEFAULT_CONFIG = Path("config/training.toml")


class ExitCode(IntEnum):
    """How a command ends; 0 only if all that was asked for was done."""

    SUCCESS = 0
    """Done."""
    FAILURE = 1
    """Not done; standard error says why."""
    USAGE = 2
    """The command line or a setting is not accepted."""
    DATA_SET = 3
    """Images or their table are missing, broken or unfit."""
    WEIGHTS = 4
    """The weights cannot be used."""
    INTERRUPTED = 130
    """Ended with Ctrl+C."""


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"Settings of the run (TOML). Without it {DEFAULT_CONFIG}, where that is, else the "
        "defaults.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, as in batch_size=16 or augmentation.zoom=0.1; repeatable.",
        show_default=False,
    ),
]
DataSetOption = Annotated[
    str | None,
    typer.Option(
        "--data-set", metavar="NAME", help="Which data set it is, as in rsna.", show_default=False
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the data set.", show_default=False),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the run.", show_default=False),
]
StartWeightsOption = Annotated[
    str | None,
    typer.Option(
        "--start-weights",
        metavar="FILE",
        help="'imagenet', 'none', or weights of EfficientNetV2B0 without top.",
        show_default=False,
    ),
]


def settings_of(
    config: Path | None,
    changes: list[str] | None = None,
    *,
    data_set: str | None = None,
    data: Path | None = None,
    out: Path | None = None,
    start_weights: str | None = None,
) -> TrainingSettings:
    """Read the settings that a command's options name.

    Parameters
    ----------
    config, changes, data_set, data, out, start_weights
        As the options of the same names gave them.

    Raises
    ------
    SettingsError
        If a setting is not accepted.
    """
    file = config
    if config is None and DEFAULT_CONFIG.exists():
        file = DEFAULT_CONFIG
    if data is None and data_set is not None and data_set in READERS:
        data = READERS[data_set].default_folder
    return read_settings(
        file,
        changes=changes or (),
        data_set=data_set,
        data_folder=data,
        out_folder=out,
        start_weights=start_weights,
    )


def load_keras() -> None:
    """Import Keras without what its back end's C++ side tells of processors and absent GPUs.

    A command calls this before it imports what needs Keras; it takes seconds.
    """
    # Read by TensorFlow when it is loaded; some lines come whatever it says.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras

        keras.ops.zeros(1)  # looks for devices
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Turn an error that was raised on purpose, or by a file, into one line and an exit code.

    Raises
    ------
    SystemExit
        In place of the error.
    """
    try:
        yield
    except (TrainingError, ModelError) as error:
        typer.echo(f"training: {error}", err=True)
        raise SystemExit(_exit_code_for(error)) from None
    except BrokenPipeError:
        # The reader, as in `| head`, has enough. Nothing more can be flushed at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.FAILURE) from None
    except OSError as error:
        typer.echo(f"training: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        raise SystemExit(ExitCode.FAILURE) from None


def _exit_code_for(error: TrainingError | ModelError) -> ExitCode:
    """Say how a command ends that ran into `error`."""
    if isinstance(error, SettingsError):
        return ExitCode.USAGE
    if isinstance(error, DataSetError):
        return ExitCode.DATA_SET
    if isinstance(error, WeightsError):
        return ExitCode.WEIGHTS
    return ExitCode.FAILURE
