"""Analyses that are done again: the same revision once more, or a new one."""

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from model.manifest import read_manifest
from model.preprocess import PREPROCESS_VERSION
from node.errors import PermanentError
from node.rerun.asked import SEND_AGAIN, Rerun, ended, fields, minute, record
from node.study_log.database import Database
from node.study_log.revisions import images_here, queue_revision
from node.study_log.tables import CloseReason, Instance, Revision, Study, StudyState
from node.work_queue import WorkQueue

logger = logging.getLogger(__name__)


def reanalyse(
    database: Database,
    queue: WorkQueue,
    *,
    study_instance_uid: str,
    weights: str,
    at: datetime,
) -> Rerun:
    """Analyse a study anew, as a new revision: all its images, with the weights that are named.

    Parameters
    ----------
    database
        The study log.
    queue
        Of durable work, in the same database.
    study_instance_uid
        Study Instance UID (0020,000D).
    weights
        Folder with weights and their manifest, absolute; empty: the node's own.
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    WeightsError
        If the weights cannot be used; then nothing is queued.
    PermanentError
        If the study is still being received or analysed.
    """
    if weights:
        read_manifest(Path(weights)).require_preprocessing(PREPROCESS_VERSION)
    with database.writing() as session:
        study, _ = ended(session, study_instance_uid)
        rerun = _analyse_anew(
            session,
            queue,
            study,
            _images_to_analyse(study),
            close_reason=CloseReason.REANALYSE,
            weights=weights,
            at=at,
        )
        record(study, at, "reanalysis_requested", rerun)
    logger.info("Analysis asked for", extra={"event": "reanalysis_requested", **fields(rerun)})
    return rerun


def analyse_failed(
    session: Session, queue: WorkQueue, study: Study, revision: Revision, at: datetime
) -> Rerun:
    """Queue a revision that failed once more; one that was reported is followed by another.

    Raises
    ------
    PermanentError
        If images of it are gone.
    """
    _require_images(study, revision)
    if not revision.results:
        return _analyse_again(session, queue, study, revision)
    # One that has its report, as one that was skipped, keeps it: whatever is found later is
    # another revision.
    return _analyse_anew(
        session,
        queue,
        study,
        [outcome.instance for outcome in revision.outcomes],
        close_reason=CloseReason.RETRY,
        weights=revision.weights,
        at=at,
    )


def _images_to_analyse(study: Study) -> list[Instance]:
    """List what can be analysed.

    Raises
    ------
    PermanentError
        If nothing can, because the files are gone.
    """
    images = images_here(study)
    gone = [instance.removed_at for instance in study.instances if instance.removed_at]
    if not images and gone:
        raise PermanentError(
            reason=f"The images of study {study.study_instance_uid} are gone since "
            f"{minute(max(gone))}. {SEND_AGAIN}"
        )
    return images


def _require_images(study: Study, revision: Revision) -> None:
    """Make sure that all images of a revision are here still.

    Raises
    ------
    PermanentError
        If one is not.
    """
    gone = [row.instance.removed_at for row in revision.outcomes if row.instance.removed_at]
    if gone:
        raise PermanentError(
            reason=f"{len(gone)} of the {len(revision.outcomes)} images of study "
            f"{study.study_instance_uid} are gone since {minute(max(gone))}. {SEND_AGAIN}"
        )


def _analyse_again(session: Session, queue: WorkQueue, study: Study, revision: Revision) -> Rerun:
    revision.attempt += 1
    revision.interruptions = 0
    revision.state = study.state = StudyState.SCHEDULED.value
    revision.reason = ""
    revision.started_at = revision.ended_at = None
    queue.enqueue_analysis(
        session,
        study_instance_uid=study.study_instance_uid,
        revision=revision.number,
        attempt=revision.attempt,
    )
    return _rerun_of(study, revision)


def _analyse_anew(
    session: Session,
    queue: WorkQueue,
    study: Study,
    images: Iterable[Instance],
    *,
    close_reason: CloseReason,
    weights: str,
    at: datetime,
) -> Rerun:
    """Queue a new revision, whose reports replace those of the one before."""
    revision = queue_revision(
        session,
        queue.enqueue_analysis,
        study,
        images,
        close_reason=close_reason,
        closed_at=at,
        weights=weights,
    )
    return _rerun_of(study, revision)


def _rerun_of(study: Study, revision: Revision) -> Rerun:
    return Rerun(
        study_instance_uid=study.study_instance_uid,
        revision=revision.number,
        attempt=revision.attempt,
        destinations=(),
    )
