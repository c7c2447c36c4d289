"""The unique keys of a retrieval: PS3.4 C.4.2.1.4, C.4.3.1.3."""

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from node.errors import RefusedQuery
from node.query.levels import (
    IDENTIFIER_DOES_NOT_MATCH,
    Level,
    Root,
    read_level,
    read_unique_keys_above,
    values_of,
)
from node.query.statuses import UNABLE_TO_COUNT_MATCHES
from node.store import is_uid
from node.study_log.matching import has_wild_card
from node.study_log.stored_results import ResultKeys

MAX_UIDS = 10_000
"""In one list: more than a database takes in one question."""


def read_unique_keys(identifier: Dataset, root: Root) -> tuple[Level, ResultKeys]:
    """Read what is to be retrieved: one entity of each level above, one or several of its own.

    Issuer of Patient ID (0010,0021) is heeded though it is no unique key: it tells two patients of
    one ID apart.

    Parameters
    ----------
    identifier
        Of a C-MOVE or C-GET request.
    root
        The information model of its SOP class.

    Raises
    ------
    RefusedQuery
        If level or keys are not those of a retrieval.
    """
    level = read_level(identifier, root)
    above = read_unique_keys_above(identifier, root, level)
    own = _own_keys(identifier, level)
    by_level = {each: (value,) for each, value in above.items()} | {level: own}
    issuers = values_of(identifier, "IssuerOfPatientID") if root is Root.PATIENT else []
    return level, ResultKeys(
        patient_id=by_level.get(Level.PATIENT, ("",))[0],
        issuer_of_patient_id=issuers[0] if issuers else "",
        study_instance_uids=by_level.get(Level.STUDY, ()),
        series_instance_uids=by_level.get(Level.SERIES, ()),
        sop_instance_uids=by_level.get(Level.IMAGE, ()),
    )


def _own_keys(identifier: Dataset, level: Level) -> tuple[str, ...]:
    """Read the unique key of the level itself."""
    keyword = level.unique_key
    values = values_of(identifier, keyword)
    if level is Level.PATIENT:
        is_accepted = len(values) == 1 and not has_wild_card(values[0])
        accepted = f"one {keyword}"
    else:
        is_accepted = bool(values) and all(is_uid(value) for value in values)
        accepted = f"a list of {keyword}"
    if not is_accepted:
        raise RefusedQuery(
            status=IDENTIFIER_DOES_NOT_MATCH,
            reason=f"{level.name} level: {accepted}",
            tag=tag_for_keyword(keyword),
        )
    if len(values) > MAX_UIDS:
        raise RefusedQuery(
            status=UNABLE_TO_COUNT_MATCHES,
            reason=f"at most {MAX_UIDS} UIDs at once",
            tag=tag_for_keyword(keyword),
        )
    return tuple(values)
