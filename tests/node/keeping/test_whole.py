"""Rows against files: what is found, what a node at work is not blamed for, and what is mended."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from bench import BEGIN, Bench, phantom
from node.commands.fsck import _turn
from node.errors import PermanentError
from node.intake.admit import Admission
from node.keeping.conflicts import discard
from node.keeping.promises import Fault, Kind
from node.keeping.remove import remove_given_up
from node.keeping.repair import repair
from node.keeping.whole import YOUNG_S, Examiner, Finding
from node.study_log.revisions import queue_revision
from node.study_log.tables import (
    CloseReason,
    Event,
    Instance,
    Result,
    Revision,
    Study,
    StudyState,
)
from peers import files_below
from phantoms import write

UID = str(phantom().StudyInstanceUID)
RESULTS = f"studies/{UID}/results/1"


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    """A completed study of two images, a conflict and a result, all whole."""
    bench = Bench(tmp_path, url=either_database)
    bench.admit(phantom())
    bench.admit(phantom(laterality="L"))
    bench.admit(phantom(PatientComments="another"))
    queue = bench.queue
    with bench.database.writing() as session:
        study = session.scalars(select(Study)).one()
        revision = queue_revision(
            session,
            queue.enqueue_analysis,
            study,
            study.instances,
            close_reason=CloseReason.QUIET,
            closed_at=BEGIN,
        )
        revision.results.append(result())
        study.state = revision.state = StudyState.COMPLETED
    bench.store.keep_bytes(b"a report", f"{RESULTS}/1.2.dcm")
    yield bench
    bench.close()


def result() -> Result:
    return Result(
        kind="score_report",
        index=0,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        sop_instance_uid="1.2",
        series_instance_uid="1.3",
        path=f"{RESULTS}/1.2.dcm",
        size_bytes=8,
        file_sha256=hashlib.sha256(b"a report").hexdigest(),
        created_at=BEGIN,
    )


def examine(
    bench: Bench, *, is_alone: bool = True, at: datetime | None = None, reads_files: bool = True
) -> list[Finding]:
    examiner = Examiner(
        bench.database,
        bench.store,
        now=lambda: at or datetime.now(UTC),
        is_alone=is_alone,
        reads_files=reads_files,
    )
    return list(examiner.examine())


def found(bench: Bench, **how: bool) -> list[tuple[Fault, Kind]]:
    return [(finding.fault, finding.kind) for finding in examine(bench, **how)]  # type: ignore[arg-type]


def mend(bench: Bench) -> list[str]:
    return [
        repair(finding, database=bench.database, store=bench.store, now=lambda: datetime.now(UTC))
        for finding in sorted(examine(bench), key=_turn)
    ]


def first(bench: Bench) -> Path:
    return bench.store.path(bench.instances()[0].path)


def damage(path: Path) -> None:
    """Turn one bit of the last byte but one."""
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def test_what_is_whole_has_no_findings(bench: Bench) -> None:
    assert found(bench) == []
    assert found(bench, is_alone=False) == []


def test_a_missing_instance_is_found_and_may_be_sent_again(bench: Bench) -> None:
    first(bench).unlink()

    before = found(bench)
    done = mend(bench)
    afterwards = found(bench)
    admission = bench.admit(phantom())

    assert before == [(Fault.MISSING, Kind.INSTANCE)]
    assert done == ["logged as lost; have the PACS send it again"]
    assert afterwards == []
    assert admission is Admission.STORED
    assert first(bench).exists()
    assert "instance_lost" in bench.events()


def test_one_bit_that_has_turned_is_found_by_reading_the_file(bench: Bench) -> None:
    damage(first(bench))

    assert found(bench, reads_files=False) == []
    assert found(bench) == [(Fault.DAMAGED, Kind.INSTANCE)]
    assert mend(bench) == ["logged as lost; have the PACS send it again"]


def test_a_damaged_file_is_kept_until_the_instance_comes_again(bench: Bench) -> None:
    damage(first(bench))
    mend(bench)

    (strange,) = examine(bench)
    admission = bench.admit(phantom())

    assert strange.fault is Fault.STRANGE
    assert admission is Admission.STORED
    assert found(bench) == []


@pytest.mark.parametrize("keep_bytes", [0, 100, -1])
def test_a_file_that_was_cut_off_is_found_by_its_size_alone(bench: Bench, keep_bytes: int) -> None:
    path = first(bench)
    path.write_bytes(path.read_bytes()[:keep_bytes])

    assert found(bench, reads_files=False) == [(Fault.DAMAGED, Kind.INSTANCE)]


def test_a_missing_conflict_counts_as_discarded_and_may_be_sent_again(bench: Bench) -> None:
    bench.store.remove(bench.conflicts()[0].path)

    assert found(bench) == [(Fault.MISSING, Kind.CONFLICT)]
    assert mend(bench) == ["logged as discarded; have the PACS send it again"]
    assert bench.admit(phantom(PatientComments="another")) is Admission.CONFLICT
    assert found(bench) == []


@pytest.mark.parametrize("content", [None, b"another", b"a rePort"])
def test_a_result_that_is_not_what_was_written_is_found(
    bench: Bench, content: bytes | None
) -> None:
    path = bench.store.path(f"{RESULTS}/1.2.dcm")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    (finding,) = examine(bench)
    done = mend(bench)

    assert finding.kind is Kind.RESULT
    assert finding.fault is (Fault.MISSING if content is None else Fault.DAMAGED)
    assert done == ["logged as lost; `mammonode studies reanalyse` makes new ones"]


def test_a_whole_instance_that_no_row_knows_is_received_anew(bench: Bench) -> None:
    bench.admit(phantom(seed=5))
    with bench.database.writing() as session:
        study = session.scalars(select(Study).order_by(Study.id.desc())).first()
        assert study is not None
        for table in (Event, Instance):
            session.execute(delete(table).where(table.study_id == study.id))
        session.execute(delete(Study).where(Study.id == study.id))

    before = found(bench)
    done = mend(bench)

    assert before == [(Fault.UNKNOWN, Kind.FILE)]
    assert done == ["received anew"]
    assert found(bench) == []
    assert str(phantom(seed=5).SOPInstanceUID) in [i.sop_instance_uid for i in bench.instances()]


def test_a_file_that_was_moved_is_found_where_it_is(bench: Bench) -> None:
    moved = first(bench)
    elsewhere = bench.store.path(f"studies/1.2.3/instances/{moved.name}")
    elsewhere.parent.mkdir(parents=True)
    moved.rename(elsewhere)

    done = mend(bench)

    assert done == ["put back in its place", "whole by now"]
    assert found(bench) == []
    assert first(bench).exists()


@pytest.mark.parametrize("is_conflict", [False, True])
def test_a_file_that_was_lost_and_turns_up_again_is_taken_in(
    bench: Bench, is_conflict: bool
) -> None:
    place = bench.conflicts()[0].path if is_conflict else bench.instances()[0].path
    content = bench.store.path(place).read_bytes()
    bench.store.remove(place)
    mend(bench)

    bench.store.keep_bytes(content, place)

    assert mend(bench) == ["kept aside as a conflict" if is_conflict else "received anew"]
    assert found(bench) == []


def test_an_empty_disk_is_not_taken_for_the_end_of_all_files(bench: Bench) -> None:
    studies = bench.store.path("studies")
    studies.rename(studies.with_name("elsewhere"))
    examiner = Examiner(bench.database, bench.store, now=lambda: datetime.now(UTC), is_alone=True)

    with pytest.raises(PermanentError, match="Is the disk mounted"):
        examiner.require_files()


def test_a_copy_of_what_is_held_elsewhere_is_left_over(bench: Bench) -> None:
    (conflict,) = bench.conflicts()
    bench.store.link(conflict.path, conflict.path.replace("/conflicts/", "/instances/"))

    assert found(bench) == [(Fault.LEFT_OVER, Kind.FILE)]
    assert mend(bench) == ["deleted"]
    assert bench.store.path(conflict.path).exists()


def test_what_was_given_up_and_is_back_is_left_over(bench: Bench) -> None:
    (conflict,) = bench.conflicts()
    content = bench.store.path(conflict.path).read_bytes()
    discard(bench.database, study_instance_uid=UID, data_set="", by="someone", at=BEGIN)
    before_it_was_deleted = found(bench)
    remove_given_up(bench.database, bench.store)
    bench.store.keep_bytes(content, conflict.path)

    assert before_it_was_deleted == []
    assert found(bench) == [(Fault.LEFT_OVER, Kind.FILE)]


@pytest.mark.parametrize(
    "place",
    [
        f"{RESULTS}/7.8.9.dcm",
        f"{RESULTS}/analysis.npz",
        f"{RESULTS}/7.8.9.dcm.part",
        "incoming/tmpabc",
    ],
)
def test_what_a_process_that_died_left_behind_is_deleted(bench: Bench, place: str) -> None:
    bench.store.keep_bytes(b"half of it", place)

    assert found(bench) == [(Fault.LEFT_OVER, Kind.FILE)]
    assert mend(bench) == ["deleted"]
    assert found(bench) == []


def test_results_of_an_analysis_under_way_are_its_own(bench: Bench) -> None:
    with bench.database.writing() as session:
        session.scalars(select(Revision)).one().state = StudyState.IN_PROGRESS
    bench.store.keep_bytes(b"half of it", f"{RESULTS}/7.8.9.dcm")

    assert found(bench) == []


@pytest.mark.parametrize("name", ["instances/notes.txt", "instances/1.2.0123456789abcdef.dcm"])
def test_what_the_node_did_not_write_is_left_to_a_person(bench: Bench, name: str) -> None:
    bench.store.keep_bytes(b"to whom it may concern", f"studies/{UID}/{name}")

    assert found(bench) == [(Fault.STRANGE, Kind.FILE)]
    assert mend(bench) == [""]
    assert bench.store.path(f"studies/{UID}/{name}").exists()


def test_beside_a_running_node_young_files_are_passed_over(bench: Bench) -> None:
    write(phantom(seed=9), bench.store.incoming)
    bench.store.keep_bytes(b"half of it", f"{RESULTS}/7.8.9.dcm")
    later = datetime.now(UTC) + timedelta(seconds=YOUNG_S + 60)

    young = examine(bench, is_alone=False)
    old = examine(bench, is_alone=False, at=later)

    assert young == []
    assert [finding.path for finding in old] == [f"{RESULTS}/7.8.9.dcm"]


def test_a_row_that_came_between_two_looks_is_no_finding(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.store.keep_bytes(b"another", f"{RESULTS}/3.4.dcm")
    list_files = bench.store.places_below

    def list_and_commit(folder: str) -> list[str]:
        places = list_files(folder)
        with bench.database.writing() as session:
            if session.scalar(select(Result.id).where(Result.sop_instance_uid == "3.4")) is None:
                row = result()
                row.index, row.sop_instance_uid, row.path = 1, "3.4", f"{RESULTS}/3.4.dcm"
                row.size_bytes, row.file_sha256 = 7, hashlib.sha256(b"another").hexdigest()
                revision = session.scalars(select(Revision)).one()
                revision.results.append(row)
        return places

    monkeypatch.setattr(bench.store, "places_below", list_and_commit)

    assert found(bench) == []


def test_a_finding_that_a_row_promises_by_now_is_not_deleted(bench: Bench) -> None:
    place = f"{RESULTS}/1.2.dcm"
    stale = Finding(
        fault=Fault.LEFT_OVER, kind=Kind.FILE, path=place, study_instance_uid=UID, detail=""
    )

    done = repair(stale, database=bench.database, store=bench.store, now=lambda: BEGIN)

    assert done == ""
    assert bench.store.path(place).exists()


@pytest.mark.parametrize("fault", [Fault.MISSING, Fault.DAMAGED])
def test_an_instance_that_is_whole_by_now_is_not_logged_as_lost(bench: Bench, fault: Fault) -> None:
    content = first(bench).read_bytes()
    damage(first(bench)) if fault is Fault.DAMAGED else first(bench).unlink()
    (finding,) = examine(bench)
    first(bench).write_bytes(content)

    done = repair(finding, database=bench.database, store=bench.store, now=lambda: BEGIN)

    assert finding.fault is fault
    assert done == "whole by now"
    assert bench.instances()[0].removed_at is None
    assert "instance_lost" not in bench.events()


def test_a_finding_about_a_file_that_no_row_promises_any_more_changes_nothing(
    bench: Bench,
) -> None:
    bench.store.remove(bench.conflicts()[0].path)
    (finding,) = examine(bench)
    discard(bench.database, study_instance_uid=UID, data_set="", by="someone", at=BEGIN)

    done = repair(finding, database=bench.database, store=bench.store, now=lambda: BEGIN)

    assert done == "no row promises it any more"
    assert bench.conflicts()[0].decided_by == "someone"
    assert "conflict_lost" not in bench.events()


def test_a_result_from_before_hashes_were_kept_is_judged_by_its_size(bench: Bench) -> None:
    with bench.database.writing() as session:
        session.scalars(select(Result)).one().file_sha256 = None
    bench.store.keep_bytes(b"a rePort", f"{RESULTS}/1.2.dcm")

    assert found(bench) == []


def test_nothing_is_changed_by_looking(bench: Bench) -> None:
    first(bench).unlink()
    bench.store.keep_bytes(b"x", f"{RESULTS}/analysis.npz")
    before = files_below(bench.settings.data_dir / "studies"), bench.events()

    examine(bench)

    assert (files_below(bench.settings.data_dir / "studies"), bench.events()) == before
