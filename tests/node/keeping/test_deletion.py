"""A study that a person has deleted: what goes, what stays, and what comes of it later."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bench import BEGIN, Bench, phantom
from log_entries import add_conflict, add_delivery, revision_entry, study_entry
from node.delivery.commitment import Report
from node.delivery.commitment_log import CommitmentLog
from node.delivery.due import due_tries
from node.errors import PermanentError, UnknownStudy
from node.intake.admit import Admission
from node.keeping.deletion import Deletion, delete_study
from node.keeping.patients import Patient, correct
from node.keeping.remove import remove_given_up
from node.keeping.whole import Examiner
from node.rerun.analysis import reanalyse
from node.rerun.failed import retry
from node.settings import DestinationSettings
from node.study_log.database import SQLITE_FILE
from node.study_log.queries import read_study
from node.study_log.tables import (
    CommitmentRequest,
    ConflictState,
    DeliveryState,
    Gone,
    Study,
    StudyState,
)
from peers import files_below

NOW = BEGIN + timedelta(days=5)
PHANTOM = str(phantom().StudyInstanceUID)


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    bench = Bench(tmp_path, url=either_database)
    yield bench
    bench.close()


def write(bench: Bench, study: Study) -> str:
    """Put a study into the log, with its files, and give its UID."""
    places = [instance.path for instance in study.instances]
    places += [c.path for instance in study.instances for c in instance.conflicts]
    places += [result.path for revision in study.revisions for result in revision.results]
    for place in places:
        bench.store.keep_bytes(b"content", place)
    with bench.database.writing() as session:
        session.add(study)
        return study.study_instance_uid


def delete(bench: Bench, uid: str, reason: str = "a test") -> Deletion:
    deletion = delete_study(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=uid,
        reason=reason,
        by="someone",
        at=NOW,
    )
    remove_given_up(bench.database, bench.store)
    return deletion


def test_all_files_go_and_the_row_stays_with_the_reason(bench: Bench) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.COMPLETED)
    add_conflict(study.instances[0])
    uid = write(bench, study)

    deletion = delete(bench, uid, " wrong patient ")

    with bench.database.reading() as session:
        answer = read_study(session, uid)
        row = session.scalars(select(Study)).one()
    assert (deletion.files, deletion.canceled, deletion.delivered_to) == (11, 0, ("pacs",))
    assert files_below(bench.store.path("studies")) == []
    assert answer.summary.state is StudyState.DELETED
    assert answer.deletion is not None
    assert (answer.deletion.reason, answer.deletion.by) == ("wrong patient", "someone")
    assert {instance.removed_because for instance in answer.instances} == {Gone.DELETED}
    assert answer.revisions[0].score == 0.89
    assert answer.conflicts[0].state is ConflictState.DISCARDED
    assert answer.events[-1].event == "study_deleted"
    assert (row.patient_name, row.patient_id, row.accession_number) == ("", "", "")


def test_open_work_is_ended(bench: Bench) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.PENDING, statuses=(None,) * 5)
    second = revision_entry(study, number=2, state=StudyState.SCHEDULED)
    study.revisions.append(second)
    study.state = StudyState.SCHEDULED
    uid = write(bench, study)
    with bench.database.writing() as session:
        bench.queue.enqueue_analysis(session, study_instance_uid=uid, revision=2, attempt=1)
        bench.queue.enqueue_delivery(
            session, study_instance_uid=uid, revision=1, destination="pacs", attempt=2
        )

    deletion = delete(bench, uid)

    with bench.database.reading() as session:
        answer = read_study(session, uid)
    assert deletion.canceled == 2
    assert bench.queue.waiting_or_running() == frozenset()
    assert answer.revisions[1].state is StudyState.CANCELED
    assert answer.deliveries[0].state is DeliveryState.CANCELED


def test_a_delivery_that_waits_for_its_report_is_ended_for_good(bench: Bench) -> None:
    study = study_entry(1)
    waiting = add_delivery(study.revisions[0], "pacs", DeliveryState.UNCONFIRMED)
    waiting.due_at = NOW - timedelta(days=1)
    uids = frozenset(item.result.sop_instance_uid for item in waiting.objects)
    waiting.commitment_requests.append(
        CommitmentRequest(transaction_uid="1.2.3", requested_at=BEGIN)
    )
    uid = write(bench, study)
    pacs = DestinationSettings(
        name="pacs", ae_title="PACS", host="127.0.0.1", port=104, profile="ohif"
    )
    settings = bench.settings.model_copy(update={"destinations": (pacs,)})
    commitment = CommitmentLog(settings=settings, database=bench.database, now=lambda: NOW)

    deletion = delete(bench, uid)
    commitment.give_up_waiting()
    report = Report(transaction_uid="1.2.3", committed=frozenset(), failed=dict.fromkeys(uids, 1))
    is_known = commitment.take_report(report, ae_title="PACS")

    with bench.database.reading() as session:
        (delivery,) = read_study(session, uid).deliveries
        assert due_tries(session, NOW + timedelta(days=1)) == []
    assert (deletion.canceled, deletion.delivered_to, is_known) == (1, ("pacs",), True)
    assert delivery.state is DeliveryState.CANCELED
    assert files_below(bench.store.path("studies")) == []


def test_what_a_worker_wrote_and_had_no_time_to_log_goes_too(bench: Bench) -> None:
    study = study_entry(1)
    study.revisions.append(revision_entry(study, number=2, state=StudyState.IN_PROGRESS))
    uid = write(bench, study)
    folder = bench.store.results_folder(study_instance_uid=uid, revision=2)
    for name in ("analysis.npz", "1.2.3.dcm", "1.2.4.dcm.part"):
        bench.store.keep_bytes(b"content", f"{folder}/{name}")

    delete(bench, uid)

    assert files_below(bench.store.path("studies")) == []


def test_deleting_again_changes_nothing(bench: Bench) -> None:
    uid = write(bench, study_entry(1))
    delete(bench, uid, "the first reason")

    again = delete(bench, uid, "another reason")

    with bench.database.reading() as session:
        answer = read_study(session, uid)
    assert (again.was_deleted, again.files) == (True, 0)
    assert answer.deletion is not None
    assert answer.deletion.reason == "the first reason"


def test_what_the_rows_said_of_the_patient_is_nowhere_in_the_database_file(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    for seed in range(30):
        bench.admit(phantom(seed=seed, PatientName=f"SECRET^NAME{seed}", PatientID=f"SECRET{seed}"))
    for name in ("CORRECTED", "AGAIN"):
        correct(
            bench.database,
            bench.queue,
            Patient(patient_id="SECRET7"),
            {"PatientName": f"SECRET^NAME7^{name}"},
            reason="a test",
            by="someone",
            at=NOW,
        )
    said = (b"SECRET^NAME7", b"SECRET7")
    before = database_bytes(bench)

    delete(bench, str(phantom(seed=7).StudyInstanceUID))

    after = database_bytes(bench)
    assert [text in before for text in said] == [True, True]
    assert [text in after for text in said] == [False, False]
    assert b"SECRET^NAME8" in after
    bench.close()


def database_bytes(bench: Bench) -> bytes:
    """Read all that SQLite keeps on the disk."""
    file = bench.settings.data_dir / SQLITE_FILE
    return b"".join(
        path.read_bytes() for path in sorted(file.parent.glob(f"{file.name}*")) if path.is_file()
    )


def test_a_deletion_has_a_reason_and_a_study(bench: Bench) -> None:
    uid = write(bench, study_entry(1))

    with pytest.raises(PermanentError, match="Expected a reason"):
        delete(bench, uid, "  ")
    with pytest.raises(UnknownStudy):
        delete(bench, "1.2.3")


def test_nothing_is_done_again_for_a_deleted_study(bench: Bench) -> None:
    uid = write(bench, study_entry(1))
    delete(bench, uid)

    with pytest.raises(PermanentError, match=r"deleted on request at 2026-03-06.*send it again"):
        retry(bench.database, bench.queue, study_instance_uid=uid, at=NOW)
    with pytest.raises(PermanentError, match="deleted on request"):
        reanalyse(bench.database, bench.queue, study_instance_uid=uid, weights="", at=NOW)


def test_what_comes_later_is_received_as_new_and_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.admit(phantom())
    delete(bench, PHANTOM)

    with caplog.at_level(logging.WARNING):
        admission = bench.admit(phantom(), NOW)
    remove_given_up(bench.database, bench.store)

    (instance,) = bench.instances()
    assert admission is Admission.STORED
    assert bench.store.path(instance.path).exists()
    assert bench.study().state == StudyState.RECEIVING
    assert bench.study().patient_id == phantom().PatientID
    assert bench.study().deletion_reason == "a test"
    assert "received again" in caplog.text
    assert phantom().PatientID not in caplog.text


def test_another_instance_of_a_deleted_study_opens_it_too(bench: Bench) -> None:
    bench.admit(phantom())
    delete(bench, PHANTOM)

    bench.admit(phantom(laterality="L"), NOW)

    assert bench.study().state == StudyState.RECEIVING
    assert [instance.removed_because for instance in bench.instances()] == [Gone.DELETED, None]


def test_a_crash_before_the_files_are_deleted_is_made_up_for(bench: Bench) -> None:
    bench.admit(phantom())
    delete_study(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=PHANTOM,
        reason="a test",
        by="someone",
        at=NOW,
    )

    examiner = Examiner(bench.database, bench.store, now=lambda: NOW, is_alone=True)
    assert list(examiner.examine()) == []
    assert remove_given_up(bench.database, bench.store) == 1
    assert files_below(bench.store.path("studies")) == []


def test_neither_reason_nor_patient_reaches_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    uid = write(bench, study_entry(1))

    with caplog.at_level(logging.DEBUG):
        delete(bench, uid, "SECRET^NAME was confused")

    assert "SECRET" not in "".join(str(record.__dict__) for record in caplog.records)
