"""From images to breasts to patients, by the rules that a manifest carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from model.manifest import RollUp, RollUpRule
from training.evaluation.scores import ScoreTable

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


class LevelName(StrEnum):
    """What a row is."""

    IMAGE = "image"
    BREAST = "breast"
    PATIENT = "patient"
    """Stands for the study: no data set here has two studies of one patient in one split."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """Scored rows of one level.

    Attributes
    ----------
    name
        What a row is.
    patient_ids
        Whose each row is.
    is_cancer
        Shape (rows,): whether one image of the row is labelled so.
    scores
        Shape (rows,): rolled up by the manifest's rules.
    outputs
        Shape (rows, classes): the softmax; of a breast its images' mean, of a patient her breasts'.
    truth
        Shape (rows,): place of the row's gravest label among the classes; None if the network has
        two classes, or a label is none of its classes.
    """

    name: LevelName
    patient_ids: tuple[str, ...]
    is_cancer: BoolArray
    scores: Float64Array
    outputs: Float64Array
    truth: IntArray | None


def levels(table: ScoreTable, rules: RollUp) -> tuple[Level, Level, Level]:
    """Roll scored images up.

    Parameters
    ----------
    table
        Of one evaluation.
    rules
        The manifest's.

    Returns
    -------
    by_image, by_breast, by_patient
        In the order of the table, then in sorted order.
    """
    by_image = Level(
        name=LevelName.IMAGE,
        patient_ids=table.patient_ids,
        is_cancer=table.is_cancer,
        scores=table.scores,
        outputs=table.outputs,
        truth=_truth(table),
    )
    by_breast = _rolled_up(by_image, table.breasts, LevelName.BREAST, rules.views_to_breast)
    by_patient = _rolled_up(
        by_breast, by_breast.patient_ids, LevelName.PATIENT, rules.breasts_to_study
    )
    return by_image, by_breast, by_patient


def _rolled_up(below: Level, groups: Sequence[str], name: LevelName, rule: RollUpRule) -> Level:
    """Combine the rows of each group; a group is as grave as its gravest row."""
    _, first, places = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    rows_of = [np.flatnonzero(places == place) for place in range(len(first))]
    return Level(
        name=name,
        patient_ids=tuple(below.patient_ids[row] for row in first),
        is_cancer=np.array([below.is_cancer[rows].any() for rows in rows_of], np.bool_),
        scores=np.array([rule.of(below.scores[rows].tolist()) for rows in rows_of], np.float64),
        outputs=np.array([below.outputs[rows].mean(axis=0) for rows in rows_of], np.float64),
        truth=(
            None
            if below.truth is None
            else np.array([below.truth[rows].max() for rows in rows_of], np.intp)
        ),
    )


def _truth(table: ScoreTable) -> IntArray | None:
    """Find each label among the classes, which are in the order of their gravity."""
    if len(table.classes) < 3 or not set(table.labels) <= set(table.classes):
        return None
    return np.array([table.classes.index(label) for label in table.labels], np.intp)
