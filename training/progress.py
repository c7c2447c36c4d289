"""What a person sees of long work: a bar in a terminal, a line for each step elsewhere."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def counted(work: Iterable[T], title: str, total: int) -> Iterator[T]:
    """Give the items of some work one by one, and show how far it is.

    Parameters
    ----------
    work
        Iterated over once.
    title
        What is done.
    total
        How many items there will be.

    Yields
    ------
    item
        As `work` has it.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{title}: {total}", highlight=False)
        yield from work
        return
    with bar(console) as shown:
        task = shown.add_task(title, total=total)
        for item in work:
            yield item
            shown.advance(task)


def bar(console: Console) -> Progress:
    """Make a bar: title, counts, time left; gone when it is full.

    Parameters
    ----------
    console
        That it is drawn on.

    Returns
    -------
    progress
        To be started, and stopped at the end.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
