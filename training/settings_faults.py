"""Says what is wrong with a setting of training in the words of someone who edits the file."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import ErrorDetails

from training.errors import SettingsError

_LONGEST_VALUE_SHOWN = 80


def settings_error(details: ErrorDetails, tree: type[BaseModel], *, where: str) -> SettingsError:
    """Turn one finding of pydantic into a sentence.

    Parameters
    ----------
    details
        One entry of ``ValidationError.errors()``.
    tree
        The settings that were checked.
    where
        What they were read from.

    Returns
    -------
    error
        Names the key, what it held, and what is accepted.
    """
    key = dotted(details["loc"]) or "the file"
    if details["type"] == "extra_forbidden":
        siblings = _keys_beside(details["loc"], tree)
        close = get_close_matches(str(details["loc"][-1]), siblings, n=1, cutoff=0.6)
        return SettingsError(
            key=key,
            found=f"{_shown(details['input'])}, an unknown key in {where}",
            accepted=", ".join(siblings),
            nearest=close[0] if close else None,
        )
    held = "nothing" if details["type"] == "missing" else _shown(details["input"])
    if details["type"] == "value_error":
        # A rule of ours, between several keys of one table: it says itself which.
        return SettingsError(
            key=key, found=f"another combination in {where}", accepted=str(details["ctx"]["error"])
        )
    accepted = "a value" if details["type"] == "missing" else details["msg"]
    for beginning in ("Input should be ", "Value should have ", "Tuple should have "):
        accepted = accepted.removeprefix(beginning)
    return SettingsError(key=key, found=f"{held} in {where}", accepted=accepted)


def dotted(place: Sequence[int | str]) -> str:
    """Write ``("stages", 0, "epochs")`` as ``stages[0].epochs``.

    Parameters
    ----------
    place
        Keys and positions, from the outside in.
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _shown(value: object) -> str:
    """Show a value, shortened."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE_SHOWN else f"{text[:_LONGEST_VALUE_SHOWN]}…"


def _keys_beside(place: Sequence[int | str], tree: type[BaseModel]) -> tuple[str, ...]:
    """Name the keys of the section that the last part of `place` was looked for in."""
    whole: dict[str, Any] = TypeAdapter(tree).json_schema()
    schema = whole
    for part in place[:-1]:
        inner = schema.get("items" if isinstance(part, int) else "properties", {})
        schema = inner if isinstance(part, int) else inner.get(part, {})
        if "$ref" in schema:
            schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return tuple(schema.get("properties", ()))
