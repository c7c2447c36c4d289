"""The table of scored images: what every figure is made from, kept beside the figures as CSV."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from training.datasets import Label, LabelledImage
from training.errors import RunError

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Text = TypeVar("Text", bound=str)

SCORES_FILE = "scores.csv"
_FACTS = ("image", "patient_id", "breast", "label", "view_position", "density", "bi_rads", "source")
_NUMBERS = ("score", "control")
_OUTPUT = "output_"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoreTable:
    """Scored images, one row each; a fact that the data set does not state is empty.

    Attributes
    ----------
    images
        Path of each image inside its data set.
    patient_ids, breasts
        The data set's pseudonym, and which of the patient's breasts the image shows.
    labels
        What is known of each image.
    view_positions, densities, bi_rads, sources
        Facts that figures are divided by.
    classes
        What the units of the softmax stand for; the last is cancer.
    outputs
        Shape (images, classes): the softmax, not calibrated.
    scores
        Shape (images,): AI malignancy scores in (0, 1).
    control
        Shape (images,): the control's probability of cancer, NaN where there is none.
    """

    images: tuple[str, ...]
    patient_ids: tuple[str, ...]
    breasts: tuple[str, ...]
    labels: tuple[Label, ...]
    view_positions: tuple[str, ...]
    densities: tuple[str, ...]
    bi_rads: tuple[str, ...]
    sources: tuple[str, ...]
    classes: tuple[str, ...]
    outputs: Float64Array
    scores: Float64Array
    control: Float64Array

    @property
    def is_cancer(self) -> BoolArray:
        """Shape (images,)."""
        return np.array([label is Label.MALIGNANT for label in self.labels], np.bool_)

    def taken(self, rows: Sequence[int]) -> "ScoreTable":
        """Take some rows, in the order that they are named.

        Parameters
        ----------
        rows
            Places in this table.

        Returns
        -------
        table
            With those rows.
        """

        def texts(column: tuple[Text, ...]) -> tuple[Text, ...]:
            return tuple(column[row] for row in rows)

        places = np.asarray(rows, np.intp)
        return ScoreTable(
            images=texts(self.images),
            patient_ids=texts(self.patient_ids),
            breasts=texts(self.breasts),
            labels=texts(self.labels),
            view_positions=texts(self.view_positions),
            densities=texts(self.densities),
            bi_rads=texts(self.bi_rads),
            sources=texts(self.sources),
            classes=self.classes,
            outputs=self.outputs[places],
            scores=self.scores[places],
            control=self.control[places],
        )


def score_table(
    images: Sequence[LabelledImage],
    *,
    folder: Path,
    breasts: Sequence[str],
    classes: tuple[str, ...],
    outputs: Float64Array,
    scores: Float64Array,
    control: Float64Array,
) -> ScoreTable:
    """Put images and their scores side by side.

    Parameters
    ----------
    images
        Rows of a data set.
    folder
        Of the data set: what is not part of an image's name in the table.
    breasts, classes, outputs, scores, control
        As `ScoreTable` has them.

    Returns
    -------
    table
        In the order of `images`.
    """
    return ScoreTable(
        images=tuple(_inside(image.path, folder) for image in images),
        patient_ids=tuple(image.patient_id for image in images),
        breasts=tuple(breasts),
        labels=tuple(image.label for image in images),
        view_positions=tuple(image.view_position or "" for image in images),
        densities=tuple(image.density or "" for image in images),
        bi_rads=tuple(image.bi_rads or "" for image in images),
        sources=tuple(image.source for image in images),
        classes=classes,
        outputs=outputs,
        scores=scores,
        control=control,
    )


def write_scores(table: ScoreTable, file: Path) -> None:
    """Write a table as CSV; numbers come back as they were.

    Parameters
    ----------
    table
        Of one evaluation.
    file
        Is written.
    """
    facts = (
        table.images,
        table.patient_ids,
        table.breasts,
        table.labels,
        table.view_positions,
        table.densities,
        table.bi_rads,
        table.sources,
    )
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow([*_FACTS, *_NUMBERS, *(_OUTPUT + name for name in table.classes)])
        for row, texts in enumerate(zip(*facts, strict=True)):
            numbers = (table.scores[row], table.control[row], *table.outputs[row])
            writer.writerow([*texts, *(repr(float(number)) for number in numbers)])


def read_scores(folder: Path) -> ScoreTable:
    """Read the table that an evaluation left in its folder.

    Parameters
    ----------
    folder
        Of the evaluation.

    Returns
    -------
    table
        As it was written.

    Raises
    ------
    RunError
        If the table is missing, a column is missing, or a value is not one that the column can
        hold; says which.
    """
    file = folder / SCORES_FILE
    try:
        with file.open(newline="", encoding="utf-8") as source:
            reader = csv.DictReader(source)
            columns = tuple(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise RunError(
            where=file,
            expected=f"the folder of an evaluation, with its {SCORES_FILE}",
            found=str(error.strerror),
            to_do="Name the folder that `evaluate` printed.",
        ) from error
    missing = [name for name in (*_FACTS, *_NUMBERS) if name not in columns]
    classes = tuple(name.removeprefix(_OUTPUT) for name in columns if name.startswith(_OUTPUT))
    if missing or len(classes) < 2:
        raise RunError(
            where=file,
            expected="the columns " + ", ".join((*_FACTS, *_NUMBERS, _OUTPUT + "…")),
            found=", ".join(columns) or "none",
            to_do="Evaluate again.",
        )

    def column(name: str) -> tuple[str, ...]:
        return tuple(row[name] for row in rows)

    try:
        return ScoreTable(
            images=column("image"),
            patient_ids=column("patient_id"),
            breasts=column("breast"),
            labels=tuple(Label(value) for value in column("label")),
            view_positions=column("view_position"),
            densities=column("density"),
            bi_rads=column("bi_rads"),
            sources=column("source"),
            classes=classes,
            outputs=np.array(
                [[float(row[_OUTPUT + name]) for name in classes] for row in rows], np.float64
            ).reshape(len(rows), len(classes)),
            scores=np.array([float(value) for value in column("score")], np.float64),
            control=np.array([float(value) for value in column("control")], np.float64),
        )
    except (ValueError, TypeError) as error:
        raise RunError(
            where=file, expected="it as it was written", found=str(error), to_do="Evaluate again."
        ) from error


def _inside(path: Path, folder: Path) -> str:
    """Name an image by its path inside the data set."""
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()
