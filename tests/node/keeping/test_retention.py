"""What is let go of when, what never is, and what can still be asked of it afterwards."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bench import BEGIN, Bench, phantom
from log_entries import RECEIVED_AT, add_conflict, add_delivery, revision_entry, study_entry
from node.analysis.outcome import objects_of_others
from node.errors import PermanentError
from node.intake.admit import Admission
from node.keeping import retention
from node.keeping.passing_time import MARK_INTERVAL, mark_time
from node.keeping.remove import remove_given_up
from node.keeping.retention import held_back, let_go_of_old
from node.rerun.analysis import reanalyse
from node.rerun.failed import retry
from node.settings import RetentionSettings
from node.study_log.queries import read_study
from node.study_log.tables import DeliveryState, Instance, Removal, Study, StudyState
from peers import files_below

BOTH = RetentionSettings(instances_days=30, results_days=30)
INSTANCES = RetentionSettings(instances_days=30)
DUE = RECEIVED_AT + timedelta(days=31)
UID = study_entry(1).study_instance_uid


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    bench = Bench(tmp_path, url=either_database)
    yield bench
    bench.close()


def delivered(number: int = 1, state: StudyState = StudyState.COMPLETED) -> Study:
    study = study_entry(number, state=state)
    if state is StudyState.COMPLETED:
        add_delivery(study.revisions[0], "pacs", DeliveryState.COMPLETED)
    return study


def write(bench: Bench, study: Study) -> None:
    """Put a study into the log, and a file where each of its rows says that there is one."""
    places = [instance.path for instance in study.instances]
    places += [result.path for revision in study.revisions for result in revision.results]
    for place in places:
        bench.store.keep_bytes(b"content", place)
    with bench.database.writing() as session:
        session.add(study)


def run(bench: Bench, settings: RetentionSettings = BOTH, at: datetime = DUE) -> int:
    count = let_go_of_old(bench.database, settings, at)
    remove_given_up(bench.database, bench.store)
    return count


def files(bench: Bench) -> list[Path]:
    return files_below(bench.store.path("studies"))


def test_what_is_old_and_delivered_goes_and_its_rows_stay(bench: Bench) -> None:
    write(bench, delivered())

    count = run(bench)

    with bench.database.reading() as session:
        answer = read_study(session, UID)
    assert count == 2
    assert files(bench) == []
    assert list(bench.store.path("studies").iterdir()) == []
    assert answer.summary.state is StudyState.COMPLETED
    assert (answer.summary.instances, answer.summary.removed_at) == (0, DUE)
    assert {instance.removed_at for instance in answer.instances} == {DUE}
    assert {result.removed_at for result in answer.results} == {DUE}
    assert answer.revisions[0].score == 0.89
    assert [event.event for event in answer.events[-2:]] == [
        "instances_expired",
        "results_expired",
    ]


def test_it_is_let_go_of_once(bench: Bench) -> None:
    write(bench, delivered())
    run(bench)

    assert run(bench, at=DUE + timedelta(days=100)) == 0
    assert len(bench.events()) == 3


def test_nothing_goes_before_its_time(bench: Bench) -> None:
    write(bench, delivered())

    assert run(bench, at=RECEIVED_AT + timedelta(days=30)) == 0
    assert len(files(bench)) == 10


def test_without_a_number_of_days_nothing_ever_goes(bench: Bench) -> None:
    write(bench, delivered())

    assert run(bench, RetentionSettings(), DUE + timedelta(days=10_000)) == 0


def test_instances_go_and_results_stay_where_only_instances_are_named(bench: Bench) -> None:
    write(bench, delivered())

    assert run(bench, INSTANCES) == 1
    assert {path.parent.parent.name for path in files(bench)} == {"results"}
    assert len(files(bench)) == 5


def _failed_delivery(study: Study) -> None:
    add_delivery(study.revisions[0], "viewer", DeliveryState.FAILED)


def _waiting_delivery(study: Study) -> None:
    add_delivery(study.revisions[0], "viewer", DeliveryState.PENDING).ended_at = None


def _delivery_under_way(study: Study) -> None:
    add_delivery(study.revisions[0], "viewer", DeliveryState.IN_PROGRESS).ended_at = None


def _unconfirmed_delivery(study: Study) -> None:
    add_delivery(study.revisions[0], "viewer", DeliveryState.UNCONFIRMED).ended_at = None


def _delivered_late(study: Study) -> None:
    add_delivery(study.revisions[0], "viewer", DeliveryState.COMPLETED).ended_at = DUE


def _open_conflict(study: Study) -> None:
    add_conflict(study.instances[0])


def _received_late(study: Study) -> None:
    study.instances[4].received_at = DUE


def _analysed_anew(study: Study) -> None:
    study.revisions.append(revision_entry(study, number=2, state=StudyState.SCHEDULED))
    study.state = StudyState.SCHEDULED


def _old_delivery_waits(study: Study) -> None:
    _waiting_delivery(study)
    study.revisions.append(revision_entry(study, number=2, state=StudyState.SKIPPED))


def _receiving(study: Study) -> None:
    study.state = StudyState.RECEIVING


def _failed(study: Study) -> None:
    study.state = study.revisions[0].state = StudyState.FAILED


@pytest.mark.parametrize(
    "hold",
    [
        _failed_delivery,
        _waiting_delivery,
        _delivery_under_way,
        _unconfirmed_delivery,
        _delivered_late,
        _open_conflict,
        _received_late,
        _analysed_anew,
        _old_delivery_waits,
        _receiving,
        _failed,
    ],
)
def test_a_study_that_is_not_settled_is_kept(bench: Bench, hold: Callable[[Study], None]) -> None:
    study = delivered()
    hold(study)
    write(bench, study)

    assert run(bench) == 0
    assert len(files(bench)) == 10


def test_what_an_older_revision_failed_to_deliver_does_not_matter_any_more(bench: Bench) -> None:
    study = delivered()
    _failed_delivery(study)
    second = revision_entry(study, number=2, state=StudyState.COMPLETED)
    study.revisions.append(second)
    add_delivery(second, "pacs", DeliveryState.COMPLETED)
    write(bench, study)

    assert run(bench) == 2
    assert files(bench) == []


def test_a_delivery_that_is_not_to_end_any_more_holds_nothing(bench: Bench) -> None:
    study = delivered()
    add_delivery(study.revisions[0], "viewer", DeliveryState.CANCELED)
    write(bench, study)

    assert run(bench) == 2
    assert files(bench) == []


def test_results_that_were_sent_nowhere_are_kept(bench: Bench) -> None:
    write(bench, study_entry(1))

    assert run(bench) == 1
    assert {path.parent.parent.name for path in files(bench)} == {"results"}


def test_a_study_without_an_image_that_could_be_analysed_goes_too(bench: Bench) -> None:
    write(bench, delivered(state=StudyState.SKIPPED))

    assert run(bench) == 1
    assert files(bench) == []


def test_few_studies_go_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for number in (1, 2, 3):
        write(bench, delivered(number))

    assert run(bench, INSTANCES) == 2
    assert run(bench, INSTANCES) == 1


def test_a_crash_before_the_files_are_deleted_is_made_up_for(bench: Bench) -> None:
    write(bench, delivered())
    let_go_of_old(bench.database, BOTH, DUE)

    assert len(files(bench)) == 10
    assert remove_given_up(bench.database, bench.store) == 10
    assert files(bench) == []


def test_a_file_that_cannot_be_deleted_is_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(bench, delivered())
    let_go_of_old(bench.database, INSTANCES, DUE)

    def refuse(_path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(PermissionError):
            remove_given_up(bench.database, bench.store)

    assert remove_given_up(bench.database, bench.store) == 5


def test_a_file_that_cannot_be_deleted_does_not_keep_the_others(bench: Bench) -> None:
    write(bench, delivered())
    let_go_of_old(bench.database, INSTANCES, DUE)
    stuck = files(bench)[0]
    stuck.unlink()
    (stuck / "a folder in its place").mkdir(parents=True)

    with pytest.raises(OSError, match=stuck.name):
        remove_given_up(bench.database, bench.store)

    with bench.database.reading() as session:
        (left,) = session.scalars(select(Removal.path)).all()
    assert bench.store.path(left) == stuck


def test_what_is_asked_for_without_the_files_is_refused_in_a_sentence(bench: Bench) -> None:
    study = delivered()
    write(bench, study)
    run(bench)

    with pytest.raises(PermanentError, match=r"The images of study .* are gone since 2026-04"):
        reanalyse(bench.database, bench.queue, study_instance_uid=UID, weights="", at=DUE)
    with bench.database.writing() as session:
        row = session.scalars(select(Study)).one()
        row.state = row.revisions[0].state = StudyState.FAILED
    with pytest.raises(PermanentError, match=r"5 of the 5 images .* are gone since 2026-04"):
        retry(bench.database, bench.queue, study_instance_uid=UID, at=DUE)
    with bench.database.writing() as session:
        row = session.scalars(select(Study)).one()
        row.state = row.revisions[0].state = StudyState.COMPLETED
        row.revisions[0].deliveries[0].state = DeliveryState.FAILED
    with pytest.raises(PermanentError, match=r"The results of study .* are gone since 2026-04"):
        retry(bench.database, bench.queue, study_instance_uid=UID, at=DUE)


def test_an_instance_that_comes_again_is_received_as_new(bench: Bench) -> None:
    bench.admit(phantom())
    bench.set_state(StudyState.COMPLETED)
    let_go_of_old(bench.database, INSTANCES, BEGIN + timedelta(days=31))
    again_at = BEGIN + timedelta(days=40)

    admission = bench.admit(phantom(), again_at)
    remove_given_up(bench.database, bench.store)

    (instance,) = bench.instances()
    assert admission is Admission.STORED
    assert (instance.removed_at, instance.received_at) == (None, again_at)
    assert bench.store.path(instance.path).exists()
    assert bench.study().state == StudyState.RECEIVING
    assert bench.events()[-2:] == ["study_reopened", "instance_received_again"]


def test_another_data_set_in_the_place_of_one_that_is_gone_is_no_conflict(bench: Bench) -> None:
    bench.admit(phantom())
    bench.set_state(StudyState.COMPLETED)
    let_go_of_old(bench.database, INSTANCES, BEGIN + timedelta(days=31))

    admission = bench.admit(phantom(PatientComments="corrected"), BEGIN + timedelta(days=40))
    remove_given_up(bench.database, bench.store)

    (instance,) = bench.instances()
    assert admission is Admission.STORED
    assert bench.conflicts() == []
    assert files(bench) == [bench.store.path(instance.path)]


def test_a_result_that_is_gone_is_written_anew_by_the_next_revision(bench: Bench) -> None:
    study = delivered()
    write(bench, study)
    run(bench)

    with bench.database.writing() as session:
        row = session.scalars(select(Study)).one()
        second = revision_entry(row, number=2, state=StudyState.SCHEDULED)
        row.revisions.append(second)
        session.flush()

        assert objects_of_others(session, second) == {}


YEARS = timedelta(days=3 * 365)


def live(bench: Bench, begin: datetime, days: float) -> datetime:
    """Let the node run, with a clock that shows `begin` at first; give what it shows at the end."""
    end = begin + timedelta(days=days)
    at = begin
    while at < end:
        mark_time(bench.database, at)
        at += timedelta(minutes=10) + MARK_INTERVAL
    return end


def test_what_is_old_by_the_clock_and_by_the_marks_goes_in_time(bench: Bench) -> None:
    live(bench, RECEIVED_AT - timedelta(days=2), 2)
    write(bench, delivered())
    at = live(bench, RECEIVED_AT + timedelta(hours=1), 30)

    too_soon = run(bench, at=at)
    at = live(bench, at, 0.5)

    assert too_soon == 0
    assert run(bench, at=at) == 2


def test_a_clock_that_is_years_ahead_makes_nothing_old(bench: Bench) -> None:
    live(bench, RECEIVED_AT - timedelta(days=2), 2)
    write(bench, delivered())
    live(bench, RECEIVED_AT + timedelta(hours=1), 3)

    at = live(bench, RECEIVED_AT + YEARS, 25)
    write(bench, study_entry(2, received_at=at - timedelta(days=24)))
    too_soon = run(bench, at=at)
    held = held_back(bench.database, BOTH, at)
    at = live(bench, at, 3)
    once_it_is_old = run(bench, at=at)

    assert too_soon == 0
    assert held == 2
    assert once_it_is_old == 2
    assert held_back(bench.database, BOTH, at) == 0


def test_what_came_while_the_clock_was_years_behind_is_not_old_when_it_is_right(
    bench: Bench,
) -> None:
    live(bench, RECEIVED_AT, 2)
    behind = live(bench, RECEIVED_AT - YEARS, 2)
    write(bench, study_entry(1, received_at=behind, state=StudyState.SKIPPED))

    at = live(bench, RECEIVED_AT + timedelta(days=4), 25)

    assert run(bench, at=at) == 0
    assert held_back(bench.database, BOTH, at) == 1
    assert run(bench, at=live(bench, at, 6)) == 1


def test_time_that_the_node_was_off_counts_little(bench: Bench) -> None:
    live(bench, RECEIVED_AT - timedelta(days=1), 1)
    write(bench, delivered())
    live(bench, RECEIVED_AT + timedelta(hours=1), 10)

    at = live(bench, RECEIVED_AT + timedelta(days=60), 19)

    assert run(bench, at=at) == 0
    assert run(bench, at=live(bench, at, 1.5)) == 2


def test_what_was_there_before_the_first_mark_is_as_old_as_it_says(bench: Bench) -> None:
    write(bench, delivered())
    live(bench, RECEIVED_AT + timedelta(days=25), 1)

    at_once = run(bench, at=RECEIVED_AT + timedelta(days=26) + YEARS)
    at = live(bench, RECEIVED_AT + timedelta(days=26), 5)

    assert at_once == 0
    assert run(bench, at=at) == 2


def test_instances_that_went_do_not_keep_the_results(bench: Bench) -> None:
    settings = RetentionSettings(instances_days=30, results_days=60)
    write(bench, delivered())
    at = live(bench, RECEIVED_AT + timedelta(hours=1), 31)
    instances = run(bench, settings, at)

    at = live(bench, at, 30)

    assert (instances, run(bench, settings, at)) == (1, 1)
    assert files(bench) == []


def test_rows_that_were_removed_are_not_counted_as_here(bench: Bench) -> None:
    write(bench, delivered())
    with bench.database.writing() as session:
        session.scalars(select(Instance)).first().removed_at = DUE  # type: ignore[union-attr]

    with bench.database.reading() as session:
        assert read_study(session, UID).summary.instances == 4
