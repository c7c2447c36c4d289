"""Deletes the files that were given up; whoever was interrupted is finished by the next one."""

import logging
from collections.abc import Iterator, Sequence

from sqlalchemy import exists, select

from node.analysis.rescue import UNDER_WAY
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Removal, Revision

logger = logging.getLogger(__name__)

AT_ONCE = 200
"""Files that are deleted in one transaction: nobody else writes meanwhile."""


def remove_given_up(database: Database, store: Store) -> int:
    """Delete every file that was given up, and forget it.

    Files of a study that is being analysed wait: the revision under way may still read them.

    Parameters
    ----------
    database
        The study log.
    store
        Of the files.

    Returns
    -------
    count
        How many were deleted, those included that were gone already.

    Raises
    ------
    OSError
        If a file cannot be deleted, when all others are; it stays remembered.
    """
    count = after = 0
    refused: list[OSError] = []
    while batch := _remove_batch(database, store, after, refused):
        count += len(batch)
        after = batch[-1]
    count -= len(refused)
    if count:
        logger.info("Files deleted", extra={"event": "files_deleted", "count": count})
    if refused:
        raise refused[0]
    return count


def _remove_batch(
    database: Database, store: Store, after: int, refused: list[OSError]
) -> list[int]:
    """Take the next files in turn, and give the ids of their rows."""
    is_read = exists().where(
        Revision.study_id == Removal.study_id, Revision.state.in_([s.value for s in UNDER_WAY])
    )
    # The rows are held while the files go: who wants a place back waits, see `take_back`.
    with database.writing() as session:
        batch = session.scalars(
            select(Removal)
            .where(~is_read, Removal.id > after)
            .order_by(Removal.id)
            .limit(AT_ONCE)
            .with_for_update()
        ).all()
        for removal in _removed(store, batch, refused):
            session.delete(removal)
        return [removal.id for removal in batch]


def _removed(store: Store, batch: Sequence[Removal], refused: list[OSError]) -> Iterator[Removal]:
    """Delete files, all in one go if that can be, and give those that are gone."""
    try:
        store.remove_durably([removal.path for removal in batch])
    except OSError:
        for removal in batch:
            try:
                store.remove_durably([removal.path])
            except OSError as error:
                refused.append(error)
            else:
                yield removal
    else:
        yield from batch
