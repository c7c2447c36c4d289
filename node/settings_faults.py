"""Says what is wrong with a setting: the key, what it held and where, what is accepted.

The words come from the JSON schema of the settings tree, so that a new setting has its message.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from node.errors import SettingsError
from node.settings import Settings

_LONGEST_VALUE_SHOWN = 80
_BOUNDS = (
    ("minimum", "from"),
    ("exclusiveMinimum", "above"),
    ("maximum", "to"),
    ("exclusiveMaximum", "below"),
)
_PASSWORD_IN_URL = re.compile(r"(://[^:@/\s]*):\S*@")
_NAME_OF_A_SECRET = re.compile(r"database|pass|pwd|secret|token|credential", re.IGNORECASE)
_PASSWORD_IN_QUERY = re.compile(r"(password=)[^&\s'\"]*")


def known_keys(model: type[BaseModel] = Settings, above: str = "") -> tuple[str, ...]:
    """Every key that can be set, as in ``receive.port``; of a list, the list itself alone."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            keys.extend(known_keys(section, f"{above}{name}."))
        else:
            keys.append(f"{above}{name}")
    return tuple(keys)


def nearest_key(key: str, candidates: Sequence[str]) -> str | None:
    """Find the candidate that is spelled most like `key`, with or without its section."""
    close = get_close_matches(key, candidates, n=1, cutoff=0.7)
    if close:
        return close[0]
    by_last_part = {candidate.rpartition(".")[2]: candidate for candidate in reversed(candidates)}
    close = get_close_matches(key.rpartition(".")[2], list(by_last_part), n=1, cutoff=0.6)
    return by_last_part[close[0]] if close else None


def settings_error(
    details: ErrorDetails, *, places: Mapping[str, str], where: str
) -> SettingsError:
    """Say what pydantic found in the words of someone who edits the file.

    Parameters
    ----------
    details
        One entry of ``ValidationError.errors()``.
    places
        Where a key was set, if not in the file: a variable or an option.
    where
        What the other keys come from.
    """
    key = _dotted(details["loc"])
    if details["type"] == "contradiction":
        facts = details["ctx"]
        key = f"{key}.{facts['key']}" if key else str(facts["key"])
        return SettingsError(key=key, found=str(facts["found"]), accepted=str(facts["accepted"]))
    if details["type"] == "extra_forbidden":
        siblings, candidates = _keys_beside(details["loc"])
        return SettingsError(
            key=key,
            found=f"{_shown_under(key, details['input'])}, an unknown key in {where}",
            accepted=", ".join(siblings),
            nearest=nearest_key(key, candidates),
        )
    held = "nothing" if details["type"] == "missing" else shown(details["input"])
    place = places.get(key.partition("[")[0], where)
    found = f"{held} in {place}"
    return SettingsError(key=key, found=found, accepted=_accepted(_schema_at(details["loc"])))


def _dotted(place: Sequence[int | str]) -> str:
    """Write ``("destinations", 0, "port")`` as ``destinations[0].port``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def shown(value: object) -> str:
    """Show a value, shortened, and without the password that a URL may hold."""
    text = _PASSWORD_IN_URL.sub(r"\1:***@", repr(value))
    text = _PASSWORD_IN_QUERY.sub(r"\1***", text)
    return text if len(text) <= _LONGEST_VALUE_SHOWN else f"{text[:_LONGEST_VALUE_SHOWN]}…"


def _shown_under(key: str, value: object) -> str:
    """Show the value of a key that nobody knows, unless its name says that it may be a secret."""
    return "a value not shown here" if _NAME_OF_A_SECRET.search(key) else shown(value)


def _keys_beside(place: Sequence[int | str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the keys of the same section, and every key that may have been meant."""
    section = _schema_at(place[:-1])
    above = _dotted(place[:-1])
    siblings = tuple(section.get("properties", {}))
    here = tuple(f"{above}.{name}" if above else name for name in siblings)
    return siblings, (*here, *(key for key in known_keys() if key not in here))


def _schema_at(place: Sequence[int | str]) -> dict[str, Any]:
    """Find the JSON schema of one setting, with references and a possible null resolved."""
    whole = Settings.model_json_schema()
    schema: dict[str, Any] = whole
    for part in place:
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part, {})
        options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
        schema = options[0] if options else schema
        if "$ref" in schema:
            schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _accepted(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema accepts."""
    if "accepted" in schema:
        return str(schema["accepted"])
    if "enum" in schema:
        return "one of " + ", ".join(f'"{value}"' for value in schema["enum"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        bounds = [f"{word} {schema[name]:g}" for name, word in _BOUNDS if name in schema]
        return " ".join([noun, *bounds]).replace(" below", " and below")
    if kind == "array":
        return "a list"
    if kind == "object":
        return "a table of settings"
    return "a path" if schema.get("format") == "path" else "a text"


def described_settings(*keys: str) -> tuple[tuple[str, str, str], ...]:
    """Give key, default and sentence of each setting, as its documentation says.

    Parameters
    ----------
    keys
        As in ``receive.port``.
    """
    described: list[tuple[str, str, str]] = []
    for key in keys:
        section, _, name = key.partition(".")
        default = getattr(getattr(Settings(), section), name)
        description = _schema_at((section, name))["description"]
        described.append(
            (key, f"{default:g}" if isinstance(default, float) else str(default), description)
        )
    return tuple(described)
