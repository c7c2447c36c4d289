"""Statistics of many studies, against the same figures counted row by row with numpy."""

from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from large_logs import AE_TITLES, NEWEST_AT, fill_log
from log_entries import RECEIVED_AT, add_delivery, revision_entry, study_entry
from node.intervals import wilson_interval
from node.study_log.database import Database
from node.study_log.statistics import calling_ae_titles, general, statistics_of
from node.study_log.statistics_answers import Interval, ReasonCount, StatisticsAnswer
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import (
    CloseReason,
    DeliveryState,
    InstanceKind,
    Revision,
    Study,
    StudyState,
)

ALL = StudyFilter()


def asked(database: Database, which: StudyFilter = ALL) -> StatisticsAnswer:
    with database.reading() as session:
        return statistics_of(session, which, None, no_manifest="none was asked for")


def newest_of(study: Study) -> Revision | None:
    return max(study.revisions, key=lambda revision: revision.number, default=None)


def all_studies(session: Session, which: StudyFilter = ALL) -> list[Study]:
    return [
        study
        for study in session.scalars(select(Study))
        if (which.received_from is None or study.last_received_at >= which.received_from)
        and (which.received_to is None or study.last_received_at <= which.received_to)
        and which.calling_ae_title in ("", study.calling_ae_title)
    ]


def seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()


def assert_latency(answer: StatisticsAnswer, interval: Interval, values: list[float]) -> None:
    (found,) = (latency for latency in answer.latencies if latency.interval is interval)
    assert found.studies == len(values)
    percentiles = np.percentile(values, (50, 95, 99))
    assert (found.p50_s, found.p95_s, found.p99_s) == pytest.approx(percentiles, abs=2e-3)


@pytest.mark.parametrize(
    "which",
    [
        ALL,
        StudyFilter(
            received_from=NEWEST_AT - timedelta(days=200),
            received_to=NEWEST_AT - timedelta(days=20),
            calling_ae_title=AE_TITLES[1],
        ),
    ],
    ids=["all", "narrowed"],
)
def test_every_figure_is_the_one_that_is_counted_row_by_row(
    database: Database, which: StudyFilter
) -> None:
    fill_log(database, 600)
    answer = asked(database, which)

    with database.reading() as session:
        studies = all_studies(session, which)
        pairs = [(study, newest_of(study)) for study in studies]
        images = {
            study.id: sum(i.kind == InstanceKind.IMAGE for i in study.instances)
            for study in studies
        }
        assert len(studies) > 20
        assert answer.total.studies == len(studies)
        assert answer.total.images == sum(images.values())
        states = Counter(study.state for study in studies)
        assert {row.reason: row.count for row in answer.states} == states
        assert answer.total.failed == states[StudyState.FAILED]
        assert answer.total.skipped == states[StudyState.SKIPPED]

        for title in {study.calling_ae_title for study in studies}:
            (row,) = (row for row in answer.ae_titles if row.calling_ae_title == title)
            own = [study for study in studies if study.calling_ae_title == title]
            assert row.volume.studies == len(own)
            assert row.volume.images == sum(images[study.id] for study in own)
        days = Counter(f"{study.last_received_at.astimezone():%Y-%m-%d}" for study in studies)
        assert {row.day: row.volume.studies for row in answer.days} == days
        assert [row.day for row in answer.days] == sorted(days)

        scores = np.array([r.score for _, r in pairs if r is not None and r.score is not None])
        suspicious = sum(bool(r.is_suspicious) for _, r in pairs if r is not None)
        counts, _ = np.histogram(scores, 20, (0, 1))
        found = answer.scores
        assert answer.total.scored == found.studies == len(scores)
        assert answer.total.suspicious == found.suspicious == suspicious
        assert list(found.histogram) == counts.tolist()
        percentiles = (found.p5, found.p25, found.p50, found.p75, found.p95)
        assert percentiles == pytest.approx(np.percentile(scores, (5, 25, 50, 75, 95)))
        low, high = wilson_interval(suspicious, len(scores))
        rates = (found.per_1000, found.per_1000_low, found.per_1000_high)
        assert rates == pytest.approx((1000 * suspicious / len(scores), 1000 * low, 1000 * high))

        models = Counter(r.model_version for _, r in pairs if r is not None and r.score is not None)
        assert {row.model_version: row.studies for row in answer.models} == models
        failed = Counter(r.reason for s, r in pairs if r and s.state == StudyState.FAILED)
        assert {row.reason: row.count for row in answer.failures} == failed
        triaged = Counter(
            o.triage_reason for _, r in pairs if r for o in r.outcomes if o.triage_reason
        )
        assert {row.reason: row.count for row in answer.triage} == triaged
        undelivered = Counter(
            (delivery.destination, delivery.reason)
            for _, r in pairs
            if r
            for delivery in r.deliveries
            if delivery.state == DeliveryState.FAILED
        )
        listed = {(row.destination, row.reason): row.count for row in answer.delivery_failures}
        assert listed == undelivered

        closed = [(s, r) for s, r in pairs if r and s.state != StudyState.RECEIVING]
        completed = [(s, r, r.ended_at) for s, r in closed if r.state == StudyState.COMPLETED]
        delivered = [
            (s, ended_at, max(d.ended_at for d in r.deliveries if d.ended_at))
            for s, r, ended_at in completed
            if ended_at and all(d.state == DeliveryState.COMPLETED for d in r.deliveries)
        ]
        received_to_closed = [seconds(r.closed_at, s.last_received_at) for s, r in closed]
        assert_latency(answer, Interval.RECEIVED_TO_CLOSED, received_to_closed)
        assert_latency(
            answer,
            Interval.CLOSED_TO_COMPLETED,
            [seconds(ended_at, r.closed_at) for _, r, ended_at in completed if ended_at],
        )
        assert_latency(
            answer,
            Interval.COMPLETED_TO_DELIVERED,
            [seconds(at, ended_at) for _, ended_at, at in delivered],
        )
        assert_latency(
            answer,
            Interval.RECEIVED_TO_DELIVERED,
            [seconds(at, study.last_received_at) for study, _, at in delivered],
        )


def test_a_log_without_studies_answers_with_nothing(database: Database) -> None:
    answer = asked(database)

    assert answer.total.studies == answer.scores.studies == 0
    assert (answer.days, answer.ae_titles, answer.models, answer.states) == ((), (), (), ())
    assert {latency.p50_s for latency in answer.latencies} == {None}
    assert (answer.scores.per_1000, answer.scores.p50) == (None, None)
    assert answer.drift.reason == "none was asked for"


def test_studies_are_narrowed_to_the_weights_that_scored_them(database: Database) -> None:
    fill_log(database, 200)

    answer = asked(database, StudyFilter(model_version="1.0.*"))

    assert [row.model_version for row in answer.models] == ["1.0.0"]
    assert answer.total.studies == answer.total.scored == answer.models[0].studies > 50


def latency_studies(answer: StatisticsAnswer) -> dict[str, int]:
    return {latency.interval.value: latency.studies for latency in answer.latencies}


def test_what_a_person_asked_for_is_no_latency(database: Database) -> None:
    with database.writing() as session:
        study = study_entry(1)
        again = revision_entry(study, number=2, state=StudyState.COMPLETED)
        again.close_reason = CloseReason.REANALYSE.value
        again.closed_at = study.last_received_at + timedelta(days=90)
        study.revisions.append(again)
        session.add(study)

    assert set(latency_studies(asked(database)).values()) == {0}


def test_a_study_that_is_being_received_again_is_no_latency(database: Database) -> None:
    with database.writing() as session:
        study = study_entry(1)
        study.state = StudyState.RECEIVING
        study.last_received_at += timedelta(days=1)
        session.add(study)

    assert set(latency_studies(asked(database)).values()) == {0}


@pytest.mark.parametrize(
    ("states", "attempts", "delivered"),
    [
        ((DeliveryState.COMPLETED, DeliveryState.COMPLETED), (1, 1), 1),
        ((DeliveryState.COMPLETED, DeliveryState.FAILED), (1, 10), 0),
        ((DeliveryState.COMPLETED, DeliveryState.UNCONFIRMED), (1, 1), 0),
        ((DeliveryState.COMPLETED, DeliveryState.COMPLETED), (1, 0), 1),
        ((DeliveryState.COMPLETED, DeliveryState.COMPLETED), (0, 0), 0),
    ],
    ids=[
        "both",
        "one given up",
        "one unconfirmed",
        "one had nothing to send",
        "none had anything to send",
    ],
)
def test_a_study_is_delivered_when_every_destination_has_what_it_gets(
    database: Database,
    states: tuple[DeliveryState, ...],
    attempts: tuple[int, ...],
    delivered: int,
) -> None:
    with database.writing() as session:
        study = study_entry(1)
        for name, state, attempt in zip(("a", "b"), states, attempts, strict=True):
            add_delivery(study.revisions[0], name, state).attempt = attempt
        session.add(study)

    found = latency_studies(asked(database))

    assert found["completed to delivered"] == found["received to delivered"] == delivered
    assert found["closed to completed"] == 1


def test_reasons_that_differ_by_a_path_or_a_uid_are_one(database: Database) -> None:
    with database.writing() as session:
        for number in (1, 2, 3):
            reason = f"Expected an image at /srv/{number}/x.dcm; found none"
            session.add(study_entry(number, state=StudyState.FAILED, reason=reason))
        session.add(study_entry(4, state=StudyState.FAILED, reason="out of memory"))

    assert asked(database).failures == (
        ReasonCount(reason="Expected an image at …; found none", count=3),
        ReasonCount(reason="out of memory", count=1),
    )


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("No room on /var/lib/mammonode: 3 bytes", "No room on …: 3 bytes"),
        ("Study 1.2.840.113619.2.55.3 has gone", "Study … has gone"),
        ("PACS at 127.0.0.1:104 rejected it", "PACS at 127.0.0.1:104 rejected it"),
        ("read and/or write failed", "read and/or write failed"),
        ("status 0xA700 (tried 10 times)", "status 0xA700 (tried 10 times)"),
    ],
)
def test_only_what_is_one_studys_own_is_taken_out_of_a_reason(reason: str, expected: str) -> None:
    assert general(reason) == expected


def test_a_range_includes_both_of_its_ends(database: Database) -> None:
    with database.writing() as session:
        session.add_all([study_entry(number) for number in (1, 2)])
    last = RECEIVED_AT + timedelta(seconds=12)

    assert asked(database, StudyFilter(received_from=last, received_to=last)).total.studies == 2
    earlier = StudyFilter(received_to=last - timedelta(microseconds=1))
    assert asked(database, earlier).total.studies == 0


def test_the_ae_titles_that_studies_came_from_are_listed_once(database: Database) -> None:
    with database.writing() as session:
        for number, title in enumerate(("MOBILE1", "MAMMO1", "MOBILE1")):
            study = study_entry(number + 1)
            study.calling_ae_title = title
            session.add(study)

    with database.reading() as session:
        assert calling_ae_titles(session) == ("MAMMO1", "MOBILE1")
