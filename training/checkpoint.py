"""What is kept of a stage after each epoch, so that it can go on from there.

One file decides: ``epochs.json``, written last. The state that it speaks of has the number of its
epoch in its name, so that a process that ended between two writes left nothing that does not fit.
"""

from pathlib import Path

import keras
from pydantic import BaseModel, ConfigDict

from training.candidates import save_weights
from training.whole_file import whole_file

MOVING_AVERAGE = "moving average"
_RECORD_FILE = "epochs.json"


class _Record(BaseModel):
    """The epochs that are done, with their figures."""

    model_config = ConfigDict(extra="forbid")

    is_done: bool = False
    epochs: list[dict[str, float]] = []


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Keeps weights, optimizer and figures of each epoch; the last callback of all that matter.

    Keras' own ModelCheckpoint and BackupAndRestore write in place: a file that a full disk cut
    short would be in the place of a good one.

    Parameters
    ----------
    folder
        Of the stage.
    averaged_epochs
        How many of the last epochs' weights are kept.
    """

    def __init__(self, folder: Path, *, averaged_epochs: int) -> None:
        super().__init__()
        self.folder = folder
        self._averaged_epochs = averaged_epochs
        file = folder / _RECORD_FILE
        self._record = _Record.model_validate_json(file.read_text()) if file.exists() else _Record()

    @property
    def epochs(self) -> list[dict[str, float]]:
        """Figures of each epoch that is done."""
        return self._record.epochs

    @property
    def is_done(self) -> bool:
        """Whether the stage came to its end."""
        return self._record.is_done

    def weights_file(self, candidate: str) -> Path:
        """File of a candidate's weights.

        Parameters
        ----------
        candidate
            As in ``epoch 3`` or ``epoch 3, moving average``.
        """
        return self.folder / f"{candidate.replace(', ', '-').replace(' ', '-')}.weights.h5"

    def restore(self, model: keras.Model) -> None:
        """Give a network and its optimizer the state after the last whole epoch.

        Parameters
        ----------
        model
            Compiled, its optimizer built.
        """
        model.load_weights(self._state_file(len(self.epochs)))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the epoch."""
        save_weights(self.model, self.weights_file(f"epoch {epoch + 1}"))
        with whole_file(self._state_file(epoch + 1)) as unfinished:
            self.model.save_weights(unfinished)
        figures = {name: float(value) for name, value in (logs or {}).items()}
        is_done = epoch + 1 == self.params["epochs"] or bool(self.model.stop_training)
        record = _Record(is_done=is_done, epochs=[*self.epochs[:epoch], figures])
        with whole_file(self.folder / _RECORD_FILE) as unfinished:
            unfinished.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        self._record = record
        self._remove_what_is_no_longer_needed()

    def candidates(self) -> dict[str, tuple[Path, float]]:
        """Every candidate of the epochs that are done, its file and its image AUC on validation.

        Only the best one's file, and those of the last epochs, are still there.
        """
        found = {}
        for number, figures in enumerate(self.epochs, start=1):
            for name, figure in (
                (f"epoch {number}", "val_auc"),
                (f"epoch {number}, {MOVING_AVERAGE}", "val_auc_of_average"),
            ):
                if figure in figures:
                    found[name] = (self.weights_file(name), figures[figure])
        return found

    def last_files(self) -> list[Path]:
        """Weights of the last epochs, to be averaged."""
        count = min(self._averaged_epochs, len(self.epochs))
        numbers = range(len(self.epochs) - count + 1, len(self.epochs) + 1)
        return [self.weights_file(f"epoch {number}") for number in numbers]

    def _state_file(self, epochs: int) -> Path:
        """Network and optimizer after so many epochs."""
        return self.folder / f"state-{epochs}.weights.h5"

    def _remove_what_is_no_longer_needed(self) -> None:
        """Leave the state, the best candidate and the last epochs."""
        candidates = self.candidates()
        best = max(candidates, key=lambda name: candidates[name][1])
        needed = {candidates[best][0], *self.last_files()}
        if not self.is_done:
            needed.add(self._state_file(len(self.epochs)))
        for file in self.folder.glob("*.weights.h5"):
            if file.name.startswith(("epoch-", "state-")) and file not in needed:
                file.unlink()
