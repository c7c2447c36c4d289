"""Whether the images of a site are like those that the weights were validated on.

The population stability index of one number is the sum over its bins of (found - expected) times
ln(found / expected), of shares: 0 where both are spread alike, with no upper end. Its thresholds
are the rule of thumb of credit scoring, where it comes from: below 0.1 no change worth the name,
from 0.25 on another population (Siddiqi, Credit Risk Scorecards, 2006).
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeVarTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from model.image_statistics import STATISTICS
from model.manifest import Distribution, Manifest, Reference, smoothed_shares
from node.study_log.statistics_answers import Drift, DriftAnswer, Verdict
from node.study_log.study_filter import StudyFilter, is_newest_revision
from node.study_log.tables import InstanceOutcome, Revision, Study

Row = TypeVarTuple("Row")

SHIFTED_FROM = 0.1
FAR_FROM = 0.25
LEAST_IMAGES = 500
"""Of fewer the index is not given: without any drift, chance alone would often take it over 0.1."""


def population_stability_index(expected: Sequence[float], found: Sequence[float]) -> float:
    """Say how far two ways of being spread over the same bins are apart.

    Parameters
    ----------
    expected, found
        Shares in (0, 1), each of sum 1.

    Returns
    -------
    psi
        0 or more; the same whichever of the two is which.
    """
    return math.fsum(
        (one - other) * math.log(one / other) for one, other in zip(found, expected, strict=True)
    )


def verdict_on(psi: float) -> Verdict:
    """Say in words what an index means."""
    if psi < SHIFTED_FROM:
        return Verdict.STABLE
    return Verdict.SHIFTED if psi < FAR_FROM else Verdict.FAR


def drift_of(
    session: Session, which: StudyFilter, manifest: Manifest, *, prevalence: float | None
) -> DriftAnswer:
    """Compare scores and image statistics of the newest revisions with those of validation.

    Parameters
    ----------
    session
        Of `Database.reading`.
    which
        The studies that are meant.
    manifest
        Of the weights that the settings name: only what they scored is compared.
    prevalence
        Share of cancers at this site, as in `[model] prevalence`: the expected shares are mixed at
        it. None: as in the validation split.
    """
    of_these = Revision.weights_sha256 == manifest.sha256
    others = select(func.count(InstanceOutcome.score)).where(Revision.weights_sha256.is_not(None))
    of_others = session.scalar(_narrowed(others, which).where(~of_these)) or 0
    reference = manifest.reference
    statistics: tuple[Drift, ...] = ()
    reason = ""
    if reference is None:
        reason = "The weights bring no reference"
    else:
        statistics = _statistics(session, which, manifest, reference, prevalence)
        if not any(drift.images for drift in statistics):
            statistics = ()
            weights = f"{manifest.name} {manifest.version} ({manifest.sha256[:12]})"
            reason = f"No image was scored by {weights}, the weights of the settings"
    return DriftAnswer(
        model_name=manifest.name,
        model_version=manifest.version,
        weights_sha256=manifest.sha256,
        reference_images=reference.images if reference else 0,
        reference_patients=reference.patients if reference else 0,
        prevalence=prevalence,
        images_of_other_weights=of_others,
        shifted_from=SHIFTED_FROM,
        far_from=FAR_FROM,
        least_images=LEAST_IMAGES,
        statistics=statistics,
        reason=reason,
    )


def no_drift(reason: str) -> DriftAnswer:
    """Answer for weights that cannot be read."""
    return DriftAnswer(
        model_name="",
        model_version="",
        weights_sha256="",
        reference_images=0,
        reference_patients=0,
        prevalence=None,
        images_of_other_weights=0,
        shifted_from=SHIFTED_FROM,
        far_from=FAR_FROM,
        least_images=LEAST_IMAGES,
        statistics=(),
        reason=reason,
    )


def _statistics(
    session: Session,
    which: StudyFilter,
    manifest: Manifest,
    reference: Reference,
    prevalence: float | None,
) -> tuple[Drift, ...]:
    # A statistic that this version does not keep is one of a later version's weights.
    distributions = {"score": reference.score} | {
        name: reference.image_statistics[name]
        for name in STATISTICS
        if name in reference.image_statistics
    }
    counts = _counts(session, which, manifest, distributions)
    return tuple(
        _drift(name, distribution, counts[name], prevalence)
        for name, distribution in distributions.items()
    )


def _drift(
    name: str, distribution: Distribution, counts: Sequence[int], prevalence: float | None
) -> Drift:
    images = sum(counts)
    expected, found = distribution.shares(prevalence), smoothed_shares(counts)
    psi = None
    if images >= LEAST_IMAGES:
        psi = population_stability_index(expected, found)
    return Drift(
        statistic=name,
        images=images,
        psi=psi,
        verdict=Verdict.TOO_FEW if psi is None else verdict_on(psi),
        edges=distribution.edges,
        expected=expected,
        found=found if images else (),
    )


def _counts(
    session: Session,
    which: StudyFilter,
    manifest: Manifest,
    distributions: Mapping[str, Distribution],
) -> dict[str, list[int]]:
    """Count the images in each bin of each distribution, in one pass over the log."""
    columns = {name: InstanceOutcome.__table__.c[name] for name in distributions}
    above = [
        func.count().filter(columns[name] >= edge)
        for name, distribution in distributions.items()
        for edge in distribution.edges
    ]
    statement = select(*(func.count(column) for column in columns.values()), *above)
    statement = _narrowed(statement, which).where(
        Revision.weights_sha256 == manifest.sha256, InstanceOutcome.score.is_not(None)
    )
    row = iter(session.execute(statement).one())
    totals = {name: next(row) for name in columns}
    counts = {}
    for name, distribution in distributions.items():
        at_least = [totals[name], *(next(row) for _ in distribution.edges), 0]
        counts[name] = [low - high for low, high in pairwise(at_least)]
    return counts


def _narrowed(statement: "Select[*Row]", which: StudyFilter) -> "Select[*Row]":
    return (
        statement.select_from(Study)
        .join(Revision, is_newest_revision())
        .join(InstanceOutcome, InstanceOutcome.revision_id == Revision.id)
        .where(which.condition())
    )
