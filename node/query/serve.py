"""Which requests of PS3.4 Annex C are answered, and by what."""

from collections.abc import Sequence

from pynetdicom import evt

from node.intake.receive import QueryHandler
from node.query.find import FindAnswers
from node.query.places import WAIT_S, Places
from node.settings import Settings
from node.study_log.database import Database


def query_handlers(settings: Settings, database: Database) -> Sequence[QueryHandler]:
    """Give the handlers of the Query/Retrieve SCP; what has none is not offered to anybody.

    Parameters
    ----------
    settings
        `[query]`, and the node's own AE title.
    database
        Of the study log.
    """
    find = FindAnswers(
        database,
        Places(settings.query.max_queries, wait_s=WAIT_S),
        ae_title=settings.receive.ae_title,
    )
    return ((evt.EVT_C_FIND, find.answer),)
