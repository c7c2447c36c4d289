"""Whatever failed of a study is tried again: its analysis, else its deliveries."""

import logging
from datetime import datetime

from node.rerun.analysis import analyse_failed
from node.rerun.asked import Rerun, ended, fields, record
from node.rerun.delivery import deliver_failed
from node.study_log.database import Database
from node.study_log.tables import StudyState
from node.work_queue import WorkQueue

logger = logging.getLogger(__name__)


def retry(database: Database, queue: WorkQueue, *, study_instance_uid: str, at: datetime) -> Rerun:
    """Try again what failed: the analysis of the newest revision, else its deliveries.

    Parameters
    ----------
    database
        The study log.
    queue
        Of durable work, in the same database.
    study_instance_uid
        Study Instance UID (0020,000D).
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If nothing failed, or work is still under way.
    """
    with database.writing() as session:
        study, revision = ended(session, study_instance_uid)
        if revision.state == StudyState.FAILED:
            rerun = analyse_failed(session, queue, study, revision, at)
        else:
            rerun = deliver_failed(study, revision, at)
        record(study, at, "retry_requested", rerun)
    logger.info("Retry asked for", extra={"event": "retry_requested", **fields(rerun)})
    return rerun
