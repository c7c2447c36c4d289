"""A year of a screening site with known truth: studies for the log, outcomes as a file.

Drawn by a seed. Of 20,000 studies 6 in 1,000 women have a cancer in one breast; the node scores
both. Women who are called back, by the score or otherwise, are biopsied; of the others most come to
follow-up after a year or two, and some are never heard of again.
"""

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import insert

from model.manifest import SHIPPED_WEIGHTS, describe_weights
from node.study_log.database import Database
from node.study_log.tables import CloseReason, Revision, Study, StudyState

FIRST_DAY = date(2023, 1, 1)
STUDIES = 20_000
PREVALENCE = 0.006
"""Of women; in one breast each."""
AE_TITLES = ("MAMMO1", "MAMMO2")
VERSIONS = ("1.1.0", "1.2.0")
"""The second from July on."""
WITHOUT_OUTCOME = 0.15
"""Of the women who were not biopsied."""

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Year:
    """What was drawn; sides are in the order right, left.

    Attributes
    ----------
    days
        Shape (studies,): after `FIRST_DAY`.
    scores
        Shape (studies, 2): of the breasts; that of a study is the higher one.
    is_cancer
        Shape (studies, 2).
    is_biopsied
        Shape (studies, 2): has histopathology.
    is_followed
        Shape (studies,): both breasts have a follow-up without cancer.
    ae_title, version
        Shape (studies,): places in `AE_TITLES` and `VERSIONS`.
    """

    days: npt.NDArray[np.int64]
    scores: Float64Array
    is_cancer: BoolArray
    is_biopsied: BoolArray
    is_followed: BoolArray
    ae_title: npt.NDArray[np.int64]
    version: npt.NDArray[np.int64]
    biopsy_days: npt.NDArray[np.int64]
    follow_up_days: npt.NDArray[np.int64]

    @property
    def is_breast_known(self) -> BoolArray:
        """Shape (studies, 2): whether an outcome says of the breast what it had."""
        return self.is_biopsied | self.is_followed[:, None]

    @property
    def is_study_known(self) -> BoolArray:
        """Shape (studies,): a cancer is known, or of both breasts that there was none."""
        known = self.is_breast_known
        return np.asarray((known & self.is_cancer).any(axis=1) | known.all(axis=1))

    @property
    def study_scores(self) -> Float64Array:
        """Shape (studies,)."""
        return np.asarray(self.scores.max(axis=1))


def draw_year(*, studies: int = STUDIES, seed: int = 2026, prevalence: float = PREVALENCE) -> Year:
    """Draw a year; a woman comes once."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.integers(0, 365, studies))
    is_cancer = np.zeros((studies, 2), np.bool_)
    with_cancer = np.flatnonzero(rng.random(studies) < prevalence)
    is_cancer[with_cancer, rng.integers(0, 2, len(with_cancer))] = True
    # Log odds of the breasts: those of a woman are alike, and a cancer raises its own.
    woman = rng.normal(-2.2, 0.7, (studies, 1))
    odds = woman + rng.normal(0, 0.6, (studies, 2)) + is_cancer * rng.normal(1.4, 0.7, (studies, 2))
    # Rounded as a log would not: so there are ties.
    scores = np.round(1 / (1 + np.exp(-odds)), 4)
    is_called = scores >= describe_weights(SHIPPED_WEIGHTS).operating_point.threshold
    is_biopsied = (
        (is_cancer & (rng.random((studies, 2)) < 0.95))
        | (is_called & (rng.random((studies, 2)) < 0.3))
        | (rng.random((studies, 2)) < 0.004)
    )
    is_followed = ~is_cancer.any(axis=1) & (rng.random(studies) >= WITHOUT_OUTCOME)
    return Year(
        days=days,
        scores=scores,
        is_cancer=is_cancer,
        is_biopsied=is_biopsied,
        is_followed=is_followed,
        ae_title=rng.integers(0, 2, studies),
        version=(days >= 181).astype(np.int64),
        biopsy_days=rng.integers(3, 120, studies),
        follow_up_days=rng.integers(335, 760, studies),
    )


def write_studies(year: Year, database: Database, *, known_weights: bool = True) -> None:
    """Write the studies of a year into a log, as analysed."""
    manifest = describe_weights(SHIPPED_WEIGHTS)
    threshold = manifest.operating_point.threshold
    studies, revisions = [], []
    for number in range(len(year.days)):
        day = FIRST_DAY + timedelta(days=int(year.days[number]))
        moment = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
        studies.append(
            {
                "id": number + 1,
                "study_instance_uid": f"1.2.826.0.1.3680043.8.498.7.{number + 1}",
                "state": StudyState.COMPLETED.value,
                "patient_id": patient_id(number),
                "issuer_of_patient_id": "",
                "patient_name": "",
                "patient_name_key": "",
                "patient_birth_date": "",
                "patient_sex": "F",
                "accession_number": "",
                "study_date": f"{day:%Y%m%d}",
                "study_time": "090000",
                "study_description": "",
                "calling_ae_title": AE_TITLES[int(year.ae_title[number])],
                "called_ae_title": "MAMMONODE",
                "first_received_at": moment,
                "last_received_at": moment,
                "quiet_from_at": moment,
            }
        )
        right, left = (float(score) for score in year.scores[number])
        revisions.append(
            {
                "id": number + 1,
                "study_id": number + 1,
                "number": 1,
                "state": StudyState.COMPLETED.value,
                "close_reason": CloseReason.VIEW_SET.value,
                "closed_at": moment,
                "weights": "",
                "attempt": 1,
                "interruptions": 0,
                "reason": "",
                "score": max(right, left),
                "score_right": right,
                "score_left": left,
                "is_suspicious": max(right, left) >= threshold,
                "model_name": manifest.name,
                "model_version": VERSIONS[int(year.version[number])],
                "weights_sha256": manifest.sha256 if known_weights else "00" * 32,
            }
        )
    with database.writing() as session:
        session.execute(insert(Study), studies)
        session.execute(insert(Revision), revisions)


def write_outcomes(year: Year, file: Path) -> int:
    """Write the outcomes of a year as CSV, and say how many rows there are."""
    rows: list[tuple[str, str, str, str, str]] = []
    for number in range(len(year.days)):
        day = FIRST_DAY + timedelta(days=int(year.days[number]))
        for side, laterality in enumerate("RL"):
            if year.is_biopsied[number, side]:
                result = "malignant" if year.is_cancer[number, side] else "benign"
                at = day + timedelta(days=int(year.biopsy_days[number]))
                rows.append((patient_id(number), laterality, f"{at}", "histopathology", result))
        if year.is_followed[number]:
            at = day + timedelta(days=int(year.follow_up_days[number]))
            rows.append((patient_id(number), "B", f"{at}", "follow_up", "negative"))
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("patient_id", "laterality", "date", "source", "result"))
        writer.writerows(rows)
    return len(rows)


def patient_id(number: int) -> str:
    """Name the woman of a study."""
    return f"SECRET-{number:05d}"
