"""Deletes the files that were given up; whoever was interrupted is finished by the next one."""

import logging

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
        If a file cannot be deleted; it stays remembered.
    """
    count = 0
    while batch := _remove_batch(database, store):
        count += batch
    if count:
        logger.info("Files deleted", extra={"event": "files_deleted", "count": count})
    return count


def _remove_batch(database: Database, store: Store) -> int:
    is_read = exists().where(
        Revision.study_id == Removal.study_id, Revision.state.in_([s.value for s in UNDER_WAY])
    )
    # The rows are held while the files go: who wants a place back waits, see `take_back`.
    with database.writing() as session:
        batch = session.scalars(
            select(Removal).where(~is_read).order_by(Removal.id).limit(AT_ONCE).with_for_update()
        ).all()
        store.remove_durably([removal.path for removal in batch])
        for removal in batch:
            session.delete(removal)
        return len(batch)
