"""``inspect``: what a data set holds, and what is wrong with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from training.commands.options import ExitCode
from training.datasets import Label
from training.datasets.registry import READERS, read_data_set
from training.inspection import Count, Inspection
from training.inspection import inspect as look

NAMES = "\n\n".join(f"`{name}`: {reader.layout}." for name, reader in READERS.items())
_SHOWN = 5


def inspect(
    data_set: Annotated[
        str, typer.Argument(metavar="DATASET", help="A name below; several with + between them.")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="Its folder; without it, the default.", show_default=False
        ),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="PNG", help="Draw a contact sheet.", show_default=False),
    ] = None,
    own_split: Annotated[
        bool, typer.Option("--own-split", help="Split by hash, whatever the publisher's split is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Count images and patients, and look for missing and broken files, duplicates and leaks.

    Ends with 1 if anything has to be put right before training.
    """
    table = read_data_set(data_set, folder)
    inspection = look(table, keeps_published=not own_split)
    if sheet is not None:
        from training.data_set_sheet import write_data_set_sheet  # Pillow's fonts

        write_data_set_sheet(table, sheet, keeps_published=not own_split)
    if as_json:
        typer.echo(inspection.model_dump_json(indent=2))
    else:
        print_inspection(inspection, Console(highlight=False, soft_wrap=True))
        if sheet is not None:
            typer.echo(f"Contact sheet: {sheet}")
    if inspection.errors:
        raise typer.Exit(ExitCode.FAILURE)


def print_inspection(inspection: Inspection, console: Console) -> None:
    """Print what was found: tables with a rule in a terminal, plain columns elsewhere."""
    console.print(inspection.name, style="bold")
    console.print(f"Licence: {inspection.licence}")
    console.print(
        f"{inspection.all.images:,} images of {inspection.all.patients:,} patients, "
        f"{inspection.with_place_of_lesion:,} with the place of a lesion\n"
    )
    console.print(_split_table(inspection, console))
    for heading, counts in (
        ("Source", inspection.by_source),
        ("View", inspection.by_view),
        ("Density", inspection.by_density),
    ):
        if len(counts) > 1:
            console.print()
            console.print(_count_table(heading, counts, console))
    console.print()
    for note in inspection.notes:
        console.print(f"Note: {note}", style="yellow")
    _print_list(console, "No breast found", inspection.without_breast, "yellow")
    equal = [" = ".join(files) for files in inspection.duplicates]
    _print_list(console, "Same pixels, one split", equal, "yellow")
    _print_list(console, "Broken", inspection.broken, "red")
    for kind, what in inspection.problems.items():
        _print_list(console, kind.capitalize(), what, "red")
    _print_list(
        console, "LEAK, patient in two splits", inspection.patients_in_two_splits, "bold red"
    )
    equal = [" = ".join(files) for files in inspection.leaks]
    _print_list(console, "LEAK, same pixels", equal, "bold red")
    if inspection.errors:
        console.print("To put right before training:", style="bold red")
        for error in inspection.errors:
            console.print(f"  {error}")
    else:
        console.print("Nothing to put right.", style="green")


def _split_table(inspection: Inspection, console: Console) -> Table:
    """Images and patients of each split, by class."""
    used = [
        label.value
        for label in Label
        if any(row[label.value].images for row in inspection.by_split_and_label.values())
    ]
    table = _table(console, "Images (patients)", *(name.replace("_", " ") for name in used), "all")
    for split, row in inspection.by_split_and_label.items():
        # A patient can have images of several classes: the sum would count it twice.
        images = sum(count.images for count in row.values())
        table.add_row(split, *(_cell(row[name]) for name in used), f"{images:,}")
    return table


def _count_table(heading: str, counts: dict[str, Count], console: Console) -> Table:
    table = _table(console, heading, "images (patients)")
    for name, count in counts.items():
        table.add_row(name, _cell(count))
    return table


def _cell(count: Count) -> str:
    return f"{count.images:,} ({count.patients:,})" if count.images else "-"


def _table(console: Console, *headings: str) -> Table:
    table = Table(
        box=SIMPLE_HEAD if console.is_terminal else None,
        header_style="bold" if console.is_terminal else "",
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_edge=False,
    )
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def _print_list(console: Console, heading: str, names: Sequence[str], style: str) -> None:
    """Print how many there are, and the first few."""
    if not names:
        return
    console.print(f"{heading}: {len(names):,}", style=style)
    for name in names[:_SHOWN]:
        console.print(f"  {name}", markup=False)
    if len(names) > _SHOWN:
        console.print(f"  … and {len(names) - _SHOWN:,} more; --json has all")
