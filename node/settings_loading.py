"""Reads the settings: one TOML file, then the environment over it, checked as a whole.

A file is read only where one is named, by ``--config`` or by ``MAMMONODE_CONFIG``; no file is
looked for. An environment variable is ``MAMMONODE_`` and the setting's key in capitals, its parts
joined by two underscores: ``MAMMONODE_RECEIVE__PORT``, ``MAMMONODE_DATA_DIR``. A list is written
with commas, ``MAMMONODE_DESTINATIONS`` as a JSON list of tables, and it replaces the whole list.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from node.errors import SettingsError
from node.settings import Settings
from node.settings_faults import known_keys, nearest_key, settings_error, shown

PREFIX = "MAMMONODE_"
NOT_SETTINGS = ("MAMMONODE_CONFIG", "MAMMONODE_REQUIRE_PEERS")
"""Variables with our prefix that name no setting: the file, and what the tests must find."""
_TLS_FILES = ("tls_ca_file", "tls_certificate_file", "tls_key_file")


def load_settings(
    path: Path | None,
    *,
    data_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read, merge and check the settings.

    Parameters
    ----------
    path
        The TOML file; None: the one that ``MAMMONODE_CONFIG`` names, else none.
    data_dir
        Goes before file and environment: what a person gave on the command line.
    environment
        Variables to read in place of the process's own.

    Returns
    -------
    settings
        `data_dir`, `model.weights` and files for TLS are absolute: what was relative is taken from
        the current folder, not from the folder of the file.

    Raises
    ------
    SettingsError
        For the first unknown key or value that is not accepted. It shows no password.
    """
    variables = dict(os.environ if environment is None else environment)
    if path is None and variables.get("MAMMONODE_CONFIG"):
        path = Path(variables["MAMMONODE_CONFIG"])
    tree = {} if path is None else _read_toml(path)
    places: dict[str, str] = {}
    for name, value in sorted(variables.items()):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            key = _key_of_variable(name)
            _put(tree, key.split("."), _list_of_tables(key, name, value))
            places[key] = name
    if data_dir is not None:
        tree["data_dir"] = str(data_dir)
        places["data_dir"] = "--data-dir"
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        where = path.name if path is not None else "the defaults"
        raise settings_error(error.errors()[0], places=places, where=where) from None
    return _with_absolute_paths(settings)


def _read_toml(path: Path) -> dict[str, Any]:
    accepted = "a TOML file, as config/node.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = f"{path} cannot be read ({error.strerror})"
        raise SettingsError(key="--config", found=found, accepted=accepted) from error
    except UnicodeDecodeError as error:
        raise SettingsError(key=str(path), found="not UTF-8", accepted=accepted) from error
    except tomllib.TOMLDecodeError as error:
        # Only the place: the line itself may hold a password.
        place = re.search(r"\(at .*\)", str(error))
        found = f"what TOML does not know {place.group() if place else ''}".strip()
        raise SettingsError(key=str(path), found=found, accepted=accepted) from None


def _key_of_variable(name: str) -> str:
    key = name.removeprefix(PREFIX).lower().replace("__", ".")
    keys = known_keys()
    if key in keys:
        return key
    nearest = nearest_key(key, keys)
    raise SettingsError(
        key=name,
        found="a variable that names no setting",
        accepted=f"{PREFIX} and a key of config/node.toml in capitals, as in {_variable(keys[1])}",
        nearest=None if nearest is None else _variable(nearest),
    )


def _variable(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def _list_of_tables(key: str, name: str, value: str) -> object:
    """Give the value as it is, but `destinations` as the tables that it holds."""
    if key != "destinations":
        return value
    try:
        return TypeAdapter(list[dict[str, Any]]).validate_python(json.loads(value or "[]"))
    except ValueError:
        accepted = 'a JSON list of tables, as in [{"name": "pacs", …}]'
        raise SettingsError(key=name, found=shown(value), accepted=accepted) from None


def _put(tree: dict[str, Any], parts: Sequence[str], value: object) -> None:
    """Set one value, making its section where the file has none."""
    *sections, last = parts
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            return  # the file holds a value where a section belongs: the check will say so
        tree = inner
    tree[last] = value


def _with_absolute_paths(settings: Settings) -> Settings:
    """Bind relative paths to the current folder: the roles are processes of their own."""
    model = settings.model.model_copy(update={"weights": _absolute(settings.model.weights)})
    destinations = tuple(
        destination.model_copy(
            update={name: _absolute(getattr(destination, name)) for name in _TLS_FILES}
        )
        for destination in settings.destinations
    )
    data_dir = settings.data_dir.expanduser().absolute()
    return settings.model_copy(
        update={"data_dir": data_dir, "model": model, "destinations": destinations}
    )


def _absolute(path: str) -> str:
    """Bind a path to the current folder; an empty one, which names nothing, stays empty."""
    return str(Path(path).expanduser().absolute()) if path else ""
