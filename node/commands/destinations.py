"""Finds the destination that a person names."""

from difflib import get_close_matches

from node.errors import SettingsError
from node.settings import DestinationSettings, Settings


def destination_named(settings: Settings, name: str, *, key: str) -> DestinationSettings:
    """Find a destination by its name in the settings.

    Parameters
    ----------
    settings
        Of the node.
    name
        As it was typed.
    key
        The option or argument that it was typed for.

    Raises
    ------
    SettingsError
        If there is none of that name; names the nearest one.
    """
    by_name = {destination.name: destination for destination in settings.destinations}
    if name not in by_name:
        folded = {known.casefold(): known for known in by_name}
        close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
        raise SettingsError(
            key=key,
            found=repr(name),
            accepted=f"a destination of the settings ({', '.join(by_name) or 'none'})",
            nearest=folded[close[0]] if close else None,
        )
    return by_name[name]
