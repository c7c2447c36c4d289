"""Outcomes as a table: a study is named in a piece, however narrow the terminal."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from node.commands.outcomes_tables import outcomes_table
from node.outcomes.listing import ListedOutcome, OutcomeState

UIDS = tuple(f"1.2.826.0.1.3680043.8.498.{number}" for number in (7000001234, 7000005678))


def drawn(*, width: int) -> list[str]:
    """Draw an outcome of two studies as a terminal of that width shows it."""
    outcome = ListedOutcome(
        number=17,
        date="2026-03-20",
        laterality="R",
        source="histopathology",
        result="malignant",
        state=OutcomeState.CONFLICT,
        studies=UIDS,
        reason="",
        imported_at=datetime(2026, 4, 1, tzinfo=UTC),
        imported_by="someone",
    )
    console = Console(width=width, force_terminal=True, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(outcomes_table([outcome], console))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_a_study_is_named_in_a_piece(width: int) -> None:
    lines = drawn(width=width)

    words = {word for line in lines for word in line.split()}
    assert max(len(line) for line in lines) <= width
    for uid in UIDS:
        assert (uid if width == 120 else f"…{uid[-10:]}") in words
