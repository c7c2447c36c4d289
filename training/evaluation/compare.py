"""Two evaluations of the same images: how far they differ, and whether chance explains it.

The same resamplings of patients are drawn for both, so that what is hard for both cancels out: the
interval of a difference is narrower than the intervals of what differs.
"""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from model.manifest import Interval
from training.errors import RunError
from training.evaluation.bootstrap import interval
from training.evaluation.figures import TITLES
from training.evaluation.levels import LevelName, levels
from training.evaluation.measure import level_statistics
from training.evaluation.report import Evaluation, read_evaluation
from training.evaluation.scores import ScoreTable, read_scores

_SEED = 0


class Difference(BaseModel):
    """One figure of one level, in both evaluations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: LevelName
    figure: str
    """A key of `training.evaluation.figures.TITLES`."""
    one: float | None
    other: float | None
    difference: Interval | None
    """Other less one; None where either does not define the figure."""
    draws_above_zero: float | None
    """Share of the resamplings in which the other's figure is the larger."""


class Comparison(BaseModel):
    """All differences of two evaluations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one: str
    other: str
    data_set: str
    patients: int
    images: int
    differences: tuple[Difference, ...]


def compare(one: Path, other: Path) -> Comparison:
    """Compare two evaluations of the same images by a paired bootstrap over patients.

    Parameters
    ----------
    one, other
        Folders of evaluations; each keeps its own roll-up and operating point.

    Returns
    -------
    comparison
        Every figure by image, breast and patient, other less one.

    Raises
    ------
    RunError
        If a folder holds no evaluation, or the two are not of the same images with the same
        labels.
    """
    first, second = read_evaluation(one), read_evaluation(other)
    tables = read_scores(one), read_scores(other)
    table, other_table = _same_rows(*tables, one, other)
    return Comparison(
        one=_name(first),
        other=_name(second),
        data_set=first.data_set,
        patients=len(set(table.patient_ids)),
        images=len(table.images),
        differences=tuple(_differences(first, table, second, other_table)),
    )


def _name(evaluation: Evaluation) -> str:
    weights = evaluation.weights
    return f"{weights.name} {weights.version} ({weights.sha256[:8]}), {evaluation.split}"


def _differences(
    first: Evaluation, table: ScoreTable, second: Evaluation, other_table: ScoreTable
) -> list[Difference]:
    """Compare figure by figure, on the same draws."""
    found = []
    for level, other_level in zip(
        levels(table, first.roll_up), levels(other_table, second.roll_up), strict=True
    ):
        values = level_statistics(level, first.operating_point.threshold, seed=_SEED)
        others = level_statistics(other_level, second.operating_point.threshold, seed=_SEED)
        for figure in (name for name in TITLES if name in values):
            differences = others[figure] - values[figure]
            drawn = differences[1:][np.isfinite(differences[1:])]
            found.append(
                Difference(
                    level=level.name,
                    figure=figure,
                    one=_finite(float(values[figure][0])),
                    other=_finite(float(others[figure][0])),
                    difference=interval(differences),
                    draws_above_zero=float((drawn > 0).mean()) if drawn.size else None,
                )
            )
    return found


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _same_rows(
    table: ScoreTable, other_table: ScoreTable, one: Path, other: Path
) -> tuple[ScoreTable, ScoreTable]:
    """Bring both tables into one order, and refuse tables that are not of the same images."""
    keys, other_keys = (
        list(zip(each.images, each.patient_ids, each.breasts, each.labels, strict=True))
        for each in (table, other_table)
    )
    names, other_names = set(table.images), set(other_table.images)
    if names != other_names:
        shared = names & other_names
        raise RunError(
            where=f"{one} and {other}",
            expected="evaluations of the same images",
            found=f"{len(names)} and {len(other_names)} images, {len(shared)} of them in both",
            to_do="Evaluate both on the same split of the same data set; images in which one "
            "preprocessing finds no breast are in neither table.",
        )
    if set(keys) != set(other_keys):
        raise RunError(
            where=f"{one} and {other}",
            expected="the same patient, breast and label for each image",
            found=f"others for {len(set(keys) - set(other_keys))} images",
            to_do="Evaluate both with the same version of the software.",
        )
    place = {name: row for row, name in enumerate(other_table.images)}
    order = [place[name] for name in table.images]
    return table, other_table.taken(order)
