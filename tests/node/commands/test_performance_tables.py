"""Live figures as tables: nothing that a person looks for is folded in the middle."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from databases import SqliteLogs
from node.commands.performance_tables import performance_view
from node.outcomes.importing import import_outcomes, read_file
from node.performance.figures import LevelName, Performance
from node.performance.measure import measure
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.study_filter import StudyFilter
from simulated_year import draw_year, write_outcomes, write_studies

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def measured(sqlite_logs: SqliteLogs, tmp_path_factory: pytest.TempPathFactory) -> Performance:
    """Measure a year of so many cancers that each AE title has every figure."""
    folder: Path = tmp_path_factory.mktemp("tables")
    database = Database(sqlite_logs.fresh(folder))
    year = draw_year(studies=900, prevalence=0.2)
    write_studies(year, database)
    write_outcomes(year, folder / "outcomes.csv")
    given = read_file(folder / "outcomes.csv", today=NOW.date().replace(year=2026))
    import_outcomes(database, given, Settings().outcomes, by="someone", at=NOW)
    figures = measure(database, Settings(), StudyFilter(), narrowed_to="", at=NOW)
    database.close()
    return figures


def drawn(measured: Performance, *, width: int) -> list[str]:
    """Draw it as a terminal of that width shows it."""
    console = Console(width=width, force_terminal=True, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(performance_view(measured, console))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [80, 120, 160])
def test_headings_and_intervals_are_whole_in_every_terminal(
    measured: Performance, width: int
) -> None:
    lines = drawn(measured, width=width)

    assert max(len(line) for line in lines) <= width
    for one in measured.by_ae_title:
        figures = one.level(LevelName.STUDY)
        assert figures.auc is not None
        assert figures.sensitivity is not None
        (place,) = [number for number, line in enumerate(lines) if line.startswith(one.value)]
        for found in (figures.auc, figures.sensitivity):
            assert f"{found.value:.3f}" in lines[place]
            whole = f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})" in lines[place]
            assert whole or f"{found.low:.3f}–{found.high:.3f}" in lines[place + 1]
    headings = [line.split() for line in lines if "Known" in line]
    assert [words[-4:] for words in headings] == [["AUC", "Sensitivity", "Specificity", "PPV"]] * 3


def test_a_wide_terminal_has_each_month_on_one_line(measured: Performance) -> None:
    lines = drawn(measured, width=160)

    for one in measured.by_month:
        (line,) = [line for line in lines if line.startswith(one.value)]
        assert line.count(" to ") >= 2
