"""An identifier becomes a question to the study log: PS3.4 C.2.2.2, C.4.1.1.3."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from node.errors import RefusedQuery
from node.intake.answering import UNABLE_TO_PROCESS
from node.query import private
from node.query.keys import Key, Matching, keys_at
from node.query.levels import (
    Level,
    Root,
    element_values,
    read_level,
    read_unique_keys_above,
    values_of,
)
from node.query.private import PRIVATE_KEYS, PrivateKey
from node.query.ranges import date_range, time_range
from node.query.unique_keys import MAX_UIDS
from node.store import is_uid
from node.study_log.entities import HoldingFilter
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import MAX_TEXT_LENGTH

_NO_KEYS = frozenset(
    tag_for_keyword(keyword)
    for keyword in ("SpecificCharacterSet", "QueryRetrieveLevel", "RetrieveAETitle")
)
"""In every answer, if the answer needs it, whatever was asked for."""

MAX_CODES = 100
"""In one key: each may hold wild cards, and is a condition of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a C-FIND request asks for.

    Attributes
    ----------
    studies, holdings
        Those that are meant.
    keys, private_keys
        What the answers are to hold.
    block
        That the identifier reserves for the private keys.
    matched
        Names of the keys that were given values, for the log.
    is_partly_supported
        Whether something was asked for that is not known or not matched; answers say so (0xFF01).
    """

    root: Root
    level: Level
    studies: StudyFilter
    holdings: HoldingFilter
    keys: Sequence[Key]
    private_keys: Sequence[PrivateKey]
    block: int | None
    matched: Sequence[str]
    is_partly_supported: bool

    @property
    def needs_contents(self) -> bool:
        """Whether the answers hold what is counted from a study or patient as a whole."""
        return any(key.needs_contents for key in self.keys) or any(
            key.needs_contents for key in self.private_keys
        )


def read_query(identifier: Dataset, root: Root) -> Query:
    """Read an identifier.

    Parameters
    ----------
    identifier
        Of a C-FIND request, whole.
    root
        The information model of its SOP class.

    Raises
    ------
    RefusedQuery
        If it cannot be answered as the Standard has it.
    """
    _check_character_set(identifier)
    level = read_level(identifier, root)
    read_unique_keys_above(identifier, root, level)
    reading = _Reading(identifier, keys_at(root, level), has_private=level >= Level.STUDY)
    for tag in sorted(identifier.keys()):
        reading.take(tag)
    own = next(key for key in reading.known.values() if key.is_unique and key.level is level)
    return Query(
        root=root,
        level=level,
        studies=StudyFilter(**reading.studies),
        holdings=HoldingFilter(**reading.holdings),
        keys=tuple(dict.fromkeys((*reading.keys, own))),
        private_keys=tuple(reading.private_keys),
        block=reading.block,
        matched=tuple(reading.matched),
        is_partly_supported=reading.is_partly_supported,
    )


class _Reading:
    """What was read of an identifier so far."""

    def __init__(self, identifier: Dataset, known: dict[int, Key], *, has_private: bool) -> None:
        self._identifier = identifier
        self.known = known
        self.block = private.block_of(identifier) if has_private else None
        self.studies: dict[str, Any] = {}
        self.holdings: dict[str, Any] = {}
        self.keys: list[Key] = []
        self.private_keys: list[PrivateKey] = []
        self.matched: list[str] = []
        self.is_partly_supported = False

    def take(self, tag: BaseTag) -> None:
        """Read one element."""
        if tag in _NO_KEYS or tag.element == 0 or tag.is_private_creator:
            return
        private_key = self._private_key(tag)
        key = self.known.get(tag)
        if private_key is not None:
            self._take_private(private_key, tag)
        elif key is not None:
            self._take_key(key, tag)
        else:
            self.is_partly_supported = True

    def _private_key(self, tag: BaseTag) -> PrivateKey | None:
        if tag.group != private.GROUP or tag.element >> 8 != self.block:
            return None
        return PRIVATE_KEYS.get(tag.element & 0xFF)

    def _take_private(self, key: PrivateKey, tag: BaseTag) -> None:
        if key.source:
            self.private_keys.append(key)
        values = self._values(tag)
        if not values:
            return
        if key.read is None:
            self.is_partly_supported = True
            return
        try:
            self.studies |= key.read(values)
        except ValueError as error:
            raise _unable(f"expected {key.accepted}", tag) from error
        self.matched.append(key.name)

    def _take_key(self, key: Key, tag: BaseTag) -> None:
        self.keys.append(key)
        values = self._values(tag)
        if not values:
            return
        if key.matching is Matching.NONE:
            self.is_partly_supported = True
            return
        fields = self.studies if key.level <= Level.STUDY else self.holdings
        fields |= _fields(key, values)
        self.matched.append(key.keyword)

    def _values(self, tag: BaseTag) -> list[str]:
        """Give what is asked for; none for universal matching (PS3.4 C.2.2.2.3)."""
        values = element_values(self._identifier, tag)
        if not any(value.strip("*") for value in values):
            return []
        if max(map(len, values)) > MAX_TEXT_LENGTH:
            raise _unable(f"at most {MAX_TEXT_LENGTH} characters", tag)
        return values


def _fields(key: Key, values: Sequence[str]) -> dict[str, object]:
    """Make fields of a filter of the values of a key."""
    tag = key.tag
    if key.matching is Matching.UID_LIST:
        if not all(is_uid(value) for value in values):
            raise _unable("expected a UID, or several", tag)
        if len(values) > MAX_UIDS:
            raise _unable(f"at most {MAX_UIDS} UIDs at once", tag)
        return {key.field: tuple(values)}
    if key.matching is Matching.CODES:
        if len(values) > MAX_CODES:
            raise _unable(f"at most {MAX_CODES} values at once", tag)
        return {key.field: tuple(value for value in values if value)}
    if len(values) != 1:
        raise _unable("expected one value", tag)
    (value,) = values
    if key.matching is Matching.NUMBER:
        try:
            return {key.field: str(int(value))}
        except ValueError as error:
            raise _unable("expected a whole number", tag) from error
    if key.matching in (Matching.DATE, Matching.TIME):
        is_date = key.matching is Matching.DATE
        try:
            first, last = (date_range if is_date else time_range)(value)
        except ValueError as error:
            form = "YYYYMMDD" if is_date else "HHMMSS"
            raise _unable(f"expected {form}, or a range of them in order", tag) from error
        return {f"{key.field}_from": first, f"{key.field}_to": last}
    return {key.field: value}


def _check_character_set(identifier: Dataset) -> None:
    """Refuse text that nobody can read: a defined term that is none (PS3.3 C.12.1.1.2)."""
    names = values_of(identifier, "SpecificCharacterSet")
    if any(name not in python_encoding for name in names):
        raise _unable(
            "expected a defined term of PS3.3 C.12.1.1.2", tag_for_keyword("SpecificCharacterSet")
        )


def _unable(reason: str, tag: int | None) -> RefusedQuery:
    return RefusedQuery(status=UNABLE_TO_PROCESS, reason=reason, tag=tag)
