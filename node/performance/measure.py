"""Rows to figures: all of them, by month, by AE title and by model version."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from model.curves import Curve, reliability_bins, roc_curve
from model.manifest import Interval
from model.statistics import Sample, calibration_error
from node.outcomes.link import LinkedStudy, link
from node.performance.cautions import cautions_of
from node.performance.figures import (
    Calibration,
    Confusion,
    LevelFigures,
    Performance,
    ReliabilityBin,
    Slice,
    Verification,
)
from node.performance.intervals import auc_of, share_of
from node.performance.truth import Rows, manifests_of, rows_of_breasts, rows_of_studies
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.outcomes import LoggedStudy, read_outcomes, read_studies
from node.study_log.study_filter import StudyFilter

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

LEAST = 5
"""Rows that a figure needs: of either sort for the AUC, of its own sort for a share."""
_CURVE_STEP = 0.002
_NO_DATE = "no date"


def measure(
    database: Database,
    settings: Settings,
    which: StudyFilter,
    *,
    narrowed_to: str,
    at: datetime,
) -> Performance:
    """Measure the node by the outcomes that are in its log.

    Parameters
    ----------
    database
        The study log.
    settings
        Windows of days, weights, and prevalence of the site.
    which
        The studies that are meant.
    narrowed_to
        The same in words.
    at
        Now, aware: who is examined later than some time ago can have no follow-up yet.
    """
    with database.reading() as session:
        outcomes = read_outcomes(session)
        everything = read_studies(session)
        is_narrowed = which != StudyFilter()
        meant = read_studies(session, which) if is_narrowed else everything
    meant = tuple(study for study in meant if study.score is not None)
    ids = {study.id for study in meant}
    links = link(outcomes, everything, settings.outcomes)
    linked = [one for one in links.studies if one.study.id in ids]
    manifests = manifests_of(meant, settings.model.weights)
    prevalence = settings.model.prevalence
    breasts = rows_of_breasts(linked, manifests, prevalence)
    studies = rows_of_studies(linked, manifests, prevalence)
    mature_until = at.astimezone().date() - timedelta(days=settings.outcomes.negative_after_days)
    verification = _verification(meant, linked, mature_until)
    levels = tuple(level_figures(rows, is_whole=True) for rows in (breasts, studies))
    return Performance(
        made_at=at,
        narrowed_to=narrowed_to,
        diagnosis_within_days=settings.outcomes.diagnosis_within_days,
        negative_after_days=settings.outcomes.negative_after_days,
        prevalence=prevalence,
        verification=verification,
        cautions=cautions_of(verification, breasts, settings.outcomes, prevalence),
        levels=levels,
        by_month=_slices(breasts, studies, meant, _month, mature_until=mature_until),
        by_ae_title=_slices(breasts, studies, meant, lambda study: study.calling_ae_title),
        by_model_version=_slices(breasts, studies, meant, lambda study: study.model_version),
    )


def level_figures(rows: Rows, *, is_whole: bool = False) -> LevelFigures:
    """Measure the rows of one level.

    Parameters
    ----------
    rows
        Of known outcome; may be none.
    is_whole
        Whether the curve and the calibration are wanted, too.
    """
    cancer, known = rows.is_cancer, rows.is_call_known
    cancers = int(cancer.sum())
    is_enough = min(cancers, len(cancer) - cancers) >= LEAST
    called = rows.is_called
    return LevelFigures(
        level=rows.level,
        rows=len(cancer),
        cancers=cancers,
        patients=int(np.unique(rows.patients).size),
        called_rows=int(known.sum()),
        auc=auc_of(rows.scores, cancer, rows.patients) if is_enough else None,
        sensitivity=_share(called, known & cancer, rows.patients),
        specificity=_share(~called, known & ~cancer, rows.patients),
        positive_predictive_value=_share(cancer, known & called, rows.patients),
        negative_predictive_value=_share(~cancer, known & ~called, rows.patients),
        confusion=Confusion(
            true_positives=int((known & called & cancer).sum()),
            false_positives=int((known & called & ~cancer).sum()),
            false_negatives=int((known & ~called & cancer).sum()),
            true_negatives=int((known & ~called & ~cancer).sum()),
        ),
        calibration=_calibration(rows) if is_whole else None,
        roc=_roc(rows) if is_whole and is_enough else None,
    )


def _share(hits: BoolArray, among: BoolArray, patients: IntArray) -> Interval | None:
    """Give the share of hits among some rows, unless those are too few."""
    return share_of(hits[among], patients[among]) if among.sum() >= LEAST else None


def _roc(rows: Rows) -> Curve:
    """Give the ROC curve without steps that nobody can see."""
    curve = roc_curve(_once(rows.scores, rows.is_cancer))
    kept = [(curve.x[0], curve.y[0])]
    for point in zip(curve.x, curve.y, strict=True):
        if max(point[0] - kept[-1][0], point[1] - kept[-1][1]) >= _CURVE_STEP:
            kept.append(point)
    kept.append((curve.x[-1], curve.y[-1]))
    return Curve(x=tuple(x for x, _ in kept), y=tuple(y for _, y in kept))


def _calibration(rows: Rows) -> Calibration | None:
    """Compare scores with shares of cancers, unless there are too few of either sort."""
    can_tell = np.isfinite(rows.carried)
    scores, cancer = rows.carried[can_tell], rows.is_cancer[can_tell]
    patients = rows.patients[can_tell]
    if min(int(cancer.sum()), int((~cancer).sum())) < LEAST:
        return None
    once = _once(scores, cancer)
    inside = [once.bin_of == place for place in np.unique(once.bin_of)]
    return Calibration(
        rows=len(scores),
        expected=float(scores.mean()),
        observed=share_of(cancer, patients),
        error=float(calibration_error(once)[0]),
        bins=tuple(
            ReliabilityBin(
                rows=found.rows,
                mean_score=found.mean_score,
                cancer_share=share_of(cancer[rows_inside], patients[rows_inside]),
            )
            for found, rows_inside in zip(reliability_bins(once), inside, strict=True)
        ),
    )


def _once(scores: npt.NDArray[np.float64], is_cancer: BoolArray) -> Sample:
    return Sample(scores=scores, is_cancer=is_cancer, weights=np.ones((1, len(scores))))


def _slices(
    breasts: Rows,
    studies: Rows,
    meant: Sequence[LoggedStudy],
    fact: Callable[[LoggedStudy], str],
    *,
    mature_until: date | None = None,
) -> tuple[Slice, ...]:
    """Measure the studies of each value of a fact, in sorted order."""
    counts = Counter(fact(study) for study in meant)
    facts = [
        (rows, np.array([fact(study) for study in rows.studies], np.str_))
        for rows in (breasts, studies)
    ]
    return tuple(
        Slice(
            value=value,
            studies=counts[value],
            levels=tuple(level_figures(rows.where(values == value)) for rows, values in facts),
            is_too_recent=mature_until is not None and f"{mature_until:%Y-%m}" <= value < _NO_DATE,
        )
        for value in sorted(counts)
    )


def _month(study: LoggedStudy) -> str:
    return _NO_DATE if study.study_date is None else f"{study.study_date:%Y-%m}"


def _verification(
    meant: Sequence[LoggedStudy], linked: Sequence[LinkedStudy], mature_until: date
) -> Verification:
    """Count of how many studies the outcome is known."""
    known = [one for one in linked if one.is_cancer is not None]
    in_conflict = [
        one
        for one in linked
        if one.is_cancer is None and any(breast.result is None for breast in one.breasts)
    ]
    return Verification(
        studies=len(meant),
        known=len(known),
        partly=len(linked) - len(known) - len(in_conflict),
        in_conflict=len(in_conflict),
        without=len(meant) - len(linked),
        called=sum(bool(study.is_suspicious) for study in meant),
        called_known=sum(bool(one.study.is_suspicious) for one in known),
        too_recent=sum(
            one.study.study_date is not None and one.study.study_date > mature_until
            for one in known
        ),
    )
