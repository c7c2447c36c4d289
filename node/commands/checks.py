"""``mammonode check``: what was looked at, one line each."""

from collections.abc import Iterator
from pathlib import Path

import typer

from node.check import Check, Verdict, run_checks
from node.errors import SettingsError
from node.settings_loading import load_settings

_COLOURS = {
    Verdict.OK: typer.colors.GREEN,
    Verdict.WARN: typer.colors.YELLOW,
    Verdict.FAIL: typer.colors.RED,
}


def checks_of(config: Path | None) -> Iterator[Check]:
    """Check everything; settings that cannot be read are the first finding, and the last."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        yield Check(name="settings", verdict=Verdict.FAIL, found=str(error))
        return
    yield from run_checks(settings)


def print_check(check: Check) -> None:
    """Print one line: the verdict, what was looked at, what was found, and what to do."""
    verdict = typer.style(f"{check.verdict.value:<4}", fg=_COLOURS[check.verdict], bold=True)
    to_do = f". {check.to_do}" if check.to_do else ""
    typer.echo(f"{verdict}  {check.name}: {check.found}{to_do}")
