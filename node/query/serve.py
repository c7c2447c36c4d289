"""Which requests of PS3.4 Annex C are answered, and by what."""

from collections.abc import Sequence

from pynetdicom import evt

from node.intake.receive import QueryHandler
from node.query.find import FindAnswers
from node.query.places import WAIT_S, Places
from node.query.retrieve import RetrieveAnswers
from node.settings import Settings
from node.store import Store
from node.study_log.database import Database


def query_handlers(settings: Settings, database: Database, store: Store) -> Sequence[QueryHandler]:
    """Give the handlers of the Query/Retrieve SCP; what has none is not offered to anybody.

    Parameters
    ----------
    settings
        `[query]`, the node's own AE title, and where C-MOVE may send to.
    database
        Of the study log.
    store
        Of the results.
    """
    find = FindAnswers(
        database,
        Places(settings.query.max_queries, wait_s=WAIT_S),
        ae_title=settings.receive.ae_title,
    )
    retrieve = RetrieveAnswers(
        settings, database, store, Places(settings.query.max_retrievals, wait_s=WAIT_S)
    )
    return (
        (evt.EVT_C_FIND, find.answer),
        (evt.EVT_C_MOVE, retrieve.move),
        (evt.EVT_C_GET, retrieve.get),
    )
