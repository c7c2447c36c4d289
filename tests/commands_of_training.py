"""``python -m training`` for tests: the real entry point, in this process."""

import sys

import pytest

from training.cli import main


def run(*arguments: str) -> int:
    """Run a command; gives its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["training", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)
