"""Which requests of PS3.4 Annex C are answered, and by what."""

from collections.abc import Sequence

from node.intake.receive import QueryHandler
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database


def query_handlers(settings: Settings, database: Database, store: Store) -> Sequence[QueryHandler]:
    """Give the handlers of the Query/Retrieve SCP; what has none is not offered to anybody.

    Parameters
    ----------
    settings
        `[query]`.
    database
        Of the study log.
    store
        Of the files.
    """
    return ()
