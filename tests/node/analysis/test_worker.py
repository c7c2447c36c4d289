"""The durable workflow on a real log, store and queue; what the network would find is made up."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import select

import phantoms
import study_results
from log_entries import study_entry
from model.image_statistics import STATISTICS
from node.analysis import worker as worker_module
from node.analysis.sources import SourceInstance
from node.analysis.worker import AnalysisWorker, kinds_written
from node.errors import PermanentError, TransientError
from node.keeping.cancellation import cancel_study
from node.keeping.deletion import delete_study
from node.keeping.patients import Patient, correct
from node.keeping.remove import remove_given_up
from node.report import codes
from node.report.write import write_results
from node.result_kinds import EXPERIMENTAL, REPORT_KINDS
from node.results import Predecessor, StudyResult
from node.settings import DestinationSettings, Settings, WorkSettings
from node.store import Store
from node.study_log.corrections import corrected_sha256
from node.study_log.database import Database
from node.study_log.tables import (
    CloseReason,
    DeliveryState,
    Event,
    Instance,
    InstanceOutcome,
    PatientCorrection,
    Revision,
    Study,
    StudyState,
)
from node.work_queue import AnalysisWork, WorkQueue
from older_version import as_record_of_format_1
from peers import files_below

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Crash(BaseException):
    """Stands for the end of the process: nothing catches it."""


@dataclass
class MadeUpAnalyser:
    """Finds what it is told to find, or fails."""

    found: StudyResult
    failures: list[BaseException] = field(default_factory=list)
    sources: Sequence[SourceInstance] = ()
    predecessors: Sequence[Predecessor] = ()

    def analyse(
        self,
        *,
        study_instance_uid: str,
        revision: int,
        closed_at: datetime,
        sources: Sequence[SourceInstance],
        predecessors: Sequence[Predecessor],
    ) -> StudyResult:
        self.sources, self.predecessors = sources, predecessors
        if self.failures:
            raise self.failures.pop(0)
        return replace(
            self.found,
            revision=revision,
            closed_at=closed_at,
            predecessors=tuple(predecessors),
        )


@dataclass
class Node:
    """A data folder with one study that was closed out."""

    settings: Settings
    database: Database
    store: Store
    queue: WorkQueue
    analyser: MadeUpAnalyser

    @property
    def study_instance_uid(self) -> str:
        return self.analyser.found.study_instance_uid

    def worker(self) -> AnalysisWorker:
        """Start a worker, as a new process would."""
        return AnalysisWorker(
            settings=self.settings,
            database=self.database,
            store=self.store,
            queue=self.queue,
            analyser_for=lambda _weights: self.analyser,
            now=lambda: NOW,
        )

    def work(self, *, revision: int = 1, attempt: int = 1) -> AnalysisWork:
        return AnalysisWork(
            study_instance_uid=self.study_instance_uid, revision=revision, attempt=attempt
        )

    def attempt(self, attempt: int = 1, *, worker: AnalysisWorker | None = None) -> None:
        """Do one attempt as the worker loop does."""
        worker = worker or self.worker()
        work = self.work(attempt=attempt)
        try:
            worker.analyse(work, lambda _name, step: step())
        except Exception as error:  # noqa: BLE001  (the worker loop of the test)
            worker.failed(work, error)

    def revision(self, number: int = 1) -> Revision:
        with self.database.reading() as session:
            revision = session.scalars(select(Revision).where(Revision.number == number)).one()
            # Loaded while the session lasts.
            assert all(outcome.instance for outcome in revision.outcomes)
            assert all(row.path for row in revision.results)
            assert all(row.objects for row in revision.deliveries)
            assert revision.study.state
            session.expunge_all()
            return revision

    def events(self) -> list[str]:
        with self.database.reading() as session:
            return list(session.scalars(select(Event.event).order_by(Event.id)))[1:]

    def contents(self, number: int = 1) -> dict[str, bytes]:
        """Give the bytes of every result object in the store, by its UID."""
        results = self.revision(number).results
        return {row.sop_instance_uid: self.store.path(row.path).read_bytes() for row in results}


def raises(error: BaseException) -> Callable[..., None]:
    """Make a function that raises."""

    def fail(*_: object) -> None:
        raise error

    return fail


def make_node(folder: Path, found: StudyResult, log_url: str) -> Node:
    study_results.as_read_from_files(found)
    settings = Settings(
        data_dir=folder,
        work=WorkSettings(max_attempts=3),
        destinations=(
            DestinationSettings(
                name="pacs", ae_title="PACS", host="127.0.0.1", port=104, profile="everything"
            ),
            DestinationSettings(
                name="archive",
                ae_title="ARCHIVE",
                host="127.0.0.1",
                port=105,
                results="score_report",
            ),
        ),
    )
    folder.mkdir()
    database = Database(log_url)
    queue = WorkQueue(log_url)
    store = Store(folder)
    store.prepare()
    with database.writing() as session:
        session.add(scheduled_study(found))
        queue.enqueue_analysis(
            session, study_instance_uid=found.study_instance_uid, revision=1, attempt=1
        )
    return Node(settings, database, store, queue, MadeUpAnalyser(found))


def scheduled_study(found: StudyResult) -> Study:
    """Make the log's entry of a study that holds the instances of `found`."""
    study = study_entry(state=StudyState.RECEIVING)
    study.study_instance_uid = found.study_instance_uid
    study.state = StudyState.SCHEDULED
    del study.instances[len(found.instances) :]
    for row, instance in zip(study.instances, found.instances, strict=True):
        row.sop_instance_uid = instance.sop_instance_uid
        row.triage_reason, row.triage_detail = instance.triage_reason, instance.triage_detail
    add_revision(study, 1)
    return study


def add_curious_destination(node: Node) -> None:
    """Add a destination that names the experimental kinds."""
    curious = node.settings.destinations[1].model_copy(
        update={"name": "curious", "results": EXPERIMENTAL}
    )
    destinations = (*node.settings.destinations, curious)
    node.settings = node.settings.model_copy(update={"destinations": destinations})


def add_revision(study: Study, number: int) -> None:
    study.state = StudyState.SCHEDULED
    study.revisions.append(
        Revision(
            number=number,
            state=StudyState.SCHEDULED,
            close_reason=CloseReason.VIEW_SET,
            closed_at=study_results.CLOSED_AT,
            weights="",
            attempt=1,
            reason="",
            outcomes=[InstanceOutcome(instance=row, triage_detail="") for row in study.instances],
        )
    )


@pytest.fixture
def make(tmp_path: Path, fresh_log: Callable[[], str]) -> Iterator[Callable[[StudyResult], Node]]:
    nodes: list[Node] = []

    def make(found: StudyResult) -> Node:
        nodes.append(make_node(tmp_path / f"node {len(nodes)}", found, fresh_log()))
        return nodes[-1]

    yield make
    for node in nodes:
        node.queue.close()
        node.database.close()


@pytest.fixture
def node(make: Callable[[StudyResult], Node]) -> Node:
    return make(study_results.positive())


def test_a_study_ends_with_its_scores_objects_and_deliveries(node: Node) -> None:
    node.attempt()

    revision = node.revision()
    found = node.analyser.found
    assert (revision.state, revision.study.state) == (StudyState.COMPLETED, StudyState.COMPLETED)
    assert revision.score == found.score
    assert (revision.score_right, revision.score_left) == tuple(b.score for b in found.breasts)
    assert revision.is_suspicious is True
    assert revision.weights_sha256 == found.manifest.sha256
    assert [outcome.score for outcome in revision.outcomes] == [i.score for i in found.instances]
    statistics = [i.image_statistics for i in found.instances]
    for outcome, expected in zip(revision.outcomes, statistics, strict=True):
        assert expected is not None
        assert {name: getattr(outcome, name) for name in STATISTICS} == asdict(expected)
    kinds = Counter(row.kind for row in revision.results)
    assert (kinds["score_report"], kinds["measurement_report"], kinds["heat_map"]) == (1, 1, 4)
    for row in revision.results:
        ds = dcmread(node.store.path(row.path))
        assert ds.SOPInstanceUID == row.sop_instance_uid
        assert ds.StudyInstanceUID == node.study_instance_uid
    assert node.events() == ["analysis_started", "analysis_completed"]


def test_each_destination_gets_the_kinds_that_it_asked_for_in_work_of_its_own(node: Node) -> None:
    node.attempt()

    deliveries = {row.destination: row for row in node.revision().deliveries}
    uid = node.study_instance_uid
    everything = len(node.revision().results)
    assert len(deliveries["pacs"].objects) == everything
    assert len(deliveries["archive"].objects) == 1
    assert {row.state for row in deliveries.values()} == {DeliveryState.PENDING}
    assert {f"delivery/{uid}/1/pacs/1", f"delivery/{uid}/1/archive/1"} <= (
        node.queue.waiting_or_running()
    )


def test_experimental_kinds_are_written_where_a_destination_names_them(node: Node) -> None:
    unasked = kinds_written(node.settings.destinations)
    add_curious_destination(node)

    node.attempt()

    revision = node.revision()
    kinds = Counter(row.kind for row in revision.results)
    assert set(EXPERIMENTAL).isdisjoint(unasked)
    assert (kinds["key_object"], kinds["parametric_map"]) == (1, 4)
    objects = {row.destination: len(row.objects) for row in revision.deliveries}
    assert (objects["curious"], objects["archive"]) == (5, 1)
    assert objects["pacs"] == len(revision.results) - 5


def test_a_study_without_an_analysable_image_is_skipped_and_reported(
    make: Callable[[StudyResult], Node],
) -> None:
    node = make(study_results.all_triaged())

    node.attempt()

    revision = node.revision()
    assert revision.state == StudyState.SKIPPED
    assert "not a mammogram" in revision.reason
    assert revision.score is None
    assert revision.is_suspicious is None
    kinds = Counter(row.kind for row in revision.results)
    assert (kinds["score_report"], kinds["heat_map"]) == (1, 0)
    assert all(outcome.triage_reason for outcome in revision.outcomes)
    assert {row.destination for row in revision.deliveries} == {"pacs", "archive"}


def test_an_attempt_that_failed_for_now_is_queued_again_and_gives_the_same_bytes(
    make: Callable[[StudyResult], Node],
) -> None:
    node, undisturbed = make(study_results.positive()), make(study_results.positive())
    undisturbed.attempt()
    node.analyser.failures = [TransientError(reason="No space left on device")]

    node.attempt(1)
    postponed = node.revision()
    is_queued = node.work(attempt=2).workflow_id in node.queue.waiting_or_running()
    node.attempt(2)

    assert (postponed.state, postponed.attempt) == (StudyState.SCHEDULED, 2)
    assert postponed.reason == "No space left on device"
    assert is_queued
    assert node.revision().state == StudyState.COMPLETED
    assert node.revision().reason == ""
    assert node.contents() == undisturbed.contents()


@pytest.mark.parametrize(
    "spoil",
    [
        as_record_of_format_1,
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.unlink(),
    ],
    ids=["of a version long before", "damaged", "gone"],
)
def test_an_outcome_that_cannot_be_used_is_found_again_and_fails_no_study(
    make: Callable[[StudyResult], Node], spoil: Callable[[Path], object]
) -> None:
    node, undisturbed = make(study_results.positive()), make(study_results.positive())
    undisturbed.attempt()
    place = node.store.record_place(study_instance_uid=node.study_instance_uid, revision=1)

    def spoiled_between_the_steps(_name: str, step: Callable[[], str]) -> str:
        done = step()
        if node.store.path(place).exists():
            spoil(node.store.path(place))
        return done

    node.worker().analyse(node.work(), spoiled_between_the_steps)

    revision = node.revision()
    assert (revision.state, revision.attempt, revision.interruptions) == (
        StudyState.COMPLETED,
        1,
        0,
    )
    assert node.contents() == undisturbed.contents()
    assert not node.store.path(place).exists()


def test_the_last_attempt_that_fails_fails_the_study_with_its_reason(node: Node) -> None:
    node.analyser.failures = [OSError(28, "No space left on device")] * 3

    for attempt in (1, 2, 3):
        node.attempt(attempt)

    revision = node.revision()
    assert (revision.state, revision.study.state) == (StudyState.FAILED, StudyState.FAILED)
    assert "No space left on device" in revision.reason
    assert revision.ended_at == NOW
    assert node.events()[-1] == "analysis_failed"


@pytest.fixture
def stored(make: Callable[[StudyResult], Node]) -> Node:
    """Give a node that really has the images in its store."""
    node = make(study_results.positive())
    views = phantoms.screening_study(lesion_in_right=True)
    with node.database.writing() as session:
        for row, ds in zip(
            session.scalars(select(Instance).order_by(Instance.id)), views, strict=True
        ):
            row.path = f"{row.sop_instance_uid}.dcm"
            node.store.keep_bytes(phantoms.to_bytes(ds), row.path)
    return node


def reports(node: Node, number: int = 1) -> dict[str, Dataset]:
    """Read the result objects of a revision, by kind."""
    rows = node.revision(number).results
    return {row.kind: dcmread(node.store.path(row.path)) for row in rows}


def test_a_failed_study_is_reported_with_its_reason_and_delivered(stored: Node) -> None:
    stored.analyser.failures = [PermanentError(reason="no such weights")]

    stored.attempt()

    written = reports(stored)
    assert set(written) == {"score_report", "cad_report", "summary_page"}
    assert "no such weights" in written["score_report"].to_json()
    assert codes.NONE_SUCCEEDED.meaning in written["cad_report"].to_json()
    revision = stored.revision()
    assert (revision.state, revision.reason) == (StudyState.FAILED, "no such weights")
    assert {row.destination: len(row.objects) for row in revision.deliveries} == {
        "pacs": 3,
        "archive": 1,
    }
    uid = stored.study_instance_uid
    assert f"delivery/{uid}/1/pacs/1" in stored.queue.waiting_or_running()


def test_a_study_that_ends_its_worker_is_reported_without_reading_a_pixel(stored: Node) -> None:
    for ds in phantoms.screening_study(lesion_in_right=True, PixelData=b"no pixels of it!"):
        stored.store.keep_bytes(phantoms.to_bytes(ds), f"{ds.SOPInstanceUID}.dcm")
    stored.analyser.failures = [Crash(), Crash(), Crash()]
    for _ in range(3):
        with pytest.raises(Crash):
            stored.attempt()

    stored.attempt()

    assert "The worker process ended 3 times" in reports(stored)["score_report"].to_json()


def test_an_image_that_cannot_be_read_is_missing_in_the_report_of_a_failure(stored: Node) -> None:
    first, *others = stored.analyser.found.instances
    stored.store.path(f"{first.sop_instance_uid}.dcm").write_bytes(b"no DICOM")
    stored.analyser.failures = [PermanentError(reason="damaged")]

    stored.attempt()

    (evidence,) = reports(stored)["score_report"].CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert named == {one.sop_instance_uid for one in others}


def test_a_study_of_which_nothing_can_be_read_is_failed_in_the_log_alone(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.analyser.failures = [PermanentError(reason="gone")]

    node.attempt()

    assert node.revision().state == StudyState.FAILED
    assert node.revision().results == []
    assert node.revision().deliveries == []
    assert "failure_report_without_image" in {r.__dict__.get("event") for r in caplog.records}


def test_a_report_that_cannot_be_made_does_not_keep_the_study_from_failing(
    stored: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_store: Store, _content: bytes, place: str) -> Path:
        raise OSError(28, f"No space left on device: {place}")

    stored.analyser.failures = [PermanentError(reason="damaged")]
    monkeypatch.setattr(Store, "keep_bytes", refuse)

    stored.attempt()

    assert stored.revision().state == StudyState.FAILED
    assert stored.revision().reason == "damaged"
    assert "failure_not_reported" in {r.__dict__.get("event") for r in caplog.records}


def test_a_report_that_ends_its_worker_is_given_up_in_the_end(
    stored: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(_store: Store, _content: bytes, _place: str) -> Path:
        raise Crash

    stored.analyser.failures = [PermanentError(reason="damaged") for _ in range(5)]
    monkeypatch.setattr(Store, "keep_bytes", crash)
    for _ in range(4):
        with pytest.raises(Crash):
            stored.attempt()

    stored.attempt()

    assert stored.revision().state == StudyState.FAILED
    assert "failure_not_reported" in {r.__dict__.get("event") for r in caplog.records}


def test_a_success_after_a_reported_failure_replaces_its_reports(stored: Node) -> None:
    stored.analyser.failures = [PermanentError(reason="no such weights")]
    stored.attempt()
    failure = {row.kind: row.sop_instance_uid for row in stored.revision().results}
    with stored.database.writing() as session:
        add_revision(session.scalars(select(Study)).one(), 2)

    stored.worker().analyse(stored.work(revision=2), lambda _name, step: step())

    success = reports(stored, 2)
    assert stored.revision(2).state == StudyState.COMPLETED
    assert {ds.SOPInstanceUID for ds in success.values()}.isdisjoint(failure.values())
    for kind in ("score_report", "cad_report"):
        (study,) = success[kind].PredecessorDocumentsSequence
        (series,) = study.ReferencedSeriesSequence
        (replaced,) = series.ReferencedSOPSequence
        assert replaced.ReferencedSOPInstanceUID == failure[kind]


def test_a_failure_of_a_revision_that_was_overtaken_is_not_reported(stored: Node) -> None:
    worker = stored.worker()
    with stored.database.writing() as session:
        add_revision(session.scalars(select(Study)).one(), 2)

    worker.failed(stored.work(), PermanentError(reason="late"))

    assert stored.revision(1).state == StudyState.CANCELED
    assert stored.revision(1).results == []


def test_what_no_later_attempt_would_mend_fails_the_study_at_once(node: Node) -> None:
    node.analyser.failures = [PermanentError(reason="no such weights")]

    node.attempt()

    assert node.revision().state == StudyState.FAILED
    assert node.revision().reason == "no such weights"


def test_a_process_that_died_between_the_steps_is_followed_by_the_second_step_alone(
    node: Node, make: Callable[[StudyResult], Node]
) -> None:
    undisturbed = make(study_results.positive())
    undisturbed.attempt()

    def die_after_analyse(name: str, step: Callable[[], str]) -> str:
        if name == "report":
            raise Crash
        return step()

    with pytest.raises(Crash):
        node.worker().analyse(node.work(), die_after_analyse)
    node.analyser.failures = [AssertionError("analysed again")]
    node.worker().analyse(node.work(), lambda name, step: "done" if name == "analyse" else step())

    assert node.revision().state == StudyState.COMPLETED
    assert node.revision().interruptions == 1
    assert node.contents() == undisturbed.contents()


def test_a_report_that_died_before_its_transaction_is_written_again_over_the_same_files(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    keep_bytes = Store.keep_bytes

    def die_at_the_third(store: Store, content: bytes, place: str) -> Path:
        written.append(place)
        if len(written) == 3:
            raise Crash
        return keep_bytes(store, content, place)

    monkeypatch.setattr(Store, "keep_bytes", die_at_the_third)
    with pytest.raises(Crash):
        node.attempt()
    node.attempt()

    assert written[3:6] == written[:3]
    assert len(node.contents()) == len(written) - 3
    assert node.revision().state == StudyState.COMPLETED


def test_a_process_that_died_after_its_last_transaction_leaves_no_outcome_behind(
    stored: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as dying:
        dying.setattr(Store, "remove", die)
        with pytest.raises(Crash):
            stored.attempt()
    left = [path.name for path in files_below(stored.store.path("studies"))]
    # Of the two steps the first one is known to have ended.
    stored.worker().analyse(
        stored.work(), lambda name, step: "done" if name == "analyse" else step()
    )

    assert "analysis.npz" in left
    assert stored.revision().state == StudyState.COMPLETED
    names = [path.name for path in files_below(stored.store.path("studies"))]
    assert "analysis.npz" not in names


def test_a_study_that_ends_its_worker_again_and_again_is_failed(node: Node) -> None:
    node.analyser.failures = [Crash(), Crash(), Crash()]
    for _ in range(3):
        with pytest.raises(Crash):
            node.attempt()

    node.attempt()

    revision = node.revision()
    assert revision.state == StudyState.FAILED
    assert revision.reason == "The worker process ended 3 times in the middle of it"


def test_a_worker_that_was_told_to_stop_is_not_counted_as_interrupted(node: Node) -> None:
    stopped = node.worker()
    node.analyser.failures = [Crash()]
    with pytest.raises(Crash):
        node.attempt(worker=stopped)

    stopped.release()
    released = node.revision()
    node.attempt()

    assert released.state == StudyState.SCHEDULED
    assert node.revision().interruptions == 0
    assert node.revision().state == StudyState.COMPLETED


def test_an_attempt_whose_place_was_taken_writes_nothing(node: Node) -> None:
    slow = node.worker()

    def lose_the_place(name: str, step: Callable[[], str]) -> str:
        if name == "report":
            with node.database.writing() as session:
                session.scalars(select(Revision)).one().attempt = 2
        return step()

    slow.analyse(node.work(attempt=1), lose_the_place)
    after_slow = node.revision()
    with node.database.writing() as session:
        session.scalars(select(Revision)).one().state = StudyState.SCHEDULED
    node.attempt(2)

    assert after_slow.results == []
    assert node.revision().state == StudyState.COMPLETED
    assert node.revision().results


def test_a_study_that_receives_again_keeps_saying_so(node: Node) -> None:
    with node.database.writing() as session:
        session.scalars(select(Study)).one().state = StudyState.RECEIVING

    node.attempt()

    assert node.revision().state == StudyState.COMPLETED
    assert node.revision().study.state == StudyState.RECEIVING


def test_the_next_revision_replaces_the_reports_and_keeps_the_rest(node: Node) -> None:
    add_curious_destination(node)
    node.attempt()
    first = node.revision(1)
    contents = node.contents(1)
    with node.database.writing() as session:
        add_revision(session.scalars(select(Study)).one(), 2)

    node.worker().analyse(node.work(revision=2), lambda _name, step: step())

    second = node.revision(2)
    reports = {row.sop_instance_uid for row in first.results if row.kind in REPORT_KINDS}
    assert {one.sop_instance_uid for one in node.analyser.predecessors} == reports
    assert reports.isdisjoint(row.sop_instance_uid for row in second.results)
    of_views = {r.sop_instance_uid: r.path for r in first.results if r.kind not in REPORT_KINDS}
    kept = {r.sop_instance_uid: r.path for r in second.results if r.kind not in REPORT_KINDS}
    assert of_views
    assert kept == of_views
    assert all(node.contents(2)[uid] == contents[uid] for uid in of_views)


def test_a_revision_that_a_newer_one_has_overtaken_writes_nothing(node: Node) -> None:
    slow = node.worker()

    def be_overtaken(name: str, step: Callable[[], str]) -> str:
        if name == "report":
            with node.database.writing() as session:
                add_revision(session.scalars(select(Study)).one(), 2)
        return step()

    slow.analyse(node.work(), be_overtaken)

    assert node.revision(1).state == StudyState.CANCELED
    assert node.revision(1).results == []
    assert node.revision(1).study.state == StudyState.SCHEDULED
    assert node.events()[-1] == "analysis_overtaken"
    assert files_below(node.store.path("studies")) == []


@pytest.mark.parametrize("fault", [Crash(), OSError(5, "I/O error")], ids=["dies", "fails"])
def test_an_outcome_file_that_was_not_deleted_at_the_end_is_deleted_afterwards(
    node: Node, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    place = node.store.record_place(study_instance_uid=node.study_instance_uid, revision=1)
    steps: dict[str, str] = {}

    def checkpoint(name: str, step: Callable[[], str]) -> str:
        steps[name] = steps.get(name) or step()
        return steps[name]

    with monkeypatch.context() as faulty:
        faulty.setattr(Store, "remove", raises(fault))
        with pytest.raises(type(fault)):
            node.worker().analyse(node.work(), checkpoint)
    was_left = node.store.path(place).exists()
    if isinstance(fault, Exception):
        node.worker().failed(node.work(), fault)
    else:
        node.worker().analyse(node.work(), checkpoint)

    assert was_left
    assert not node.store.path(place).exists()
    assert (node.revision().state, node.revision().attempt) == (StudyState.COMPLETED, 1)


def test_reports_of_a_failure_that_was_never_written_down_are_not_left_beside_the_results(
    stored: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.analyser.failures = [PermanentError(reason="a fault that passes")]
    with monkeypatch.context() as faulty:
        faulty.setattr(AnalysisWorker, "_add_results", raises(OSError(5, "I/O error")))
        with pytest.raises(OSError, match="I/O error"):
            stored.attempt()
    written = files_below(stored.store.path("studies"))
    stored.attempt()

    assert written != []
    assert stored.revision().state == StudyState.COMPLETED
    assert set(files_below(stored.store.path("studies"))) == {
        stored.store.path(row.path) for row in stored.revision().results
    }


def test_a_revision_that_was_overtaken_leaves_no_file(stored: Node) -> None:
    before = files_below(stored.store.path("studies"))

    def be_overtaken(name: str, step: Callable[[], str]) -> str:
        if name == "report":
            with stored.database.writing() as session:
                add_revision(session.scalars(select(Study)).one(), 2)
        return step()

    stored.worker().analyse(stored.work(), be_overtaken)
    with stored.database.writing() as session:
        for revision in session.scalars(select(Revision)):
            revision.state = StudyState.CANCELED
    remove_given_up(stored.database, stored.store)

    assert files_below(stored.store.path("studies")) == before


@pytest.mark.parametrize("meanwhile", ["analyse", "report", "failure"])
def test_the_patient_is_corrected_while_a_revision_is_analysed(
    stored: Node, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Neither results nor reports of the old patient are listed, delivered or left behind."""
    before = files_below(stored.store.path("studies"))

    def correct_first(what: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **named: Any) -> Any:
            monkeypatch.undo()
            correct(
                stored.database,
                stored.queue,
                Patient(patient_id="SECRET-ID"),
                {"PatientID": "RIGHT"},
                reason="a test",
                by="someone",
                at=NOW,
            )
            return what(*arguments, **named)

        return do

    if meanwhile == "failure":
        stored.analyser.failures = [PermanentError(reason="broken")]
    if meanwhile == "analyse":
        monkeypatch.setattr(stored.analyser, "analyse", correct_first(stored.analyser.analyse))
    else:
        monkeypatch.setattr(worker_module, "write_results", correct_first(write_results))
    stored.attempt()
    first = stored.revision(1)
    stored.worker().analyse(stored.work(revision=2), lambda _name, step: step())
    remove_given_up(stored.database, stored.store)

    assert (first.state, first.results, first.deliveries) == (StudyState.CANCELED, [], [])
    second = stored.revision(2)
    assert second.state == StudyState.COMPLETED
    assert len(second.deliveries) == 2
    assert stored.analyser.sources[0].corrections == {"PatientID": "RIGHT"}
    made = {stored.store.path(row.path) for row in second.results}
    assert set(files_below(stored.store.path("studies"))) == set(before) | made


@pytest.mark.parametrize("meanwhile", ["analyse", "report", "failure"])
@pytest.mark.parametrize("end", [delete_study, cancel_study])
def test_a_study_that_is_deleted_or_canceled_while_it_is_analysed_leaves_no_result(
    stored: Node, monkeypatch: pytest.MonkeyPatch, meanwhile: str, end: Callable[..., object]
) -> None:
    def end_first(what: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **named: Any) -> Any:
            end(
                stored.database,
                stored.store,
                stored.queue,
                study_instance_uid=stored.study_instance_uid,
                reason="a test",
                by="someone",
                at=NOW,
            )
            remove_given_up(stored.database, stored.store)
            return what(*arguments, **named)

        return do

    if meanwhile == "failure":
        stored.analyser.failures = [PermanentError(reason="broken")]
    if meanwhile == "analyse":
        monkeypatch.setattr(stored.analyser, "analyse", end_first(stored.analyser.analyse))
    else:
        monkeypatch.setattr(worker_module, "write_results", end_first(write_results))
    stored.attempt()
    remove_given_up(stored.database, stored.store)

    revision = stored.revision()
    assert (revision.state, revision.results) == (StudyState.CANCELED, [])
    place = stored.store.study_place(stored.study_instance_uid)
    folder = f"{place}/results" if end is cancel_study else place
    assert files_below(stored.store.path(folder)) == []


def test_a_corrected_patient_reaches_the_analysis_with_a_hash_of_its_own(stored: Node) -> None:
    plain = stored.revision().outcomes[0].instance.dataset_sha256
    with stored.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.corrections.append(
            PatientCorrection(
                at=NOW, by="someone", reason="a test", before={}, after={"PatientID": "RIGHT"}
            )
        )

    stored.attempt()

    (source, *_) = stored.analyser.sources
    assert source.corrections == {"PatientID": "RIGHT"}
    assert source.dataset_sha256 == corrected_sha256(plain, {"PatientID": "RIGHT"})
