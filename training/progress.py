"""What a person sees of long work: a bar in a terminal, a line for each step elsewhere."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import keras
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
    with _bar(console) as bar:
        task = bar.add_task(title, total=total)
        for item in work:
            yield item
            bar.advance(task)


class EpochProgress(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Shows the batches of each epoch as a bar, and each finished epoch as a line.

    Parameters
    ----------
    title
        Of the stage.
    epochs
        At most.
    images_in_epoch
        For the speed.
    """

    def __init__(self, title: str, *, epochs: int, images_in_epoch: int) -> None:
        super().__init__()
        self._title = title
        self._epochs = epochs
        self._images_in_epoch = images_in_epoch
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._begun_at = 0.0
        self._trained_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the bar."""
        self._begun_at = time.monotonic()
        if self._console.is_terminal:
            self._bar = _bar(self._console)
            self._bar.start()
            title = f"{self._title}, epoch {epoch + 1} of {self._epochs}"
            self._bar.add_task(title, total=self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar."""
        self._trained_s = time.monotonic() - self._begun_at
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Say what the epoch came to."""
        self._stop()
        figures = logs or {}
        speed = self._images_in_epoch / max(self._trained_s, 1e-9)
        self._console.print(
            f"{self._title}, epoch {epoch + 1} of {self._epochs}: "
            + ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            + f"; {speed:.1f} images/s"
        )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Take the bar away."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _bar(console: Console) -> Progress:
    """Title, bar, counts, time left; gone when it is full."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
