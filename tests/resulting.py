"""A study log with studies whose results are in the store, as the node wrote them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from log_entries import study_entry
from node.analysis.outcome import keep
from node.report.write import write_results
from node.result_kinds import PROFILES
from node.results import ResultObject, StudyResult
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Revision, Study
from node.work_queue import AnalysisWork
from study_results import CLOSED_AT, positive

KINDS = PROFILES["everything"]


@cache
def _positive() -> StudyResult:
    """Make the study that every log begins with, once for all tests."""
    return positive()


@cache
def _results_of_positive() -> list[ResultObject]:
    return write_results(_positive(), KINDS)


@dataclass
class ResultingNode:
    """A study log with one study that has results, and room for more.

    Attributes
    ----------
    contents
        The files of the results of the newest study or revision, by SOP Instance UID.
    """

    database: Database
    store: Store
    study_instance_uid: str = ""
    contents: Mapping[str, bytes] = field(default_factory=dict)

    def add_study(
        self, result: StudyResult, *, number: int = 1, patient_id: str = "SECRET-ID"
    ) -> Study:
        """Write a study with its results."""
        study = study_entry(number)
        study.patient_id = patient_id
        study.study_instance_uid = result.study_instance_uid
        for row, instance in zip(study.instances, result.instances, strict=False):
            row.sop_instance_uid = instance.sop_instance_uid
        for row in study.instances[len(result.instances) :]:
            row.sop_instance_uid = f"{result.study_instance_uid}.{row.sop_instance_uid[-1]}"
        self.add_results(study.revisions[0], result)
        with self.database.writing() as session:
            session.add(study)
        return study

    def add_results(self, revision: Revision, result: StudyResult) -> None:
        """Write the results of a revision to the store, and list them."""
        work = AnalysisWork(
            study_instance_uid=result.study_instance_uid, revision=revision.number, attempt=1
        )
        made = _results_of_positive() if result is _positive() else write_results(result, KINDS)
        revision.results = [
            keep(self.store, work, each, known={}, created_at=CLOSED_AT) for each in made
        ]
        self.study_instance_uid = result.study_instance_uid
        self.contents = {
            row.sop_instance_uid: self.store.path(row.path).read_bytes() for row in revision.results
        }


@contextmanager
def resulting_node(folder: Path, log: Database | None = None) -> Iterator[ResultingNode]:
    """Make a study log with a study of four views and all kinds of results.

    Parameters
    ----------
    folder
        For the store.
    log
        An empty log with its tables; without it one in SQLite is made in the folder.
    """
    database = log or Database.open(Settings(data_dir=folder))
    if log is None:
        database.migrate()
    store = Store(folder)
    store.prepare()
    node = ResultingNode(database, store)
    node.add_study(_positive(), number=9)
    yield node
    database.close()
