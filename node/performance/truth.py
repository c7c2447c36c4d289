"""Rows to measure: scores beside what became known, of breasts and of studies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.errors import WeightsError
from model.manifest import SHIPPED_WEIGHTS, Manifest, describe_weights
from node.outcomes.link import LinkedStudy
from node.performance.figures import LevelName
from node.study_log.outcomes import LoggedStudy

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Rows of one level whose outcome is known.

    Attributes
    ----------
    scores
        Shape (rows,): as they stand in the log, in [0, 1].
    carried
        Shape (rows,): at the prevalence of the site, if it is set; NaN where that cannot be told.
    is_cancer
        Shape (rows,).
    is_called
        Shape (rows,): whether the score reached the operating point.
    is_call_known
        Shape (rows,): false where the operating point of the weights is not known here.
    patients
        Shape (rows,): whose each row is, as numbers from 0.
    studies
        Of each row.
    """

    level: LevelName
    scores: Float64Array
    carried: Float64Array
    is_cancer: BoolArray
    is_called: BoolArray
    is_call_known: BoolArray
    patients: IntArray
    studies: tuple[LoggedStudy, ...]

    def where(self, inside: BoolArray) -> "Rows":
        """Give some of the rows: shape (rows,), true for those that are meant."""
        return Rows(
            level=self.level,
            scores=self.scores[inside],
            carried=self.carried[inside],
            is_cancer=self.is_cancer[inside],
            is_called=self.is_called[inside],
            is_call_known=self.is_call_known[inside],
            patients=self.patients[inside],
            studies=tuple(self.studies[place] for place in np.flatnonzero(inside)),
        )


def manifests_of(studies: Iterable[LoggedStudy], weights: str) -> Mapping[str, Manifest]:
    """Find what weights are known here, by their SHA-256.

    Parameters
    ----------
    studies
        Whose revisions name folders of weights that were asked for.
    weights
        `[model] weights`.
    """
    folders = {study.weights for study in studies} | {weights}
    found = {}
    for folder in (SHIPPED_WEIGHTS, *(Path(name) for name in sorted(folders) if name)):
        try:
            manifest = describe_weights(folder)
        except WeightsError:
            continue  # weights that are not there any more: their operating point is not known
        found[manifest.sha256] = manifest
    return found


def rows_of_breasts(
    linked: Sequence[LinkedStudy], manifests: Mapping[str, Manifest], prevalence: float | None
) -> Rows:
    """Make a row of each breast whose outcome is known.

    Parameters
    ----------
    linked
        Studies with outcomes.
    manifests
        From `manifests_of`.
    prevalence
        `[model] prevalence`.
    """
    rows = []
    for one in linked:
        manifest = manifests.get(one.study.weights_sha256)
        for breast in one.breasts:
            if breast.is_cancer is not None:
                is_called = None
                if manifest is not None:
                    is_called = manifest.operating_point.is_reached(breast.score)
                rows.append((one.study, breast.score, breast.is_cancer, is_called))
    return _rows(LevelName.BREAST, rows, manifests, prevalence)


def rows_of_studies(
    linked: Sequence[LinkedStudy], manifests: Mapping[str, Manifest], prevalence: float | None
) -> Rows:
    """Make a row of each study whose outcome is known.

    Parameters
    ----------
    linked, manifests, prevalence
        As in `rows_of_breasts`.
    """
    rows = []
    for one in linked:
        is_cancer, score = one.is_cancer, one.study.score
        if is_cancer is not None and score is not None:
            rows.append((one.study, score, is_cancer, one.study.is_suspicious))
    return _rows(LevelName.STUDY, rows, manifests, prevalence)


def _rows(
    level: LevelName,
    rows: Sequence[tuple[LoggedStudy, float, bool, bool | None]],
    manifests: Mapping[str, Manifest],
    prevalence: float | None,
) -> Rows:
    numbers: dict[tuple[str, str], int] = {}
    studies = tuple(row[0] for row in rows)
    patients = [
        numbers.setdefault((study.patient_id, study.issuer_of_patient_id), len(numbers))
        for study in studies
    ]
    return Rows(
        level=level,
        scores=np.array([row[1] for row in rows], np.float64),
        carried=np.array(
            [_carried(row[1], manifests.get(row[0].weights_sha256), prevalence) for row in rows],
            np.float64,
        ),
        is_cancer=np.array([row[2] for row in rows], np.bool_),
        is_called=np.array([bool(row[3]) for row in rows], np.bool_),
        is_call_known=np.array([row[3] is not None for row in rows], np.bool_),
        patients=np.array(patients, np.intp),
        studies=studies,
    )


def _carried(score: float, manifest: Manifest | None, prevalence: float | None) -> float:
    """Carry a score to the prevalence of the site, as the reports do."""
    if prevalence is None:
        return score
    if manifest is None:
        return float("nan")
    return manifest.calibration.at_prevalence(score, prevalence)
