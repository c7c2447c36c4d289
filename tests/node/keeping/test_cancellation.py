"""Open work of a study that a person has ended: what ends, what stays, and what may follow."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bench import BEGIN, Bench, phantom
from log_entries import add_delivery, revision_entry, study_entry
from node.errors import PermanentError, UnknownStudy
from node.keeping.cancellation import Cancellation, cancel_study
from node.keeping.remove import remove_given_up
from node.rerun.analysis import reanalyse
from node.study_log.answers import StudyAnswer
from node.study_log.queries import read_study
from node.study_log.tables import DeliveryState, Study, StudyState
from peers import files_below

NOW = BEGIN + timedelta(days=5)


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    bench = Bench(tmp_path, url=either_database)
    yield bench
    bench.close()


def write(bench: Bench, study: Study) -> str:
    with bench.database.writing() as session:
        session.add(study)
        return study.study_instance_uid


def cancel(bench: Bench, uid: str, reason: str = "a test") -> Cancellation:
    return cancel_study(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=uid,
        reason=reason,
        by="someone",
        at=NOW,
    )


def read(bench: Bench, uid: str) -> StudyAnswer:
    with bench.database.reading() as session:
        return read_study(session, uid)


@pytest.mark.parametrize("state", [StudyState.SCHEDULED, StudyState.IN_PROGRESS])
def test_an_analysis_is_ended_and_the_study_says_so(bench: Bench, state: StudyState) -> None:
    uid = write(bench, study_entry(1, state=state))
    with bench.database.writing() as session:
        bench.queue.enqueue_analysis(session, study_instance_uid=uid, revision=1, attempt=1)

    cancellation = cancel(bench, uid, " sent twice ")

    answer = read(bench, uid)
    assert (cancellation.revisions, cancellation.destinations) == ((1,), ())
    assert cancellation.state is answer.summary.state is StudyState.CANCELED
    assert bench.queue.waiting_or_running() == frozenset()
    assert answer.revisions[0].state is StudyState.CANCELED
    assert (answer.revisions[0].reason, answer.revisions[0].ended_at) == ("sent twice", NOW)
    event = answer.events[-1]
    assert (event.event, event.at) == ("study_canceled", NOW)
    assert event.fields == {
        "revisions": [1],
        "destinations": [],
        "by": "someone",
        "reason": "sent twice",
    }


def test_open_deliveries_are_ended_and_the_study_stays_as_it_was(bench: Bench) -> None:
    study = study_entry(1)
    for name, state in (
        ("pacs", DeliveryState.PENDING),
        ("viewer", DeliveryState.IN_PROGRESS),
        ("archive", DeliveryState.UNCONFIRMED),
        ("backup", DeliveryState.COMPLETED),
    ):
        add_delivery(study.revisions[0], name, state)
    uid = write(bench, study)
    with bench.database.writing() as session:
        for name, attempt in (("pacs", 2), ("viewer", 1)):
            bench.queue.enqueue_delivery(
                session, study_instance_uid=uid, revision=1, destination=name, attempt=attempt
            )

    cancellation = cancel(bench, uid, "")

    answer = read(bench, uid)
    assert cancellation.destinations == ("pacs", "viewer", "archive")
    assert cancellation.state is answer.summary.state is StudyState.COMPLETED
    assert bench.queue.waiting_or_running() == frozenset()
    assert [delivery.state for delivery in answer.deliveries] == [
        *[DeliveryState.CANCELED] * 3,
        DeliveryState.COMPLETED,
    ]
    assert answer.deliveries[0].reason == "Canceled by someone"


def test_the_try_that_waited_is_used_up(bench: Bench) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.PENDING).attempt = 0
    uid = write(bench, study)
    with bench.database.writing() as session:
        bench.queue.enqueue_delivery(
            session, study_instance_uid=uid, revision=1, destination="pacs", attempt=1
        )

    cancel(bench, uid)

    assert read(bench, uid).deliveries[0].attempt == 1


def test_a_study_that_receives_again_goes_on_doing_so(bench: Bench) -> None:
    study = study_entry(1, state=StudyState.SCHEDULED)
    study.state = StudyState.RECEIVING
    uid = write(bench, study)

    cancellation = cancel(bench, uid)

    assert cancellation.state is read(bench, uid).summary.state is StudyState.RECEIVING
    assert read(bench, uid).revisions[0].state is StudyState.CANCELED


def test_what_the_analysis_has_written_so_far_goes_and_earlier_results_stay(bench: Bench) -> None:
    study = study_entry(1)
    study.revisions.append(revision_entry(study, number=2, state=StudyState.IN_PROGRESS))
    study.state = StudyState.IN_PROGRESS
    kept = study.revisions[0].results[0].path
    uid = write(bench, study)
    bench.store.keep_bytes(b"content", kept)
    bench.store.keep_bytes(b"content", bench.store.record_place(study_instance_uid=uid, revision=2))

    cancel(bench, uid)
    remove_given_up(bench.database, bench.store)

    assert files_below(bench.store.path("studies")) == [bench.store.path(kept)]


@pytest.mark.parametrize(
    "state", [StudyState.COMPLETED, StudyState.FAILED, StudyState.CANCELED, StudyState.RECEIVING]
)
def test_where_nothing_is_open_that_is_said(bench: Bench, state: StudyState) -> None:
    uid = write(bench, study_entry(1, state=state))

    with pytest.raises(PermanentError, match=f"Nothing to cancel: study {uid} is {state}"):
        cancel(bench, uid)

    assert read(bench, uid).events[-1].event == "study_opened"


def test_an_unknown_study_is_refused(bench: Bench) -> None:
    with pytest.raises(UnknownStudy):
        cancel(bench, "1.2.3")


def test_a_canceled_study_can_be_analysed_anew(bench: Bench) -> None:
    uid = write(bench, study_entry(1, state=StudyState.SCHEDULED))
    cancel(bench, uid)

    rerun = reanalyse(bench.database, bench.queue, study_instance_uid=uid, weights="", at=NOW)

    assert (rerun.revision, rerun.attempt) == (2, 1)
    assert read(bench, uid).summary.state is StudyState.SCHEDULED


def test_an_image_that_comes_later_opens_a_canceled_study_again(bench: Bench) -> None:
    bench.admit(phantom())
    bench.set_state(StudyState.CANCELED)

    bench.admit(phantom(laterality="L"), NOW)

    assert bench.study().state == StudyState.RECEIVING


def test_neither_reason_nor_patient_reaches_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    uid = write(bench, study_entry(1, state=StudyState.SCHEDULED))

    with caplog.at_level(logging.DEBUG):
        cancel(bench, uid, "SECRET^NAME was confused")

    assert "SECRET" not in "".join(str(record.__dict__) for record in caplog.records)
