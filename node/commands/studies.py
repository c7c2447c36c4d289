"""``mammonode studies``: the study log, and what a person can ask to be done again."""

import typer

app = typer.Typer(
    help="Look at the study log, and have studies analysed or delivered again.",
    no_args_is_help=True,
)


@app.callback()
def studies() -> None:
    """Look at the study log, and have studies analysed or delivered again."""
