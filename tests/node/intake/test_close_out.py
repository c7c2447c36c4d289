"""When a study is complete, on a real database, with a clock that the test turns."""

import random
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from model.views import STANDARD_VIEWS
from node.errors import PermanentError, TriageReason
from node.intake.close_out import ClosedStudy, CloseOut
from node.settings import StudySettings
from node.study_log.database import Database, lock_study
from node.study_log.tables import (
    CloseReason,
    Instance,
    InstanceKind,
    Revision,
    Study,
    StudyState,
)
from phantoms import uid
from serving import wait_until

BEGIN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
VIEW_SET_QUIET_S, QUIET_S, CAP_S = 5, 60, 900


class Bench:
    """A log, a clock to turn, associations to open, and what was queued."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = BEGIN
        self.set_by = timedelta()
        self.open_studies: set[str] = set()
        self.queued: list[tuple[str, int, int]] = []
        self.refused: set[str] = set()
        self.close_out = self.restarted()

    def restarted(self) -> CloseOut:
        return CloseOut(
            self.database,
            StudySettings(view_set_quiet_s=VIEW_SET_QUIET_S, quiet_s=QUIET_S, cap_s=CAP_S),
            enqueue_analysis=self.enqueue,
            open_studies=lambda: self.open_studies,
            clock=lambda: self.now,
            steady=self.steady_s,
        )

    def steady_s(self) -> float:
        return (self.now - self.set_by - BEGIN).total_seconds()

    def set_clock(self, by: timedelta) -> None:
        self.now += by
        self.set_by += by

    def enqueue(
        self, session: Session, *, study_instance_uid: str, revision: int, attempt: int
    ) -> None:
        if study_instance_uid in self.refused:
            raise PermanentError(reason="the queue does not want it")
        assert session.in_transaction()
        self.queued.append((study_instance_uid, revision, attempt))

    def wait(self, seconds: float) -> list[ClosedStudy]:
        self.now += timedelta(seconds=seconds)
        return self.close_out.close_due()

    def receive(
        self,
        study: str,
        views: Iterable[tuple[str, str]] = (("R", "CC"),),
        *,
        kind: InstanceKind = InstanceKind.IMAGE,
        triage_reason: TriageReason | None = None,
    ) -> None:
        for laterality, view_position in views:
            with self.database.writing() as session:
                row = add_instance(
                    session,
                    study,
                    self.now,
                    laterality=laterality,
                    view_position=view_position,
                    kind=kind,
                    triage_reason=triage_reason,
                )
                assert row is not None

    def state(self, study: str) -> str:
        with self.database.reading() as session:
            return session.scalars(
                select(Study.state).where(Study.study_instance_uid == study)
            ).one()


def add_instance(
    session: Session,
    study_instance_uid: str,
    now: datetime,
    *,
    laterality: str = "R",
    view_position: str = "CC",
    kind: InstanceKind = InstanceKind.IMAGE,
    triage_reason: TriageReason | None = None,
) -> Instance:
    """Log an instance the way that admission does."""
    study = lock_study(session, study_instance_uid)
    if study is None:
        study = Study(
            study_instance_uid=study_instance_uid,
            state=StudyState.RECEIVING,
            **dict.fromkeys(
                (
                    "patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date",
                    "patient_sex", "accession_number", "study_date", "study_time",
                    "study_description", "calling_ae_title", "called_ae_title",
                ),
                "",
            ),
            first_received_at=now,
            last_received_at=now,
            quiet_from_at=now,
        )  # fmt: skip
        session.add(study)
    elif kind is InstanceKind.IMAGE:
        if study.state != StudyState.RECEIVING:
            study.first_received_at = now
        study.state = StudyState.RECEIVING
        study.last_received_at = study.quiet_from_at = now
    session.flush()
    number = session.scalar(select(func.count()).select_from(Instance))
    instance = Instance(
        study_id=study.id,
        sop_instance_uid=uid("instance", study_instance_uid, number),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        series_instance_uid=uid("series"),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        kind=kind,
        modality="MG",
        laterality=laterality,
        view_position=view_position,
        triage_reason=triage_reason,
        triage_detail="" if triage_reason is None else "as the test says",
        path=f"studies/{number}",
        size_bytes=1,
        dataset_sha256="0" * 64,
        calling_ae_title="TESTSCU",
        received_at=now,
    )
    session.add(instance)
    return instance


STUDY = uid("study")


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def test_the_four_standard_views_close_a_study_after_the_short_quiet_time(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)

    too_soon = bench.wait(VIEW_SET_QUIET_S - 0.001)
    closed = bench.wait(0.001)

    assert too_soon == []
    assert closed == [
        ClosedStudy(
            study_instance_uid=STUDY,
            revision=1,
            close_reason=CloseReason.VIEW_SET,
            image_count=4,
        )
    ]
    assert bench.queued == [(STUDY, 1, 1)]
    assert bench.state(STUDY) == StudyState.SCHEDULED


@pytest.mark.parametrize("missing", range(4))
def test_three_views_wait_for_the_long_quiet_time(bench: Bench, missing: int) -> None:
    bench.receive(STUDY, [v for i, v in enumerate(STANDARD_VIEWS) if i != missing])

    too_soon = bench.wait(QUIET_S - 0.001)
    closed = bench.wait(0.001)

    assert too_soon == []
    assert [study.close_reason for study in closed] == [CloseReason.QUIET]


def test_a_view_that_cannot_be_analysed_does_not_complete_the_view_set(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS[:3])
    bench.receive(STUDY, STANDARD_VIEWS[3:], triage_reason=TriageReason.SPOT_OR_MAGNIFICATION)

    assert bench.wait(QUIET_S - 1) == []


def test_a_fifth_image_starts_the_short_quiet_time_again(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.wait(VIEW_SET_QUIET_S - 1)
    bench.receive(STUDY, [("R", "XCCL")])

    too_soon = bench.wait(VIEW_SET_QUIET_S - 1)
    closed = bench.wait(1)

    assert too_soon == []
    assert [study.image_count for study in closed] == [5]


def test_an_open_association_keeps_a_complete_view_set_open(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.open_studies = {STUDY}
    while_open = bench.wait(QUIET_S - 10)
    bench.open_studies = set()
    bench.wait(0)

    too_soon = bench.wait(VIEW_SET_QUIET_S - 0.5)
    closed = bench.wait(0.5)

    assert while_open == []
    assert too_soon == []
    assert [study.close_reason for study in closed] == [CloseReason.VIEW_SET]


def test_an_open_association_of_another_study_changes_nothing(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.open_studies = {uid("another")}

    assert len(bench.wait(VIEW_SET_QUIET_S)) == 1


def test_an_association_that_never_ends_does_not_keep_a_study_open_for_ever(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.open_studies = {STUDY}

    assert [study.close_reason for study in bench.wait(QUIET_S)] == [CloseReason.QUIET]


def test_images_that_never_cease_are_cut_off_at_the_cap(bench: Bench) -> None:
    for _ in range(CAP_S // 50):
        bench.receive(STUDY)
        assert bench.wait(50 - 0.001) == []
        bench.now += timedelta(seconds=0.001)

    closed = bench.wait(0)

    assert [study.close_reason for study in closed] == [CloseReason.CAP]
    assert closed[0].image_count == CAP_S // 50


def test_a_late_look_still_names_the_rule_that_came_first(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)

    assert bench.wait(2 * CAP_S)[0].close_reason is CloseReason.VIEW_SET


def test_a_later_image_makes_a_new_revision_of_all_images(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.wait(VIEW_SET_QUIET_S)
    bench.now += timedelta(days=1)
    bench.receive(STUDY, [("L", "ML")])

    reopened = bench.state(STUDY)
    closed = bench.wait(VIEW_SET_QUIET_S)

    assert reopened == StudyState.RECEIVING
    assert [(study.revision, study.image_count) for study in closed] == [(2, 5)]
    assert bench.queued == [(STUDY, 1, 1), (STUDY, 2, 1)]


def test_down_time_is_not_quiet_time(bench: Bench) -> None:
    bench.receive(STUDY)
    bench.now += timedelta(hours=9)
    bench.close_out = bench.restarted()
    bench.close_out.start()

    too_soon = bench.wait(QUIET_S - 0.001)
    closed = bench.wait(0.001)

    assert too_soon == []
    assert len(closed) == 1


def test_after_a_restart_all_associations_count_as_ended(bench: Bench) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.open_studies = {STUDY}
    bench.wait(1)
    bench.open_studies = set()
    bench.close_out = bench.restarted()
    bench.close_out.start()

    assert [s.close_reason for s in bench.wait(VIEW_SET_QUIET_S)] == [CloseReason.VIEW_SET]


@pytest.mark.parametrize("by", [timedelta(hours=2), timedelta(days=400), timedelta(seconds=40)])
@pytest.mark.parametrize(("views", "quiet_s"), [((("R", "CC"),), QUIET_S), (STANDARD_VIEWS, 5)])
def test_a_clock_that_is_set_forward_closes_no_study_early(
    bench: Bench, by: timedelta, views: tuple[tuple[str, str], ...], quiet_s: int
) -> None:
    bench.receive(STUDY, views)
    assert bench.wait(quiet_s / 2) == []

    bench.set_clock(by)
    too_soon = bench.close_out.close_due() + bench.wait(quiet_s - 0.001)
    closed = bench.wait(0.001)

    assert too_soon == []
    assert len(closed) == 1


@pytest.mark.parametrize("by", [timedelta(hours=-2), timedelta(days=-400), timedelta(seconds=-40)])
@pytest.mark.parametrize(("views", "quiet_s"), [((("R", "CC"),), QUIET_S), (STANDARD_VIEWS, 5)])
def test_a_clock_that_is_set_back_keeps_no_study_open(
    bench: Bench, by: timedelta, views: tuple[tuple[str, str], ...], quiet_s: int
) -> None:
    bench.receive(STUDY, views)
    assert bench.wait(quiet_s / 2) == []

    bench.set_clock(by)
    too_soon = bench.close_out.close_due() + bench.wait(quiet_s - 0.001)
    closed = bench.wait(0.001)

    assert too_soon == []
    assert len(closed) == 1


def test_a_clock_that_was_set_back_while_the_node_was_down_keeps_no_study_open(
    bench: Bench,
) -> None:
    bench.receive(STUDY)
    bench.now -= timedelta(days=3)
    bench.close_out = bench.restarted()
    bench.close_out.start()

    assert len(bench.wait(QUIET_S)) == 1


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_cap_comes_when_it_would_have_come_though_the_clock_was_set(
    bench: Bench, hours: int
) -> None:
    waited_s = 0
    for _ in range(CAP_S // 50):
        bench.receive(STUDY)
        assert bench.wait(50 - 0.001) == [], f"closed after {waited_s} s"
        bench.now += timedelta(seconds=0.001)
        waited_s += 50
        if waited_s == 400:
            bench.set_clock(timedelta(hours=hours))

    assert [study.close_reason for study in bench.wait(0)] == [CloseReason.CAP]


def test_the_end_of_an_association_is_not_forgotten_when_the_clock_is_set(bench: Bench) -> None:
    bench.open_studies = {STUDY}
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.wait(10)
    bench.open_studies = set()
    bench.wait(1)

    bench.set_clock(timedelta(hours=-2))
    too_soon = bench.close_out.close_due()

    assert too_soon == []
    assert [s.close_reason for s in bench.wait(VIEW_SET_QUIET_S)] == [CloseReason.VIEW_SET]


@pytest.mark.parametrize("kind", [InstanceKind.NON_IMAGE, InstanceKind.OWN_RESULT])
def test_what_is_no_image_is_not_part_of_a_revision(bench: Bench, kind: InstanceKind) -> None:
    bench.receive(STUDY, STANDARD_VIEWS)
    bench.receive(STUDY, kind=kind)

    closed = bench.wait(VIEW_SET_QUIET_S)

    assert [study.image_count for study in closed] == [4]


def test_a_study_without_any_image_ends_without_work(bench: Bench) -> None:
    bench.receive(STUDY, kind=InstanceKind.NON_IMAGE)

    closed = bench.wait(QUIET_S)

    assert closed == []
    assert bench.queued == []
    assert bench.state(STUDY) == StudyState.SKIPPED


def test_a_study_of_unsuitable_images_is_closed_and_queued_so_that_a_report_can_say_so(
    bench: Bench,
) -> None:
    bench.receive(STUDY, triage_reason=TriageReason.FOR_PROCESSING)

    bench.wait(QUIET_S)

    with bench.database.reading() as session:
        revision = session.scalars(select(Revision)).one()
        assert [outcome.triage_reason for outcome in revision.outcomes] == [
            TriageReason.FOR_PROCESSING
        ]
    assert bench.queued == [(STUDY, 1, 1)]


def test_nothing_is_closed_when_nothing_could_be_queued(bench: Bench) -> None:
    bench.receive(STUDY)
    bench.refused = {STUDY}

    closed = bench.wait(QUIET_S)

    assert closed == []
    assert bench.state(STUDY) == StudyState.RECEIVING
    with bench.database.reading() as session:
        assert session.scalars(select(Revision)).all() == []


def test_a_study_that_cannot_be_closed_does_not_stand_in_the_way_of_others(bench: Bench) -> None:
    bench.receive(STUDY)
    bench.receive(uid("another"))
    bench.refused = {STUDY}

    closed = bench.wait(QUIET_S)

    assert [study.study_instance_uid for study in closed] == [uid("another")]


@pytest.mark.parametrize("seed", range(16))
def test_a_study_closes_at_the_first_of_the_three_rules_whatever_the_order(
    bench: Bench, seed: int
) -> None:
    """The rule once more, written over the whole history instead of over the log's few moments."""
    rng = random.Random(seed)
    arrivals: list[tuple[float, tuple[str, str]]] = []
    association_ends_at = 0.0
    at = 0.0
    for _ in range(rng.randint(1, 9)):
        arrivals.append((at, rng.choice([*STANDARD_VIEWS, ("R", "ML")])))
        association_ends_at = at + rng.choice([0, 0, 3, 20])
        at += rng.choice([0, 1, 4, 4.5, 6, 30, 59])

    def is_due(now: float) -> CloseReason | None:
        here = [(t, v) for t, v in arrivals if t <= now]
        last = max(t for t, _ in here)
        rules = {CloseReason.QUIET: last + QUIET_S, CloseReason.CAP: arrivals[0][0] + CAP_S}
        if set(STANDARD_VIEWS) <= {v for _, v in here} and now >= association_ends_at:
            rules[CloseReason.VIEW_SET] = max(last, association_ends_at) + VIEW_SET_QUIET_S
        due = {reason: moment for reason, moment in rules.items() if moment <= now}
        return min(due, key=lambda reason: due[reason]) if due else None

    step_s, pending, now = 0.5, list(arrivals), 0.0
    while True:
        bench.now = BEGIN + timedelta(seconds=now)
        bench.open_studies = {STUDY} if now < association_ends_at else set()
        while pending and pending[0][0] <= now:
            bench.receive(STUDY, [pending.pop(0)[1]])
        expected = is_due(now)
        closed = bench.close_out.close_due()

        assert [study.close_reason for study in closed] == ([expected] if expected else [])
        if closed:
            assert closed[0].image_count == len(arrivals) - len(pending)
            break
        now += step_s


def test_no_instance_is_lost_between_a_receiver_and_a_close_out_that_run_at_once(
    bench: Bench, log_url: str
) -> None:
    """Whatever was committed is in a revision: that of its study's close-out, or the next one."""
    studies = [uid("study", number) for number in range(4)]
    other_database = Database(log_url)
    close_out = CloseOut(
        other_database,
        StudySettings(view_set_quiet_s=0, quiet_s=0, cap_s=1),
        enqueue_analysis=bench.enqueue,
        open_studies=frozenset,
        clock=lambda: bench.now,
        steady=bench.steady_s,
    )
    is_over = threading.Event()

    def close_all_the_time() -> None:
        while not is_over.is_set():
            close_out.close_due()

    def is_queued(study: str) -> bool:
        return any(queued == study for queued, _, _ in bench.queued)

    def receive(study: str) -> None:
        for number, view in enumerate([*STANDARD_VIEWS, ("R", "ML")] * 4):
            if number == 10:
                # Else all may have come before the other side got the write lock even once.
                wait_until(lambda: is_queued(study), deadline_s=60, what="a first close-out")
            bench.receive(study, [view])

    closer = threading.Thread(target=close_all_the_time)
    receivers = [threading.Thread(target=receive, args=(study,)) for study in studies]
    for thread in (closer, *receivers):
        thread.start()
    for thread in receivers:
        thread.join()
    is_over.set()
    closer.join()
    close_out.close_due()
    other_database.close()

    with bench.database.reading() as session:
        for study in session.scalars(select(Study)):
            assert study.state == StudyState.SCHEDULED
            newest = study.revisions[-1]
            assert len(newest.outcomes) == len(study.instances) == 20
            assert [revision.number for revision in study.revisions] == list(
                range(1, len(study.revisions) + 1)
            )
            assert len([q for q in bench.queued if q[0] == study.study_instance_uid]) == len(
                study.revisions
            )
    assert any(revision > 1 for _, revision, _ in bench.queued), "the two never met"
