"""A conflict is settled: which data set is the instance afterwards, and which files are left."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bench import BEGIN, Bench, phantom
from node.errors import PermanentError, UnknownStudy
from node.intake.admit import Admission
from node.keeping.conflicts import Decision, accept, discard
from node.keeping.remove import remove_given_up
from node.study_log.tables import (
    CloseReason,
    Conflict,
    ConflictState,
    Delivery,
    DeliveryState,
    Event,
    InstanceKind,
    Removal,
    Revision,
    Study,
    StudyState,
)
from node.work_queue import WorkQueue
from peers import files_below
from phantoms import uid

SECOND_DAY = BEGIN + timedelta(days=1)
FIRST = phantom()
CORRECTED = phantom(PatientName="Corrected^Name", PatientID="PHANTOM-9", ViewPosition="ML")
TRANSCODED = phantom(PatientComments="another one")
UID = str(FIRST.StudyInstanceUID)


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    """A completed study of one image, with another data set kept aside for it."""
    bench = Bench(tmp_path, url=either_database)
    bench.admit(FIRST)
    bench.set_state(StudyState.COMPLETED)
    bench.admit(CORRECTED, SECOND_DAY)
    yield bench
    bench.close()


def accept_(bench: Bench, data_set: str = "", queue: WorkQueue | None = None) -> Decision:
    return accept(
        bench.database,
        bench.store,
        queue or bench.queue,
        study_instance_uid=UID,
        data_set=data_set,
        by="someone",
        at=SECOND_DAY,
    )


def discard_(bench: Bench, data_set: str = "") -> Decision:
    return discard(
        bench.database, study_instance_uid=UID, data_set=data_set, by="someone", at=SECOND_DAY
    )


def sweep(bench: Bench) -> int:
    """End the analyses, and delete what is given up."""
    with bench.database.writing() as session:
        session.execute(update(Revision).values(state=StudyState.COMPLETED))
    return remove_given_up(bench.database, bench.store)


def names_in_store(bench: Bench) -> list[str]:
    """Name the patients in the files of the store, with the folder that each lies in."""
    return [
        f"{path.parent.name}: {dcmread(path).PatientName}"
        for path in files_below(bench.store.path("studies"))
    ]


def revisions(bench: Bench) -> list[Revision]:
    with bench.database.reading() as session:
        return list(session.scalars(select(Revision).order_by(Revision.number)))


def queued(bench: Bench) -> list[str]:
    return sorted(bench.queue.waiting_or_running())


def test_what_is_accepted_is_the_instance_and_is_analysed_anew(bench: Bench) -> None:
    decision = accept_(bench)
    sweep(bench)

    (instance,) = bench.instances()
    (conflict,) = bench.conflicts()
    (revision,) = revisions(bench)
    assert decision.revision == 1
    assert decision.sop_instance_uids == (FIRST.SOPInstanceUID,)
    assert (instance.view_position, instance.dataset_sha256) == ("ML", conflict.dataset_sha256)
    assert dcmread(bench.store.path(instance.path)).PatientName == "Corrected^Name"
    assert names_in_store(bench) == ["instances: Corrected^Name"]
    assert (conflict.state, conflict.decided_by) == (ConflictState.ACCEPTED, "someone")
    assert revision.close_reason == CloseReason.CONFLICT
    assert queued(bench) == [f"analysis/{UID}/1/1"]
    assert (bench.study().state, bench.study().patient_id) == (StudyState.SCHEDULED, "PHANTOM-9")
    assert bench.events()[-1] == "conflict_accepted"


def test_the_event_names_no_patient(bench: Bench) -> None:
    accept_(bench)

    with bench.database.reading() as session:
        fields = session.scalars(select(Event).order_by(Event.id.desc())).first()
        assert fields is not None
        assert "Corrected" not in str(fields.fields)
        assert fields.fields["differing_keywords"] == "PatientName,PatientID,ViewPosition"


@pytest.mark.parametrize("study_state", [StudyState.COMPLETED, StudyState.RECEIVING])
def test_results_of_what_was_replaced_go_nowhere_any_more(
    bench: Bench, study_state: StudyState
) -> None:
    with bench.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.revisions.append(
            Revision(
                number=1,
                state=StudyState.COMPLETED,
                close_reason=CloseReason.QUIET,
                closed_at=BEGIN,
                weights="",
                attempt=1,
                reason="",
                deliveries=[
                    Delivery(
                        destination="pacs",
                        state=DeliveryState.PENDING,
                        attempt=0,
                        due_at=BEGIN,
                        reason="",
                    )
                ],
            )
        )
        study.state = study_state

    accept_(bench)

    with bench.database.reading() as session:
        delivery = session.scalars(select(Delivery)).one()
    assert (delivery.state, delivery.ended_at) == (DeliveryState.CANCELED, SECOND_DAY)


def test_a_study_that_is_being_received_takes_it_without_an_analysis_of_its_own(
    bench: Bench,
) -> None:
    bench.set_state(StudyState.RECEIVING)

    decision = accept_(bench)

    assert decision.revision is None
    assert bench.study().state == StudyState.RECEIVING
    assert bench.instances()[0].view_position == "ML"
    assert queued(bench) == []


def test_a_report_that_is_accepted_needs_no_analysis(bench: Bench) -> None:
    report = phantom(laterality="L", Rows=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")
    bench.admit(report)
    bench.set_state(StudyState.COMPLETED)
    report.SeriesDescription = "amended"
    bench.admit(report)
    bench.admit(CORRECTED)
    other = bench.conflicts()[1]

    decision = accept_(bench, other.dataset_sha256[:8])

    assert decision.revision is None
    assert bench.study().state == StudyState.COMPLETED
    assert [c.state for c in bench.conflicts()] == ["OPEN", "ACCEPTED"]
    assert bench.instances()[1].kind == InstanceKind.NON_IMAGE


def test_deciding_again_changes_nothing(bench: Bench) -> None:
    accept_(bench)
    sweep(bench)

    again = accept_(bench)

    assert (again.sop_instance_uids, again.decided_before) == ((), 1)
    assert len(revisions(bench)) == 1
    assert names_in_store(bench) == ["instances: Corrected^Name"]


def test_what_was_decided_one_way_is_not_decided_the_other_way(bench: Bench) -> None:
    accept_(bench)

    with pytest.raises(PermanentError, match="found one that is ACCEPTED"):
        discard_(bench)


def test_what_is_discarded_is_gone_and_the_instance_stays(bench: Bench) -> None:
    decision = discard_(bench)
    again = discard_(bench)
    sweep(bench)

    (conflict,) = bench.conflicts()
    assert decision.sop_instance_uids == (FIRST.SOPInstanceUID,)
    assert again.sop_instance_uids == ()
    assert conflict.state == ConflictState.DISCARDED
    assert names_in_store(bench) == [f"instances: {FIRST.PatientName}"]
    assert bench.study().state == StudyState.COMPLETED
    assert revisions(bench) == []


def test_what_was_discarded_and_comes_again_is_kept_aside_again(bench: Bench) -> None:
    discard_(bench)
    sweep(bench)

    admission = bench.admit(CORRECTED, SECOND_DAY)

    (conflict,) = bench.conflicts()
    assert admission is Admission.CONFLICT
    assert (conflict.state, conflict.decided_by) == (ConflictState.OPEN, None)
    assert bench.store.path(conflict.path).exists()


def test_what_comes_again_before_its_file_was_deleted_is_not_deleted(bench: Bench) -> None:
    discard_(bench)
    bench.admit(CORRECTED, SECOND_DAY)

    assert sweep(bench) == 0
    assert bench.store.path(bench.conflicts()[0].path).exists()


def test_the_data_set_that_was_replaced_is_a_conflict_when_it_comes_again(bench: Bench) -> None:
    accept_(bench)
    admission = bench.admit(FIRST, SECOND_DAY)
    sweep(bench)

    assert admission is Admission.CONFLICT
    assert sorted(names_in_store(bench)) == [
        f"conflicts: {FIRST.PatientName}",
        "instances: Corrected^Name",
    ]


def test_two_data_sets_are_taken_there_and_back(bench: Bench) -> None:
    accept_(bench)
    bench.admit(FIRST, SECOND_DAY)
    first = bench.conflicts()[1].dataset_sha256

    accept_(bench, first)
    sweep(bench)

    assert names_in_store(bench) == [f"instances: {FIRST.PatientName}"]
    assert bench.study().patient_id == FIRST.PatientID


def test_of_two_for_one_instance_the_one_that_is_named_is_accepted(bench: Bench) -> None:
    bench.admit(TRANSCODED)
    _, other = bench.conflicts()

    with pytest.raises(PermanentError, match="name it with --data-set"):
        accept_(bench)
    accept_(bench, other.dataset_sha256[:8].upper())
    sweep(bench)

    assert [c.state for c in bench.conflicts()] == ["OPEN", "ACCEPTED"]
    assert len(names_in_store(bench)) == 2


def test_a_data_set_of_another_study_is_not_taken(bench: Bench) -> None:
    discard_(bench)
    bench.admit(phantom(StudyInstanceUID=uid("elsewhere"), SOPInstanceUID=FIRST.SOPInstanceUID))

    with pytest.raises(PermanentError, match=r"another study by its Study Instance UID \(0020"):
        accept_(bench)

    assert bench.instances()[0].dataset_sha256 != bench.conflicts()[1].dataset_sha256


def test_what_is_not_there_is_said(bench: Bench) -> None:
    with pytest.raises(PermanentError, match="Expected a data set ffff kept aside"):
        accept_(bench, "ffff")
    with pytest.raises(UnknownStudy):
        discard(bench.database, study_instance_uid="1.2", data_set="", by="x", at=BEGIN)


def test_a_file_that_is_missing_is_not_accepted(bench: Bench) -> None:
    bench.store.remove(bench.conflicts()[0].path)

    with pytest.raises(PermanentError, match="found no file"):
        accept_(bench)

    assert bench.conflicts()[0].state == ConflictState.OPEN


class QueueThatBreaks(WorkQueue):
    """Dies where the work is queued: the transaction never ends."""

    def enqueue_analysis(self, session: Session, **_ids: object) -> None:
        raise KeyboardInterrupt


def test_a_crash_before_the_transaction_ends_leaves_all_as_it_was(bench: Bench) -> None:
    before = bench.instances()[0].path

    with pytest.raises(KeyboardInterrupt):
        accept_(bench, queue=QueueThatBreaks(""))
    sweep(bench)

    assert bench.instances()[0].path == before
    assert bench.conflicts()[0].state == ConflictState.OPEN
    assert bench.store.path(before).exists()
    assert bench.store.path(bench.conflicts()[0].path).exists()
    accept_(bench)
    sweep(bench)
    assert names_in_store(bench) == ["instances: Corrected^Name"]


def test_files_that_an_analysis_reads_wait_until_it_has_ended(bench: Bench) -> None:
    accept_(bench)

    while_it_runs = remove_given_up(bench.database, bench.store)
    afterwards = sweep(bench)

    assert (while_it_runs, afterwards) == (0, 2)
    with bench.database.reading() as session:
        assert session.scalars(select(Removal)).all() == []
        assert session.scalars(select(Conflict)).one().state == ConflictState.ACCEPTED
        assert session.scalars(select(Study)).one().state == StudyState.SCHEDULED
