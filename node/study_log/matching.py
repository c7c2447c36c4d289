"""How a value of the log is matched with what was asked for: wild cards, and names of persons.

References
----------
DICOM PS3.4 C.2.2.2.1 (single value matching), C.2.2.2.4 (wild card matching).
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, SQLColumnExpression, false, literal, or_, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

WILD_CARDS = "*?"
"""``*``: any characters, or none. ``?``: one character (PS3.4 C.2.2.2.4)."""

_GROUPS_END = "="


def matches(column: SQLColumnExpression[Any], pattern: str) -> ColumnElement[bool]:
    """Match a column with a value, which may hold wild cards; upper and lower case differ.

    Parameters
    ----------
    column
        Of text.
    pattern
        Empty or ``*``: all rows match, those without a value too (universal matching).
    """
    if not pattern.strip("*"):
        return true()
    if has_wild_card(pattern):
        return _WildCardMatch(column, literal(_as_glob(pattern)), literal(_as_like(pattern)))
    return column == pattern


def matches_any(column: SQLColumnExpression[Any], patterns: Sequence[str]) -> ColumnElement[bool]:
    """Match a column with any of several values, which may hold wild cards."""
    plain = [pattern for pattern in patterns if not has_wild_card(pattern)]
    others = [matches(column, pattern) for pattern in patterns if has_wild_card(pattern)]
    return or_(column.in_(plain), *others) if plain else or_(false(), *others)


def name_matches(key: SQLColumnExpression[Any], pattern: str) -> ColumnElement[bool]:
    """Match names of persons: any group of a name, without regard to case and accents.

    Parameters
    ----------
    key
        A column that holds what `name_key` makes of the names.
    pattern
        The name asked for; may hold wild cards.
    """
    # A group that is left empty before one that is not, as in "=山田*", excludes no name.
    asked = _GROUPS_END.join(group or "*" for group in name_key(pattern).split(_GROUPS_END))
    if not asked.strip("*"):
        return true()
    return or_(
        matches(key, asked),
        matches(key, f"{asked}{_GROUPS_END}*"),
        matches(key, f"*{_GROUPS_END}{asked}"),
        matches(key, f"*{_GROUPS_END}{asked}{_GROUPS_END}*"),
    )


def name_key(name: str) -> str:
    """Give a name as it is looked for: small letters, no accents, no empty parts at its end.

    Parameters
    ----------
    name
        A value of VR PN, its groups (alphabetic, ideographic, phonetic) apart by ``=`` (PS3.5 6.2).
    """
    bare = "".join(
        character
        for character in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(character)
    )
    # Composed again, so that "?" stands for one syllable of a Korean name.
    whole = unicodedata.normalize("NFC", bare.casefold())
    groups = [group.strip("^ ") for group in whole.split(_GROUPS_END)]
    return _GROUPS_END.join(groups).rstrip(_GROUPS_END)


def has_wild_card(pattern: str) -> bool:
    """Say whether a value that is asked for stands for more than itself."""
    return any(character in pattern for character in WILD_CARDS)


class _WildCardMatch(FunctionElement[bool]):
    """A column against a pattern, in the words of each database: GLOB and LIKE."""

    type = Boolean()
    name = "wild_card_match"
    inherit_cache = True


@compiles(_WildCardMatch, "sqlite")
def _with_glob(element: _WildCardMatch, compiler: SQLCompiler, **kw: Any) -> str:
    # SQLite's LIKE takes no account of case; its GLOB does.
    column, glob, _ = element.clauses
    return f"{compiler.process(column, **kw)} GLOB {compiler.process(glob, **kw)}"


@compiles(_WildCardMatch)
def _with_like(element: _WildCardMatch, compiler: SQLCompiler, **kw: Any) -> str:
    column, _, like = element.clauses
    return f"{compiler.process(column, **kw)} LIKE {compiler.process(like, **kw)}"


def _as_glob(pattern: str) -> str:
    return pattern.replace("[", "[[]")


def _as_like(pattern: str) -> str:
    for special in ("\\", "%", "_"):
        pattern = pattern.replace(special, f"\\{special}")
    return pattern.replace("*", "%").replace("?", "_")
