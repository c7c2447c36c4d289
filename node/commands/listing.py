"""What the commands that list have in common: a table, JSON or CSV, and what was left out."""

import csv
import io
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from node.commands.options import make_console, print_json, print_view

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Row = TypeVar("Row")
Word = TypeVar("Word", bound=StrEnum)
Cell = str | int | float | datetime | None
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes what begins so, and a peer may give itself any AE title."""

CSVOption = Annotated[
    bool,
    typer.Option(
        "--csv", help="Print CSV (RFC 4180) with a line of headings instead of a table; UTC."
    ),
]


class Form(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def form_of(*, as_json: bool, as_csv: bool) -> Form:
    """Say which form is asked for.

    Raises
    ------
    typer.BadParameter
        If two are.
    """
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv cannot be given together")
    if as_json:
        return Form.JSON
    return Form.CSV if as_csv else Form.TABLE


def print_list(
    rows: Sequence[Row],
    form: Form,
    *,
    plural: str,
    total: int,
    columns: Mapping[str, Callable[[Row], Cell]],
    table: "Callable[[Sequence[Row], Console], RenderableType]",
    to_see_more: str = "--limit shows more",
) -> None:
    """Print rows in the form that is asked for; none is no failure.

    Parameters
    ----------
    rows
        Those that are shown.
    form
        Of a table and CSV standard error says what is not shown; JSON has the total.
    plural
        What the rows are; in the JSON document they stand under it.
    total
        How many there are altogether.
    columns
        Headings of the CSV, each with what gives its cell.
    table
        Makes the table, of one row or more.
    to_see_more
        What to do if there are more than are shown.
    """
    if form is Form.JSON:
        print_json({"total": total, plural: rows})
        return
    if form is Form.CSV:
        typer.echo(as_csv(rows, columns), nl=False)
    elif rows:
        print_view(lambda console: table(rows, console))
    else:
        typer.echo(f"No {plural}.", err=True)
    if total > len(rows):
        typer.echo(f"{len(rows)} of {total} {plural}; {to_see_more}.", err=True)


def as_csv(rows: Sequence[Row], columns: Mapping[str, Callable[[Row], Cell]]) -> str:
    """Give rows as RFC 4180 has them: a line of headings, CRLF at the end of each line.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value(row)) for value in columns.values()])
    return lines.getvalue()


def _cell(value: Cell) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA_SIGNS):
        return f"'{value}"
    return value


def read_words(texts: Sequence[str] | None, words: type[Word], *, option: str) -> tuple[Word, ...]:
    """Read words of a closed list.

    Raises
    ------
    typer.BadParameter
        As `require_known`.
    """
    require_known(texts, [word.value for word in words], option=option)
    return tuple(words(text) for text in texts or ())


def require_known(texts: Sequence[str] | None, known: Sequence[str], *, option: str) -> None:
    """Refuse a word that is none of those that are known.

    Raises
    ------
    typer.BadParameter
        For the first such, with the one that is spelled most like it.
    """
    for text in texts or ():
        if text not in known:
            close = get_close_matches(text.lower(), known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise typer.BadParameter(
                f"Expected one of {', '.join(known)}; found {text!r}.{hint}",
                param_hint=option,
            )


def require_terminal(option: str, *, instead: str) -> None:
    """Refuse an option that only a person at a terminal has something of.

    Raises
    ------
    typer.BadParameter
        If standard output is a file or a pipe.
    """
    if not sys.stdout.isatty():
        raise typer.BadParameter(f"Expected a terminal; {instead}", param_hint=option)


def watch(view: "Callable[[Console], RenderableType]", *, every_s: float) -> NoReturn:
    """Show what `view` gives, anew every `every_s`, until Ctrl+C; then the screen is as before."""
    from rich.live import Live

    console = make_console()
    with Live(view(console), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every_s)
            live.update(view(console), refresh=True)
