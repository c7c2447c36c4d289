"""Opens the study log, and finds the study that a person means."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from node.errors import PermanentError, TransientError
from node.settings import Settings
from node.study_log import queries
from node.study_log.database import (
    Database,
    database_url,
    has_database,
    newest_version,
)

if TYPE_CHECKING:
    from node.store import Store
    from node.work_queue import WorkQueue


@contextmanager
def open_log(settings: Settings) -> Iterator[Database]:
    """Open the study log that is there; nothing is made.

    Raises
    ------
    TransientError
        If there is none yet, or its tables are of an older version.
    PermanentError
        If they are of a newer one.
    """
    if not has_database(settings):
        raise TransientError(
            reason=f"No study log in {settings.data_dir}: `mammonode serve` makes it. "
            "Is this the --config that the node runs with?"
        )
    database = Database(database_url(settings))
    try:
        _require_our_tables(database)
        yield database
    finally:
        database.close()


def _require_our_tables(database: Database) -> None:
    version, ours = database.version(), newest_version()
    if version is None:
        raise TransientError(
            reason="The database holds no study log yet: `mammonode serve` makes it."
        )
    if version < ours:
        raise TransientError(
            reason=f"The study log has tables of version {version}, this software {ours}: "
            "`mammonode database upgrade` brings them up to date. Make a backup before."
        )
    if version > ours:
        raise PermanentError(
            reason=f"The study log has tables of version {version}, this software {ours}: "
            "use the mammonode that wrote it."
        )


@contextmanager
def open_log_and_queue(settings: Settings) -> Iterator[tuple[Database, "WorkQueue"]]:
    """Open the study log that is there, with the queue beside it."""
    from node.work_queue import WorkQueue  # late, here and below: a look at the log does without

    with open_log(settings) as database:
        queue = WorkQueue(database_url(settings))
        try:
            yield database, queue
        finally:
            queue.close()


def find_study(database: Database, study: str) -> str:
    """Find the Study Instance UID that a person means; see `queries.find_study_instance_uid`."""
    with database.reading() as session:
        return queries.find_study_instance_uid(session, study)


def delete_given_up(database: Database, store: "Store") -> None:
    """Delete the files that were given up, now; what cannot be deleted here the node deletes."""
    from node.keeping.remove import remove_given_up

    try:
        remove_given_up(database, store)
    except OSError as error:
        typer.echo(
            f"mammonode: Some files are not deleted yet ({error.strerror}); the node that serves "
            "this data folder tries again every minute.",
            err=True,
        )
