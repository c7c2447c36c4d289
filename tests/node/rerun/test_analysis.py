"""Studies that are analysed anew because a person asks."""

from datetime import timedelta
from pathlib import Path

import pytest

from log_entries import RECEIVED_AT, study_entry
from model.errors import WeightsError
from node.errors import PermanentError
from node.rerun.analysis import reanalyse
from node.study_log.answers import StudyAnswer
from node.study_log.database import Database
from node.study_log.queries import read_study
from node.study_log.tables import (
    InstanceKind,
    Study,
    StudyState,
)
from node.work_queue import WorkQueue

NOW = RECEIVED_AT + timedelta(days=1)
UID = study_entry(1).study_instance_uid


def write(database: Database, study: Study) -> None:
    with database.writing() as session:
        session.add(study)


def read(database: Database) -> StudyAnswer:
    with database.reading() as session:
        return read_study(session, UID)


def test_a_study_that_is_still_received_has_nothing_to_analyse_again(
    database: Database, queue: WorkQueue
) -> None:
    write(database, study_entry(1, state=StudyState.RECEIVING))

    with pytest.raises(PermanentError, match="has no image to analyse yet"):
        reanalyse(database, queue, study_instance_uid=UID, weights="", at=NOW)


def test_reanalysis_is_a_new_revision_of_all_images(database: Database, queue: WorkQueue) -> None:
    study = study_entry(1)
    study.instances[4].kind = InstanceKind.OWN_RESULT.value
    write(database, study)

    rerun = reanalyse(database, queue, study_instance_uid=UID, weights="", at=NOW)

    answer = read(database)
    assert (rerun.revision, rerun.attempt) == (2, 1)
    assert queue.waiting_or_running() == {f"analysis/{UID}/2/1"}
    assert answer.summary.state is StudyState.SCHEDULED
    first, second = answer.revisions
    assert first.state is StudyState.COMPLETED
    assert (second.state, second.closed_at, second.score) == (StudyState.SCHEDULED, NOW, None)
    with database.reading() as session:
        rows = session.get_one(Study, 1).revisions[1].outcomes
        assert [row.instance.view_position for row in rows] == ["CC", "CC", "MLO", "MLO"]


def test_weights_that_cannot_be_used_queue_nothing(
    database: Database, queue: WorkQueue, tmp_path: Path
) -> None:
    write(database, study_entry(1))

    with pytest.raises(WeightsError):
        reanalyse(database, queue, study_instance_uid=UID, weights=str(tmp_path / "no"), at=NOW)

    assert len(read(database).revisions) == 1
    assert queue.waiting_or_running() == frozenset()
