"""``python -m training``: the command line, a line for each command."""

import logging

import typer

from training.commands import data_sets, images, results, runs
from training.commands.options import EXIT_CODES, PROGRAM, errors_as_exit_codes

app = typer.Typer(
    name=PROGRAM,
    help="From a folder of mammograms to weights that a node can load. Research software, not for "
    "diagnostic use.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command(epilog=data_sets.NAMES)(data_sets.inspect)
app.command()(images.convert)
app.command(epilog=data_sets.NAMES)(images.patches)
app.command()(runs.preview)
app.command()(runs.fit)
app.command()(results.evaluate)
app.command()(results.compare)
app.command()(results.export)
app.command()(results.reference)


def main() -> None:
    """Run the command line; an error that was raised on purpose ends it with one line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    with errors_as_exit_codes():
        app(prog_name=PROGRAM)
