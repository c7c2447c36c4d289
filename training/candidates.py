"""What a stage offers, and which of it validation prefers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from training.whole_file import whole_file

CHOICE_FILE = "choice.json"
CHOSEN_WEIGHTS_FILE = "chosen.weights.h5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which candidate the validation split preferred, among how many."""

    candidate: str
    validation_image_auc: float
    candidates: dict[str, float]
    """Image AUC on validation of each."""


def choose(
    model: keras.Model,
    files: Mapping[str, tuple[Path, float]],
    last: Sequence[Path],
    measure: Callable[[keras.Model], float],
) -> Choice:
    """Take the candidate with the best image AUC on validation.

    Parameters
    ----------
    model
        Has the chosen weights afterwards.
    files
        Weights of each candidate that has been measured, and its figure.
    last
        Weights of the last epochs: their average is one more candidate, if there are two or more.
    measure
        Image AUC on validation.

    Returns
    -------
    choice
        Of all of them.
    """
    figures = {name: figure for name, (_, figure) in files.items()}
    average = f"average of the last {len(last)} epochs"
    if len(last) > 1:
        average_weights(model, last)
        figures[average] = measure(model)
    best = max(figures, key=lambda name: figures[name])
    if best != average:
        load_weights(model, files[best][0])
    return Choice(candidate=best, validation_image_auc=figures[best], candidates=figures)


def average_weights(model: keras.Model, files: Sequence[Path]) -> None:
    """Set a model to the average of several weights files of the same run.

    Parameters
    ----------
    model
        Takes the average.
    files
        At least one.
    """
    total = [np.zeros(weight.shape, np.float64) for weight in model.get_weights()]
    for file in files:
        load_weights(model, file)
        for place, weight in enumerate(model.get_weights()):
            total[place] += weight
    model.set_weights([weight / len(files) for weight in total])


def save_weights(model: keras.Model, file: Path) -> None:
    """Save the weights of a network, and not its optimizer's.

    Parameters
    ----------
    model
        Compiled or not.
    file
        Ends in ``.weights.h5``; is whole, or as it was.

    Raises
    ------
    RunError
        If the disk does not take it.
    """
    with whole_file(file) as unfinished:
        _without_optimizer(model).save_weights(unfinished)


def load_weights(model: keras.Model, file: Path) -> None:
    """Load what `save_weights` wrote.

    Parameters
    ----------
    model
        Compiled or not; its optimizer is left as it is.
    file
        Of a network with the same classes.
    """
    _without_optimizer(model).load_weights(file)


def _without_optimizer(model: keras.Model) -> keras.Model:
    """Give the same layers as a network that was never compiled."""
    return keras.Model(model.inputs, model.outputs, name=model.name)


def write_choice(choice: Choice, folder: Path) -> None:
    """Write a choice down.

    Parameters
    ----------
    choice
        Made.
    folder
        Where its weights already are.
    """
    with whole_file(folder / CHOICE_FILE) as unfinished:
        unfinished.write_text(json.dumps(asdict(choice), indent=2) + "\n", encoding="utf-8")


def read_choice(folder: Path) -> Choice | None:
    """Read a choice that was made before; None if none was.

    Parameters
    ----------
    folder
        Of a stage or a run.
    """
    file = folder / CHOICE_FILE
    return Choice(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None
