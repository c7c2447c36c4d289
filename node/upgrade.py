"""Both schemas of a database, the study log's and the durable engine's, to this version's.

``mammonode serve`` does it at every start, ``mammonode database upgrade`` on request.
"""

from dataclasses import dataclass

from node.settings import Settings
from node.study_log.database import Database, database_url, has_database, newest_version
from node.work_queue import WorkQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Schemas:
    """What a database is at, beside what this software writes.

    Attributes
    ----------
    study_log, newest_study_log
        Versions of the study log's tables; None: there are none yet.
    queue, newest_queue
        Versions of the durable engine's tables; 0: there are none yet.
    older_work
        Work, queued or under way, of another version of the workflows.
    """

    study_log: str | None
    newest_study_log: str
    queue: int
    newest_queue: int
    older_work: int

    @property
    def is_newest(self) -> bool:
        """Whether there is nothing to upgrade."""
        return (
            self.study_log == self.newest_study_log
            and self.queue >= self.newest_queue
            and self.older_work == 0
        )


def look(settings: Settings) -> Schemas | None:
    """Say what the database of the settings is at, without changing anything.

    Returns
    -------
    schemas
        None if there is no database: a SQLite file that the first start makes.
    """
    if not has_database(settings):
        return None
    url = database_url(settings)
    database, queue = Database(url), WorkQueue(url)
    try:
        found, newest = queue.table_versions()
        return Schemas(
            study_log=database.version(),
            newest_study_log=newest_version(),
            queue=found,
            newest_queue=newest,
            older_work=queue.count_of_other_versions() if found else 0,
        )
    finally:
        queue.close()
        database.close()


def migrate(settings: Settings) -> None:
    """Bring both schemas up to date, the study log's first: it sets the database up.

    Nothing else of the node runs meanwhile.

    Raises
    ------
    PermanentError
        If the database was last written by a newer version of the node.
    """
    database = Database.open(settings)
    try:
        database.migrate()
    finally:
        database.close()
    queue = WorkQueue(database_url(settings))
    try:
        queue.migrate()
    finally:
        queue.close()
