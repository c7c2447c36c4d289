"""What a person sees of a stage: a bar for the batches of an epoch, a line for each epoch."""

import time

import keras
from rich.console import Console
from rich.progress import Progress

from training.progress import bar


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
            self._bar = bar(self._console)
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
