"""Every write, fsync, rename, commit and request of analysis and delivery, failing or the last.

The node runs in one process, on a data folder that has received a study; what fails there fails
once and the node goes on, what ends the process is followed by a sound node. The study is to be
analysed, and its results are to be in the PACS. See `reliability.fault_points`, the command.
"""

import contextlib
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from node.analysis import record
from node.analysis.sources import SourceInstance
from node.errors import PermanentError, TransientError
from node.results import StudyResult
from node.settings import Settings
from node.store import Store
from node.study_log.tables import DeliveryState, StudyState
from node.upgrade import migrate
from peers import SUCCESS, LoopbackPACS, Mood, ReportsTo, loopback_pacs
from reliability.fault import DIED, DIES, FAILS, Outcome
from reliability.faulty import Faulty
from reliability.faulty_node import ROLE_ENDED, run_node
from reliability.node_watch import faults, rows
from reliability.reception_points import IMAGE, send_to

END_S = 120
"""How long a study may take to its end, starts of the node included."""
ANSWERED = ("C-STORE response", "commit of delivery.deliver._record")
"""Points between an answer of the PACS and its row: what was filed there is sent again."""
BY_THE_WAY = re.compile("service.work_role._beat|keeping.passing_time.mark_time")
"""Commits whose time hangs on the clock alone; they are left out."""
TO_DELIVER = """
    SELECT result.sop_instance_uid FROM result
    JOIN delivery_object ON delivery_object.result_id = result.id
"""
FILES = """
    SELECT path FROM instance WHERE removed_at IS NULL
    UNION SELECT path FROM result WHERE removed_at IS NULL
"""
LEFT_IN_QUEUE = """
    SELECT workflow_uuid FROM workflow_status WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What becomes of the study where nothing is made to fail.

    Attributes
    ----------
    name
        Stands after the points; empty for the usual one.
    points
        Which are tried; the others of this course are those of another one too.
    confirm
        How the PACS is asked whether it keeps the results.
    stumbling
        What the first analysis raises.
    is_refused
        Whether the PACS answers the first try with 0xA700.
    states
        What the study may end in. A failure that could not be written down is followed by another
        attempt.
    """

    name: str = ""
    points: str = ""
    confirm: str = "commitment"
    stumbling: type[PermanentError | TransientError] | None = None
    is_refused: bool = False
    states: frozenset[StudyState] = frozenset({StudyState.COMPLETED})


COURSES = (
    Course(),
    Course(name="asked by C-FIND", points="C-FIND|_not_listed", confirm="query"),
    Course(
        name="tried again",
        points=r"_fail$|deliver\.failed$|queue_deliveries$",
        stumbling=TransientError,
        is_refused=True,
    ),
    Course(
        name="given up",
        points=r"_fail$|results$",
        stumbling=PermanentError,
        states=frozenset({StudyState.FAILED, StudyState.COMPLETED}),
    ),
)


class Analysis:
    """Tries points of analysis and delivery, each on a copy of one data folder.

    Parameters
    ----------
    folder
        For the data folder that has received the study, and those of the tries.
    weights
        Folder of the weights.
    """

    def __init__(self, folder: Path, weights: Path) -> None:
        self._folder = folder
        self._weights = weights
        self._received = folder / "received"
        self._received.mkdir()
        send_to(self._received, "", "")
        settings = self._settings(self._received, pacs_port=1, confirm="none")
        Store(self._received).prepare()
        migrate(settings)
        self._outcome_file = folder / "outcome"
        record.save(_analysed(settings), self._outcome_file)
        self._tries = 0

    def points(self, course: Course) -> list[str]:
        """Run without a fault, and list the points on the way that are to be tried."""
        outcome, points = self._run(course, "", "")
        assert not outcome.findings, outcome
        return [
            each
            for each in points
            if not BY_THE_WAY.search(each) and re.search(course.points, each)
        ]

    def try_point(self, course: Course, point: str, way: str) -> Outcome:
        """Let one call fail or be the last, and the node go on."""
        outcome, _ = self._run(course, point, way)
        return outcome

    def _run(self, course: Course, point: str, way: str) -> tuple[Outcome, list[str]]:
        self._tries += 1
        folder = self._folder / f"try-{self._tries}"
        data_dir = folder / "data"
        folder.mkdir()
        shutil.copytree(self._received, data_dir)
        with loopback_pacs() as pacs:
            pacs.reports_to = ReportsTo(way="same association")
            if course.is_refused:
                pacs.moods = iter([(Mood.FULL, 0)])
            settings = self._settings(data_dir, pacs.port, course.confirm)
            start = partial(
                Faulty,
                run_node,
                settings=settings,
                outcome_file=self._outcome_file,
                log_file=folder / "node.log",
            )
            found, at_once, points = _let_it_end(data_dir, start, course, point, way)
            found += _examine(data_dir, pacs, course, point)
        sent_again = _filed_again(pacs)
        ((state, attempts),) = rows(
            data_dir, "SELECT study.state, revision.attempt FROM study JOIN revision"
        )
        end = f"{state}, attempt {attempts}"
        end += f", delivery {_tries_of_delivery(data_dir)}"
        if sent_again:
            end += f", {sent_again} sent again"
        if not found:
            shutil.rmtree(folder)
        outcome = Outcome(
            point=f"{point}, {course.name}" if course.name else point,
            way=way,
            at_once=at_once,
            in_the_end=end,
            findings=tuple(found),
        )
        return outcome, points

    def _settings(self, data_dir: Path, pacs_port: int, confirm: str) -> Settings:
        return Settings.model_validate(
            {
                "data_dir": data_dir,
                "receive": {"port": 0, "low_watermark_bytes": 0},
                "study": {"view_set_quiet_s": 0.2, "quiet_s": 0.2},
                "model": {"weights": str(self._weights)},
                "delivery": {
                    "first_retry_s": 0.5,
                    "longest_retry_s": 1,
                    "commitment_timeout_s": 3,
                    "dimse_timeout_s": 10,
                },
                "destinations": [
                    {
                        "name": "pacs",
                        "ae_title": "PACS",
                        "host": "127.0.0.1",
                        "port": pacs_port,
                        "results": ["score_report", "heat_map"],
                        "confirm": confirm,
                    }
                ],
            }
        )


def _analysed(settings: Settings) -> StudyResult:
    """Let the network look at the image that was received."""
    from node.analysis.pipeline import Analyser  # TensorFlow takes seconds to load

    ((path, sha256),) = rows(settings.data_dir, "SELECT path, dataset_sha256 FROM instance")
    analyser = Analyser.load(settings)
    try:
        return analyser.analyse(
            study_instance_uid=str(IMAGE.StudyInstanceUID),
            revision=1,
            closed_at=datetime.now(UTC),
            sources=[SourceInstance(path=settings.data_dir / path, dataset_sha256=sha256)],
        )
    finally:
        analyser.close()


def _let_it_end(
    data_dir: Path, start: Callable[..., Faulty], course: Course, point: str, way: str
) -> tuple[list[str], str, list[str]]:
    """Run the node with its fault, and start it again without when it ends."""
    found: list[str] = []
    at_once = "goes on"
    end_s = time.monotonic() + END_S
    with contextlib.ExitStack() as stack:
        node = first = stack.enter_context(start(point, way, stumbling=course.stumbling))
        while not _has_ended(data_dir):
            if time.monotonic() > end_s:
                found.append(f"has not ended after {END_S} s")
                break
            if node.has_ended():
                code = node.stop()
                at_once = {DIED: "dies", ROLE_ENDED: "a role ends"}.get(code, f"exit {code}")
                node = stack.enter_context(start("", "", stumbling=None))
            time.sleep(0.1)
        code = node.stop()
        if code == DIED:  # when there was nothing left to do
            at_once = "dies"
        elif code != 0:
            found.append("does not stop")
        if first.struck != point:
            found.append("the point was not met")
    return found, at_once, first.points


def _has_ended(data_dir: Path) -> bool:
    ((study,),) = rows(data_dir, "SELECT state FROM study")
    deliveries = {state for (state,) in rows(data_dir, "SELECT state FROM delivery")}
    ended = {DeliveryState.COMPLETED, DeliveryState.FAILED}
    return (
        study in (StudyState.COMPLETED, StudyState.FAILED, StudyState.SKIPPED)
        and deliveries <= ended
        and not rows(data_dir, LEFT_IN_QUEUE)
    )


def _examine(data_dir: Path, pacs: LoopbackPACS, course: Course, point: str) -> list[str]:
    """Compare what is there, what the log says, and what the PACS has."""
    found = faults(data_dir, is_alone=True)
    for table, wanted in (("study", course.states), ("delivery", {DeliveryState.COMPLETED})):
        states = [state for (state,) in rows(data_dir, f"SELECT state FROM {table}")]
        found += [f"{table} is {state}" for state in states if state not in wanted]
    results = {uid for (uid,) in rows(data_dir, TO_DELIVER)}
    # Reports of a failure are left out where they cannot be written; it is in the log then.
    if not results and StudyState.FAILED not in course.states:
        found.append("nothing to deliver")
    filed = {uid for uid, status in pacs.requests if status == SUCCESS}
    found += [f"not in the PACS: {uid}" for uid in sorted(results - filed)]
    found += [f"in the PACS, and no result of ours: {uid}" for uid in sorted(filed - results)]
    if _filed_again(pacs) and not point.startswith(ANSWERED):
        found.append("sent again after the log had the answer")
    known = {path for (path,) in rows(data_dir, FILES)}
    there = {
        path.relative_to(data_dir).as_posix()
        for path in (data_dir / "studies").rglob("*")
        if path.is_file()
    }
    found += [f"no row knows {path}" for path in sorted(there - known)]
    found += [f"left in the queue: {work}" for (work,) in rows(data_dir, LEFT_IN_QUEUE)]
    return found


def _filed_again(pacs: LoopbackPACS) -> int:
    filed = Counter(uid for uid, status in pacs.requests if status == SUCCESS)
    return sum(count - 1 for count in filed.values())


def _tries_of_delivery(data_dir: Path) -> str:
    return ", ".join(
        f"try {attempt}" for (attempt,) in rows(data_dir, "SELECT attempt FROM delivery")
    )


def all_points_of_analysis(
    folder: Path,
    weights: Path,
    is_wanted: Callable[[str], bool] = bool,
    courses: Sequence[Course] = COURSES,
) -> Iterator[Outcome]:
    """Try every point of analysis and delivery, or those whose names are wanted, in both ways."""
    folder.mkdir(parents=True, exist_ok=True)
    analysis = Analysis(folder, weights)
    for course in courses:
        for point in filter(is_wanted, analysis.points(course)):
            for way in (FAILS, DIES):
                yield analysis.try_point(course, point, way)
