"""``mammonode`` for tests: the real entry point, in this process."""

import gc
import logging
import sys
from dataclasses import dataclass

import pydicom.config
import pytest

from node.cli import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def run(capture: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """Run a command as the console script does, and undo what it set for its whole process.

    Parameters
    ----------
    capture
        ``capsys``; ``capfd`` where libraries write past Python.
    arguments
        As on the command line.
    """
    capture.readouterr()
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    levels = [logger.level for logger in loggers]
    validation = pydicom.config.settings
    thresholds = gc.get_threshold()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mammonode", *arguments])
        patch.setattr(validation, "reading_validation_mode", validation.reading_validation_mode)
        patch.setattr(validation, "writing_validation_mode", validation.writing_validation_mode)
        with pytest.raises(SystemExit) as ending:
            main()
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    logging.captureWarnings(False)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    printed = capture.readouterr()
    code = ending.value.code
    return Ended(code=code if isinstance(code, int) else 0, out=printed.out, err=printed.err)
