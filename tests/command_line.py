"""``mammonode`` for tests: the real entry point, in this process."""

import sys
from dataclasses import dataclass

import pytest

from node.cli import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """Run a command as the console script does."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mammonode", *arguments])
        with pytest.raises(SystemExit) as ending:
            main()
    printed = capsys.readouterr()
    code = ending.value.code
    return Ended(code=code if isinstance(code, int) else 0, out=printed.out, err=printed.err)
