"""The population stability index, by hand; and of which images it is."""

import hashlib

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from large_logs import fill_log
from log_entries import revision_entry, study_entry
from manifests import made_up_manifest, made_up_reference
from model.image_statistics import STATISTICS
from model.manifest import Distribution, Manifest
from node.study_log.database import Database
from node.study_log.drift import (
    LEAST_IMAGES,
    drift_of,
    population_stability_index,
    verdict_on,
)
from node.study_log.statistics_answers import Drift, Verdict
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import InstanceOutcome, Study, StudyState

ALL = StudyFilter()


def weights(**facts: object) -> Manifest:
    """Those that scored the newer half of a large log."""
    digest = hashlib.sha256(b"1.1.0").hexdigest()
    return made_up_manifest(**{"sha256": digest, "reference": made_up_reference()} | facts)


def by_name(statistics: tuple[Drift, ...]) -> dict[str, Drift]:
    return {drift.statistic: drift for drift in statistics}


def newest_outcomes(session: Session, digest: str) -> list[InstanceOutcome]:
    """Outcomes with a score of every study's newest revision, found without SQL's help."""
    found = []
    for study in session.scalars(select(Study)):
        newest = max(study.revisions, key=lambda row: row.number, default=None)
        if newest is not None and newest.weights_sha256 == digest:
            found += [row for row in newest.outcomes if row.score is not None]
    return found


def test_the_index_is_the_one_that_was_computed_by_hand() -> None:
    # (0.1-0.2) ln(0.1/0.2) + (0.3-0.3) ln 1 + (0.6-0.5) ln(0.6/0.5) = 0.0693147 + 0 + 0.0182322
    psi = population_stability_index((0.2, 0.3, 0.5), (0.1, 0.3, 0.6))

    assert psi == pytest.approx(0.0875469, abs=1e-7)
    assert population_stability_index((0.1, 0.3, 0.6), (0.2, 0.3, 0.5)) == pytest.approx(psi)
    assert population_stability_index((0.2, 0.3, 0.5), (0.2, 0.3, 0.5)) == 0.0


@pytest.mark.parametrize(
    ("psi", "verdict"),
    [
        (0.0, Verdict.STABLE),
        (0.0999, Verdict.STABLE),
        (0.1, Verdict.SHIFTED),
        (0.2499, Verdict.SHIFTED),
        (0.25, Verdict.FAR),
    ],
)
def test_the_thresholds_are_those_that_are_stated(psi: float, verdict: Verdict) -> None:
    assert verdict_on(psi) is verdict


def test_the_images_of_a_log_are_counted_as_numpy_counts_them(database: Database) -> None:
    fill_log(database, 600)
    manifest = weights()

    with database.reading() as session:
        answer = drift_of(session, ALL, manifest, prevalence=None)
        outcomes = newest_outcomes(session, manifest.sha256)

    reference = made_up_reference()
    assert answer.reason == ""
    assert len(outcomes) > LEAST_IMAGES
    for name, distribution in {"score": reference.score, **reference.image_statistics}.items():
        drift = by_name(answer.statistics)[name]
        values = np.array([getattr(row, name) for row in outcomes])
        counts, _ = np.histogram(values, (-np.inf, *distribution.edges, np.inf))
        found = (counts + 0.5) / (len(values) + 0.5 * len(counts))
        expected = np.add(distribution.cancer, distribution.others)
        expected = (expected + 0.5) / (expected.sum() + 0.5 * len(expected))
        assert drift.images == len(values)
        assert drift.found == pytest.approx(found)
        assert drift.expected == pytest.approx(expected)
        assert drift.psi == pytest.approx(((found - expected) * np.log(found / expected)).sum())
        assert drift.verdict is verdict_on(drift.psi or 0.0)


def test_images_that_other_weights_scored_are_left_out_and_counted(database: Database) -> None:
    fill_log(database, 600)
    digest, sha256 = hashlib.sha256(b"1.0.0").hexdigest(), weights().sha256

    with database.reading() as session:
        answer = drift_of(session, ALL, weights(), prevalence=None)
        others = len(newest_outcomes(session, digest))
        narrowed = drift_of(session, StudyFilter(model_version="1.0.0"), weights(), prevalence=None)

    assert answer.images_of_other_weights == others > 0
    assert narrowed.images_of_other_weights == others
    assert narrowed.statistics == ()
    assert narrowed.reason.startswith(f"No image was scored by phantom-net 1.2.0 ({sha256[:12]})")


def test_of_few_images_no_index_is_given(database: Database) -> None:
    with database.writing() as session:
        session.add(study_entry(1))

    manifest = weights(sha256="ab" * 32)
    with database.reading() as session:
        answer = drift_of(session, ALL, manifest, prevalence=None)

    score = by_name(answer.statistics)["score"]
    assert (score.images, score.psi, score.verdict) == (4, None, Verdict.TOO_FEW)
    assert answer.least_images == LEAST_IMAGES


def test_images_from_before_statistics_were_kept_count_for_the_score_alone(
    database: Database,
) -> None:
    with database.writing() as session:
        session.add(study_entry(1))

    with database.reading() as session:
        answer = drift_of(session, ALL, weights(sha256="ab" * 32), prevalence=None)

    images = {drift.statistic: drift.images for drift in answer.statistics}
    assert images == {"score": 4, **dict.fromkeys(STATISTICS, 0)}
    assert by_name(answer.statistics)["detail"].found == ()


def test_a_value_on_an_edge_lies_above_it(database: Database) -> None:
    with database.writing() as session:
        study = study_entry(1)
        for outcome in study.revisions[0].outcomes[:4]:
            outcome.score = 0.2
        session.add(study)
    score = Distribution(edges=(0.1, 0.2), cancer=(1, 1, 1), others=(1, 1, 1))
    reference = made_up_reference().model_copy(update={"score": score})

    with database.reading() as session:
        manifest = weights(sha256="ab" * 32, reference=reference)
        answer = drift_of(session, ALL, manifest, prevalence=None)

    assert by_name(answer.statistics)["score"].found == pytest.approx(
        (0.5 / 5.5, 0.5 / 5.5, 4.5 / 5.5)
    )


def test_the_expected_shares_are_mixed_at_the_prevalence_of_the_site(database: Database) -> None:
    fill_log(database, 20)
    with database.reading() as session:
        answer = drift_of(session, ALL, weights(), prevalence=0.01)

    score = by_name(answer.statistics)["score"]
    assert answer.prevalence == 0.01
    assert score.expected == pytest.approx(made_up_reference().score.shares(0.01))


def test_weights_without_a_reference_say_so(database: Database) -> None:
    fill_log(database, 20)

    with database.reading() as session:
        answer = drift_of(session, ALL, weights(reference=None), prevalence=None)

    assert answer.reason == "The weights bring no reference"
    assert (answer.statistics, answer.reference_images) == ((), 0)


def test_a_reference_of_scores_alone_tells_the_drift_of_scores(database: Database) -> None:
    fill_log(database, 20)
    reference = made_up_reference().model_copy(update={"image_statistics": {}})

    with database.reading() as session:
        answer = drift_of(session, ALL, weights(reference=reference), prevalence=None)

    assert list(by_name(answer.statistics)) == ["score"]


def test_a_statistic_of_a_later_version_is_passed_over(database: Database) -> None:
    fill_log(database, 20)
    known = made_up_reference()
    later = {**known.image_statistics, "entropy": known.score}

    with database.reading() as session:
        manifest = weights(reference=known.model_copy(update={"image_statistics": later}))
        answer = drift_of(session, ALL, manifest, prevalence=None)

    assert list(by_name(answer.statistics)) == ["score", *STATISTICS]


def test_only_the_newest_revision_of_a_study_counts(database: Database) -> None:
    with database.writing() as session:
        study = study_entry(1)
        study.revisions.append(revision_entry(study, number=2, state=StudyState.COMPLETED))
        for outcome in study.revisions[1].outcomes[:4]:
            outcome.score = 0.05
        session.add(study)

    with database.reading() as session:
        answer = drift_of(session, ALL, weights(sha256="ab" * 32), prevalence=None)

    assert by_name(answer.statistics)["score"].found[0] == pytest.approx(4.5 / 6.5)
