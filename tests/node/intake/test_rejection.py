"""Rejection notes: what they take out, when, and what becomes of the study."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

import study_results
from bench import BEGIN, Bench
from node.errors import TriageReason
from node.intake.admit import Admission
from node.intake.close_out import CloseOut
from node.intake.rejection import TITLES, read_rejection_note
from node.keeping.conflicts import accept
from node.keeping.remove import remove_given_up
from node.report.write import write_results
from node.result_kinds import PROFILES, ResultKind
from node.settings import StudySettings
from node.study_log.tables import (
    CloseReason,
    Event,
    Gone,
    Rejection,
    Revision,
    Study,
    StudyState,
)
from phantoms import rejection_note, screening_study

NOW = BEGIN + timedelta(days=1)
STUDY = screening_study(rows=32, columns=24)
UID = str(STUDY[0].StudyInstanceUID)


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    """A completed study of four views."""
    bench = Bench(tmp_path, url=either_database)
    for ds in STUDY:
        bench.admit(ds)
    bench.set_state(StudyState.COMPLETED)
    yield bench
    bench.close()


def close(bench: Bench) -> list[tuple[str, str | None]]:
    """Close what is quiet; give views and triage reasons of the newest revision."""
    close_out = CloseOut(
        bench.database,
        StudySettings(),
        enqueue_analysis=bench.queue.enqueue_analysis,
        open_studies=list,
        clock=lambda: NOW + timedelta(hours=1),
        steady=lambda: 0.0,
    )
    close_out.close_due()
    with bench.database.reading() as session:
        revision = session.scalars(select(Revision).order_by(Revision.number.desc())).first()
        if revision is None:
            return []
        return [
            (f"{row.instance.laterality} {row.instance.view_position}", row.triage_reason)
            for row in revision.outcomes
        ]


def triaged(bench: Bench) -> list[str | None]:
    return [instance.triage_reason for instance in bench.instances()]


def last_fields(bench: Bench, event: str) -> dict[str, object]:
    with bench.database.reading() as session:
        row = session.scalars(
            select(Event).where(Event.event == event).order_by(Event.id.desc())
        ).first()
        assert row is not None
        return dict(row.fields)


@pytest.mark.parametrize("code_value", ["113001", "113037", "113038"])
def test_a_rejected_image_is_in_no_further_revision(bench: Bench, code_value: str) -> None:
    bench.admit(rejection_note(STUDY[:1], code_value=code_value), NOW)

    state = bench.study().state
    views = close(bench)

    first = bench.instances()[0]
    assert state == StudyState.RECEIVING
    assert (first.triage_reason, first.triage_detail) == (
        TriageReason.REJECTED,
        f"{TITLES[code_value]} ({code_value}, DCM)",
    )
    assert views == [("L CC", None), ("R MLO", None), ("L MLO", None)]
    assert bench.queue.waiting_or_running() == {f"analysis/{UID}/1/1"}
    assert last_fields(bench, "instances_rejected")["instances"] == 1


def test_if_nothing_is_left_the_revision_says_so(bench: Bench) -> None:
    bench.admit(rejection_note(STUDY), NOW)

    assert [reason for _, reason in close(bench)] == [TriageReason.REJECTED] * 4


def test_two_notes_add_up(bench: Bench) -> None:
    bench.admit(rejection_note(STUDY[:1]), NOW)
    bench.admit(rejection_note(STUDY[1:3], code_value="113037"), NOW)

    assert close(bench) == [("L MLO", None)]


def test_a_note_holds_for_an_image_that_comes_after_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.admit(rejection_note(STUDY[:1]))
    for ds in STUDY:
        bench.admit(ds, NOW)

    views = close(bench)

    assert [view for view, _ in views] == ["L CC", "R MLO", "L MLO"]
    assert last_fields(bench, "instances_rejected")["not_here"] == 1
    bench.close()


def test_a_rejected_image_that_comes_late_opens_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.admit(rejection_note(STUDY[:1]))
    bench.admit(STUDY[1])
    bench.set_state(StudyState.COMPLETED)

    bench.admit(STUDY[0], NOW)

    assert bench.study().state == StudyState.COMPLETED
    bench.close()


@pytest.mark.parametrize("title", ["113000", "113002"])
def test_another_title_rejects_nothing(bench: Bench, title: str) -> None:
    note = rejection_note(STUDY[:1], code_value=title)

    bench.admit(note, NOW)

    assert read_rejection_note(note) is None
    assert triaged(bench)[:4] == [None] * 4
    assert bench.study().state == StudyState.COMPLETED


def test_instances_of_another_study_are_not_heeded_and_counted(bench: Bench) -> None:
    other = screening_study(seed=5, rows=32, columns=24)

    bench.admit(rejection_note([STUDY[0], *other]), NOW)

    assert triaged(bench)[:4] == [TriageReason.REJECTED, None, None, None]
    assert last_fields(bench, "instances_rejected")["elsewhere"] == 4


def test_an_image_of_another_study_is_not_rejected_by_its_uid_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.admit(rejection_note(STUDY[:1]))
    (elsewhere, *_) = screening_study(seed=5, rows=32, columns=24)
    elsewhere.SOPInstanceUID = STUDY[0].SOPInstanceUID
    elsewhere.file_meta.MediaStorageSOPInstanceUID = STUDY[0].SOPInstanceUID

    bench.admit(elsewhere, NOW)

    assert triaged(bench) == ["not a mammogram", None]
    bench.close()


def test_results_of_what_was_rejected_go_nowhere_any_more(bench: Bench) -> None:
    with bench.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.revisions.append(
            Revision(
                number=1,
                state=StudyState.IN_PROGRESS,
                close_reason=CloseReason.VIEW_SET,
                closed_at=BEGIN,
                weights="",
                attempt=1,
                reason="",
            )
        )
        study.state = StudyState.IN_PROGRESS

    bench.admit(rejection_note(STUDY[:1]), NOW)

    with bench.database.reading() as session:
        revision = session.scalars(select(Revision)).one()
    assert (revision.state, revision.ended_at) == (StudyState.CANCELED, NOW)
    assert bench.study().state == StudyState.RECEIVING


def test_what_the_archive_keeps_no_longer_goes_without_a_new_revision(bench: Bench) -> None:
    paths = [bench.store.path(instance.path) for instance in bench.instances()]

    bench.admit(rejection_note(STUDY, code_value="113039"), NOW)
    remove_given_up(bench.database, bench.store)

    assert [path.exists() for path in paths] == [False] * 4
    assert {i.removed_because for i in bench.instances()[:4]} == {Gone.EXPIRED}
    assert bench.study().state == StudyState.COMPLETED
    assert bench.admit(STUDY[0], NOW) is Admission.STORED
    assert triaged(bench)[0] is None


def test_the_same_note_again_changes_nothing(bench: Bench) -> None:
    note = rejection_note(STUDY[:1])
    bench.admit(note, NOW)
    bench.set_state(StudyState.COMPLETED)

    assert bench.admit(note, NOW) is Admission.DUPLICATE
    assert bench.study().state == StudyState.COMPLETED


def test_a_note_whose_file_was_lost_is_received_again(bench: Bench) -> None:
    note = rejection_note(STUDY[:1])
    bench.admit(note, NOW)
    with bench.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.state = StudyState.COMPLETED
        study.instances[4].removed_at = NOW

    assert bench.admit(note, NOW) is Admission.STORED
    assert bench.study().state == StudyState.COMPLETED
    with bench.database.reading() as session:
        assert len(session.scalars(select(Rejection)).all()) == 1


def test_a_data_set_that_is_accepted_later_stays_rejected(bench: Bench) -> None:
    bench.admit(rejection_note(STUDY[:1]), NOW)
    (changed, *_) = screening_study(rows=32, columns=24, PatientComments="another")
    bench.admit(changed, NOW)

    accept(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=UID,
        data_set="",
        by="someone",
        at=NOW,
    )

    assert triaged(bench)[0] == TriageReason.REJECTED


def accept_note(bench: Bench, note: Dataset) -> int | None:
    """Take a note in the place of the one that came first; give the revision that follows."""
    bench.admit(note, NOW)
    return accept(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=UID,
        data_set="",
        by="someone",
        at=NOW,
    ).revision


@pytest.mark.parametrize("first_title", ["113001", "113000"])
def test_a_note_that_is_accepted_takes_effect(bench: Bench, first_title: str) -> None:
    first, second = rejection_note(STUDY[:1]), rejection_note(STUDY[:2])
    first.ConceptNameCodeSequence[0].CodeValue = first_title
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
    bench.admit(first, NOW)
    bench.set_state(StudyState.COMPLETED)

    revision = accept_note(bench, second)

    assert revision == 1
    assert triaged(bench)[:4] == [TriageReason.REJECTED] * 2 + [None] * 2
    assert last_fields(bench, "instances_rejected")["instances"] == 2
    with bench.database.reading() as session:
        (row,) = session.scalars(select(Revision)).all()
        assert [outcome.instance.laterality for outcome in row.outcomes] == ["R", "L"]


def test_a_note_of_retention_that_is_accepted_lets_files_go(bench: Bench) -> None:
    first, second = rejection_note(STUDY[:1]), rejection_note(STUDY[1:], code_value="113039")
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
    bench.admit(first, NOW)
    bench.set_state(StudyState.COMPLETED)

    assert accept_note(bench, second) is None
    assert [i.removed_because for i in bench.instances()[:4]] == [None] + [Gone.EXPIRED] * 3
    assert bench.study().state == StudyState.COMPLETED


def test_a_note_that_is_broken_rejects_what_it_names_soundly() -> None:
    note = rejection_note(STUDY[:2])
    study = note.CurrentRequestedProcedureEvidenceSequence[0]
    study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = ""
    del study.ReferencedSeriesSequence[1].ReferencedSOPSequence

    found = read_rejection_note(note)

    assert found is not None
    assert found.sop_instance_uids == frozenset()


def test_a_title_without_evidence_is_a_note_that_takes_nothing_out() -> None:
    note: Dataset = rejection_note(STUDY[:1], CurrentRequestedProcedureEvidenceSequence=None)

    found = read_rejection_note(note)

    assert found is not None
    assert found.sop_instance_uids == frozenset()


def test_the_report_of_a_study_that_is_all_rejected_says_so() -> None:
    rejected = [
        study_results.triaged(ds, TriageReason.REJECTED, "Rejected for Quality Reasons")
        for ds in STUDY
    ]

    made = write_results(study_results.study(*rejected), PROFILES["everything"])

    (report,) = [one.dataset for one in made if one.kind is ResultKind.SCORE_REPORT]
    assert {one.kind for one in made} >= {ResultKind.SCORE_REPORT, ResultKind.CAD_REPORT}
    texts = [str(e.value) for e in report.iterall() if e.keyword == "TextValue"]
    assert sum("rejected (Rejected for Quality Reasons)" in text for text in texts) == 4
