"""Outcomes as a table."""

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from node.commands.display import SHORTEST_UID_ENDING, are_shortened, plain_or_ruled_table
from node.commands.event_words import ending_of
from node.outcomes.listing import ListedOutcome, OutcomeState

_BESIDE_STUDIES = 67
"""Width of the other columns at their widest."""
_STYLES = {
    OutcomeState.LINKED: "green",
    OutcomeState.OVERRULED: "dim",
    OutcomeState.UNMATCHED: "yellow",
    OutcomeState.CONFLICT: "bold red",
    OutcomeState.WITHDRAWN: "dim",
    OutcomeState.EMPTIED: "dim",
}


def outcomes_table(outcomes: Sequence[ListedOutcome], console: Console) -> RenderableType:
    """Give outcomes, one line each."""
    table = plain_or_ruled_table(
        console, "Number", "Date", "Breast", "Source", "Result", "State", "About"
    )
    for one in outcomes:
        table.add_row(
            str(one.number),
            one.date,
            one.laterality,
            one.source,
            one.result,
            Text(one.state.value, style=_STYLES[one.state]),
            Text(one.reason or _studies(one.studies, console)),
        )
    return table


def _studies(uids: Sequence[str], console: Console) -> str:
    is_short = are_shortened(uids, console, beside=_BESIDE_STUDIES)
    return " ".join(ending_of(uid, SHORTEST_UID_ENDING) if is_short else uid for uid in uids)
