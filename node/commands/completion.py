"""What the shell offers when a person presses Tab: words of closed lists, and what the log knows.

A shell that asks must get an answer at once, and nothing else: whatever goes wrong, no word is
offered.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from model.errors import ModelError
from node.commands.event_words import WORDS
from node.errors import NodeError

if TYPE_CHECKING:
    from sqlalchemy import Select

STUDIES_OFFERED = 20


def words(known: type[StrEnum]) -> Callable[[str], list[str]]:
    """Offer the words of a closed list."""

    def offered(incomplete: str) -> list[str]:
        return [word.value for word in known if word.value.startswith(incomplete)]

    return offered


def studies(ctx: typer.Context, incomplete: str) -> Sequence[tuple[str, str]]:
    """Offer the studies that came last, of those whose UID begins so, each with its state."""
    from sqlalchemy import select

    from node.study_log.tables import Study

    begins_so = Study.study_instance_uid.startswith(incomplete, autoescape=True)
    newest_first = (Study.last_received_at.desc(), Study.id.desc())
    statement = select(Study.study_instance_uid, Study.state).where(begins_so)
    found = _ask(ctx, statement.order_by(*newest_first).limit(STUDIES_OFFERED))
    return [(uid, state) for uid, state in found]


def ae_titles(ctx: typer.Context, incomplete: str) -> Sequence[str]:
    """Offer the calling AE titles that studies came from."""
    from sqlalchemy import select

    from node.study_log.tables import Study

    known = _ask(ctx, select(Study.calling_ae_title).distinct())
    return sorted(title for (title,) in known if title.startswith(incomplete))


def destinations(ctx: typer.Context, incomplete: str) -> Sequence[str]:
    """Offer the destinations of the settings."""
    from node.settings_loading import load_settings

    try:
        settings = load_settings(_config_of(ctx))
    except NodeError:
        return []
    names = [destination.name for destination in settings.destinations]
    return [name for name in names if name.startswith(incomplete)]


def events(incomplete: str) -> list[str]:
    """Offer the events that the node writes."""
    return [name for name in WORDS if name.startswith(incomplete)]


def _ask(ctx: typer.Context, statement: "Select[*tuple[Any, ...]]") -> "Sequence[Any]":
    """Ask the log that the command being typed would read; if it cannot be read it has no rows."""
    from sqlalchemy.exc import SQLAlchemyError

    from node.commands.open_log import open_log
    from node.settings_loading import load_settings

    try:
        settings = load_settings(_config_of(ctx))
        with open_log(settings) as database, database.reading() as session:
            return session.execute(statement).all()
    except (NodeError, ModelError, SQLAlchemyError):
        return []


def _config_of(ctx: typer.Context) -> Path | None:
    """Give the settings file that the command being typed names."""
    named = ctx.params.get("config")
    return Path(named) if named else None
