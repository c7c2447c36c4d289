"""What an administrator asks of many studies: how many, how fast, what failed, how they scored.

Counted by the database; only moments and scores come here, one number a study, for percentiles.
Nothing here changes the log.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVarTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from model.manifest import Manifest
from node.intervals import wilson_interval
from node.study_log.drift import drift_of, no_drift
from node.study_log.moments import day_name, epoch_s, local_day
from node.study_log.statistics_answers import (
    AETitleVolume,
    DayVolume,
    DeliveryFailures,
    Interval,
    Latency,
    ModelVolume,
    ReasonCount,
    ScoreDistribution,
    StatisticsAnswer,
    Volume,
)
from node.study_log.study_filter import StudyFilter, is_newest_revision
from node.study_log.tables import (
    CloseReason,
    Delivery,
    DeliveryState,
    Instance,
    InstanceKind,
    InstanceOutcome,
    Revision,
    Study,
    StudyState,
)

Row = TypeVarTuple("Row")

BINS = 20
"""Of the histogram of scores, from 0 to 1."""
_CLOSED_BY_THE_NODE = (CloseReason.VIEW_SET, CloseReason.QUIET, CloseReason.CAP)
_COUNTED = tuple(field.name for field in fields(Volume))
NOTHING = Volume(studies=0, images=0, failed=0, skipped=0, scored=0, suspicious=0)
# A path or a UID makes each failure another one.
_OWN_TO_ONE = re.compile(r"(?<![\w.])(?:/[^\s;,:]+|\d+(?:\.\d+){5,})")

Float64Array = npt.NDArray[np.float64]


def statistics_of(
    session: Session,
    which: StudyFilter,
    manifest: Manifest | None,
    *,
    prevalence: float | None = None,
    no_manifest: str = "",
) -> StatisticsAnswer:
    """Answer all of it.

    Parameters
    ----------
    session
        Of `Database.reading`.
    which
        The studies that are meant; those received in a range of time, as a rule.
    manifest
        Of the weights that the settings name: drift is told by its reference.
    prevalence
        As in `[model] prevalence`, for the drift; see `node.study_log.drift.drift_of`.
    no_manifest
        Why there is none; stands in the place of the drift.
    """
    drift = no_drift(no_manifest)
    if manifest is not None:
        drift = drift_of(session, which, manifest, prevalence=prevalence)
    by_day, by_ae_title = _volumes(session, which)
    return StatisticsAnswer(
        received_from=which.received_from,
        received_to=which.received_to,
        calling_ae_title=which.calling_ae_title,
        model_version=which.model_version,
        total=sum(by_day.values(), NOTHING),
        states=_reasons(session, which, Study.state),
        days=tuple(DayVolume(day=day, volume=by_day[day]) for day in sorted(by_day)),
        ae_titles=tuple(
            AETitleVolume(calling_ae_title=title, volume=by_ae_title[title])
            for title in sorted(by_ae_title, key=lambda title: -by_ae_title[title].studies)
        ),
        models=_models(session, which),
        latencies=_latencies(session, which),
        failures=_reasons(session, which, Revision.reason, Study.state == StudyState.FAILED.value),
        delivery_failures=_delivery_failures(session, which),
        triage=_triage(session, which),
        scores=_scores(session, which),
        operating_point=None if manifest is None else manifest.operating_point.threshold,
        drift=drift,
    )


def _newest(statement: "Select[*Row]", which: StudyFilter) -> "Select[*Row]":
    """Let a statement be about the studies that are meant, each with its newest revision if any."""
    return (
        statement.select_from(Study)
        .outerjoin(Revision, is_newest_revision())
        .where(which.condition())
    )


def _volumes(session: Session, which: StudyFilter) -> tuple[dict[str, Volume], dict[str, Volume]]:
    """Count by day, and by calling AE title."""
    moment = Study.last_received_at
    ends = _newest(select(func.min(moment), func.max(moment)), which)
    first, last = session.execute(ends).one()
    if first is None:
        return {}, {}
    # By its name: PostgreSQL does not see that two expressions with parameters are the same.
    day = local_day(moment, first=first, last=last).label("local_day")
    images = (
        select(func.count(Instance.id))
        .where(Instance.study_id == Study.id, Instance.kind == InstanceKind.IMAGE.value)
        .correlate(Study)
        .scalar_subquery()
    )
    counts = (
        func.count(Study.id),
        func.sum(images),
        func.count().filter(Study.state == StudyState.FAILED.value),
        func.count().filter(Study.state == StudyState.SKIPPED.value),
        func.count(Revision.score),
        func.count().filter(Revision.is_suspicious.is_(True)),
    )
    by_day: dict[str, Volume] = {}
    by_ae_title: dict[str, Volume] = {}
    statement = _newest(select(day, Study.calling_ae_title, *counts), which)
    rows = session.execute(statement.group_by("local_day", Study.calling_ae_title))
    for number, ae_title, *found in rows:
        volume = Volume(**dict(zip(_COUNTED, map(int, found), strict=True)))
        name = day_name(number)
        by_day[name] = by_day.get(name, NOTHING) + volume
        by_ae_title[ae_title] = by_ae_title.get(ae_title, NOTHING) + volume
    return by_day, by_ae_title


def _models(session: Session, which: StudyFilter) -> tuple[ModelVolume, ...]:
    """Count the studies that each set of weights scored, the newest-used first."""
    weights = (Revision.model_name, Revision.model_version, Revision.weights_sha256)
    statement = (
        _newest(select(*weights, func.count(Revision.id)), which)
        .where(Revision.score.is_not(None))
        .group_by(*weights)
        .order_by(func.count(Revision.id).desc(), Revision.weights_sha256)
    )
    return tuple(
        ModelVolume(
            model_name=name or "",
            model_version=version or "",
            weights_sha256=digest or "",
            studies=count,
        )
        for name, version, digest, count in session.execute(statement)
    )


def _latencies(session: Session, which: StudyFilter) -> tuple[Latency, ...]:
    """Give percentiles of how long the steps of a study took."""
    # A delivery without a try had nothing to send.
    deliveries = (
        select(
            Delivery.revision_id,
            func.max(case((Delivery.attempt > 0, Delivery.ended_at))).label("delivered_at"),
        )
        .group_by(Delivery.revision_id)
        .having(func.count().filter(Delivery.state != DeliveryState.COMPLETED.value) == 0)
        .subquery()
    )
    # What was skipped or failed is reported too, but an analysis it is not.
    is_completed = Revision.state == StudyState.COMPLETED.value
    statement = (
        _newest(
            select(
                epoch_s(Study.last_received_at),
                epoch_s(Revision.closed_at),
                epoch_s(case((is_completed, Revision.ended_at))),
                epoch_s(case((is_completed, deliveries.c.delivered_at))),
            ),
            which,
        )
        .outerjoin(deliveries, deliveries.c.revision_id == Revision.id)
        .where(
            Revision.close_reason.in_([reason.value for reason in _CLOSED_BY_THE_NODE]),
            # A study that is being received again is not the one that was closed.
            Study.state != StudyState.RECEIVING.value,
        )
    )
    rows = session.execute(statement).all()
    received, closed, completed, delivered = _columns(rows, 4)
    return (
        _latency(Interval.RECEIVED_TO_CLOSED, closed - received),
        _latency(Interval.CLOSED_TO_COMPLETED, completed - closed),
        _latency(Interval.COMPLETED_TO_DELIVERED, delivered - completed),
        _latency(Interval.RECEIVED_TO_DELIVERED, delivered - received),
    )


def _columns(rows: Sequence[Any], count: int) -> Float64Array:
    """Turn rows into columns; NaN where the database has none."""
    return np.array([tuple(row) for row in rows], np.float64).reshape(-1, count).T


def _latency(interval: Interval, seconds: Float64Array) -> Latency:
    known = seconds[~np.isnan(seconds)]
    # Moments are told apart to a tenth of a millisecond: what is finer is the database's rounding.
    p50, p95, p99 = _percentiles(np.round(known, 3), (50, 95, 99))
    return Latency(interval=interval, studies=len(known), p50_s=p50, p95_s=p95, p99_s=p99)


def _percentiles(values: Float64Array, which: Sequence[float]) -> list[float | None]:
    """Percentiles, in straight lines between the values; None of nothing."""
    if not len(values):
        return [None] * len(which)
    return [float(value) for value in np.percentile(values, which)]


def calling_ae_titles(session: Session) -> tuple[str, ...]:
    """List the calling AE titles that studies ever came from."""
    titles = session.scalars(select(Study.calling_ae_title).distinct())
    return tuple(sorted(titles))


def _reasons(
    session: Session, which: StudyFilter, reason: Any, *conditions: ColumnElement[bool]
) -> tuple[ReasonCount, ...]:
    """Count studies by what stands in a column."""
    statement = _newest(select(reason, func.count(Study.id)), which)
    rows = session.execute(statement.where(*conditions).group_by(reason))
    return _in_order(Counter(), rows)


def _triage(session: Session, which: StudyFilter) -> tuple[ReasonCount, ...]:
    """Count the images of newest revisions that were left out."""
    reason = InstanceOutcome.triage_reason
    statement = (
        _newest(select(reason, func.count(InstanceOutcome.id)), which)
        .join(InstanceOutcome, InstanceOutcome.revision_id == Revision.id)
        .where(reason.is_not(None))
        .group_by(reason)
    )
    return _in_order(Counter(), session.execute(statement))


def _in_order(counts: "Counter[str]", rows: Iterable[Any]) -> tuple[ReasonCount, ...]:
    """Add up what is the same but for a path or a UID; the commonest first."""
    for reason, count in rows:
        counts[general(reason or "")] += count
    return tuple(
        ReasonCount(reason=reason, count=count)
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def general(reason: str) -> str:
    """Take out of a reason what only one study has: paths and UIDs."""
    return _OWN_TO_ONE.sub("…", reason)


def _delivery_failures(session: Session, which: StudyFilter) -> tuple[DeliveryFailures, ...]:
    """Count the deliveries of newest revisions that were given up."""
    keys = (Delivery.destination, Delivery.reason)
    statement = (
        _newest(select(*keys, func.count(Delivery.id)), which)
        .join(Delivery, Delivery.revision_id == Revision.id)
        .where(Delivery.state == DeliveryState.FAILED.value)
        .group_by(*keys)
    )
    counts: Counter[tuple[str, str]] = Counter()
    for destination, reason, count in session.execute(statement):
        counts[destination, general(reason)] += count
    return tuple(
        DeliveryFailures(destination=destination, reason=reason, count=count)
        for (destination, reason), count in sorted(
            counts.items(), key=lambda item: (-item[1], item[0])
        )
    )


def _scores(session: Session, which: StudyFilter) -> ScoreDistribution:
    """Say how the scores of studies are spread, and how many reached the operating point."""
    statement = _newest(select(Revision.score, Revision.is_suspicious), which)
    rows = session.execute(statement.where(Revision.score.is_not(None))).all()
    scores, suspicious = _columns(rows, 2)
    studies, positives = len(scores), int(np.nansum(suspicious))
    low, high = wilson_interval(positives, studies) if studies else (0.0, 0.0)
    p5, p25, p50, p75, p95 = _percentiles(scores, (5, 25, 50, 75, 95))
    return ScoreDistribution(
        studies=studies,
        histogram=tuple(np.histogram(scores, BINS, (0.0, 1.0))[0].tolist()),
        p5=p5,
        p25=p25,
        p50=p50,
        p75=p75,
        p95=p95,
        suspicious=positives,
        per_1000=1000.0 * positives / studies if studies else None,
        per_1000_low=1000.0 * low if studies else None,
        per_1000_high=1000.0 * high if studies else None,
    )
