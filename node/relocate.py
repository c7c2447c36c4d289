"""A study log that outgrows its machine: from the SQLite file of a data folder to PostgreSQL.

Images and results stay where they are; their places in the log are relative to the data folder.
The queue is not copied but must be drained before, so that nothing is done twice or lost between
two databases: deliveries that wait for their next try, and studies that still receive, are rows of
the log, and the node goes on with them on the new database.
"""

from dataclasses import dataclass

from sqlalchemy.engine import make_url

from node.errors import PermanentError
from node.settings import DatabaseSettings, Settings
from node.store import Store
from node.study_log.copy import copy_log, tables_with_rows
from node.study_log.database import Database, database_url, has_database, newest_version
from node.upgrade import migrate
from node.work_queue import WorkQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied.

    Attributes
    ----------
    target
        URL of the new database, without its password.
    rows
        Rows by table.
    """

    target: str
    rows: dict[str, int]


def copy_to_postgresql(settings: Settings, target: DatabaseSettings) -> Copied:
    """Copy the study log of a data folder into an empty PostgreSQL database.

    Parameters
    ----------
    settings
        Of the node as it was, with SQLite.
    target
        The database that the node will have.

    Raises
    ------
    PermanentError
        If a node runs on the data folder, if work is queued or under way, if the log is not that of
        this version, or if the target holds a log already. Nothing has been copied then.
    """
    if settings.database.url:
        raise PermanentError(
            reason="Expected a node with SQLite, found [database] url: it has left SQLite already"
        )
    with Store(settings.data_dir).alone():
        if not has_database(settings):
            raise PermanentError(reason=f"Expected a study log in {settings.data_dir}, found none")
        url = database_url(settings)
        source, source_queue = Database(url), WorkQueue(url)
        target_log, target_queue = Database(target.url), WorkQueue(target.url)
        try:
            _require_this_version(source, source_queue)
            _require_drained(source_queue)
            _require_empty(target_log, target_queue, target.url)
            migrate(settings.model_copy(update={"database": target}))
            rows = copy_log(source, target_log)
        finally:
            for each in (source_queue, target_queue, source, target_log):
                each.close()
    return Copied(target=_without_password(target.url), rows=rows)


def _require_this_version(source: Database, queue: WorkQueue) -> None:
    expected, version = newest_version(), source.version()
    found, newest = queue.table_versions()
    if version != expected or found < newest:
        raise PermanentError(
            reason=f"Expected a study log of version {expected}, found {version or 'none'}: run "
            "`mammonode database upgrade` first"
        )


def _require_drained(queue: WorkQueue) -> None:
    waiting = queue.waiting_or_running()
    if waiting:
        raise PermanentError(
            reason=f"Expected a queue without work, found {len(waiting)} piece(s) queued or under "
            "way: run `mammonode serve --role work` until `mammonode studies list` shows none "
            "SCHEDULED or IN PROGRESS, stop it, and copy then"
        )


def _require_empty(target: Database, queue: WorkQueue, url: str) -> None:
    held = tables_with_rows(target)
    if not held and queue.table_versions()[0] and queue.waiting_or_running():
        held = ["the work queue"]
    if held:
        raise PermanentError(
            reason=f"Expected an empty database at {_without_password(url)}, found rows in "
            f"{', '.join(held)}: name another one"
        )


def _without_password(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
