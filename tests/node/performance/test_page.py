"""The page of live figures: whole, readable, and loading nothing."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from databases import SqliteLogs
from node.errors import NodeError
from node.outcomes.importing import import_outcomes, read_file
from node.performance.figures import Performance
from node.performance.measure import measure
from node.performance.page import html_page, write_page
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.study_filter import StudyFilter
from simulated_year import draw_year, write_outcomes, write_studies

SETTINGS = Settings()
NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def measured(
    sqlite_logs: SqliteLogs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Performance, Performance]:
    """Measure a year before and after its outcomes came."""
    folder = tmp_path_factory.mktemp("page")
    database = Database(sqlite_logs.fresh(folder))
    year = draw_year(studies=3000, prevalence=0.08)
    write_studies(year, database)
    before = measure(database, SETTINGS, StudyFilter(), narrowed_to="a <b> & c", at=NOW)
    write_outcomes(year, folder / "outcomes.csv")
    given = read_file(folder / "outcomes.csv", today=datetime.now(UTC).date())
    import_outcomes(database, given, SETTINGS.outcomes, by="someone", at=NOW)
    after = measure(database, SETTINGS, StudyFilter(), narrowed_to="", at=NOW)
    database.close()
    return before, after


def plots(html: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", html, re.DOTALL)


def test_the_page_loads_nothing_from_anywhere(measured: tuple[Performance, Performance]) -> None:
    html = html_page(measured[1])

    assert not re.search(r"<(script|link|img|iframe)|url\(|@import", html)
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {"http://www.w3.org/2000/svg"}


def test_the_page_says_that_it_is_not_for_diagnostic_use_and_what_it_does_not_mean(
    measured: tuple[Performance, Performance],
) -> None:
    html = html_page(measured[1])

    assert html.count("not for diagnostic use") == 2
    assert "have no known outcome and are in no figure" in html
    assert "SECRET" not in html


def test_every_plot_is_well_formed_and_says_what_it_shows(
    measured: tuple[Performance, Performance],
) -> None:
    found = plots(html_page(measured[1]))

    assert len(found) == 5
    for svg in found:
        root = ElementTree.fromstring(svg)  # noqa: S314  # our own
        assert root.get("role") == "img"
        assert root.get("aria-label")
        _, _, width, height = (float(part) for part in (root.get("viewBox") or "").split())
        for part in root.iter("{http://www.w3.org/2000/svg}circle"):
            assert 0 <= float(part.get("cx") or -1) <= width
            assert 0 <= float(part.get("cy") or -1) <= height


def test_every_element_of_the_page_is_closed(measured: tuple[Performance, Performance]) -> None:
    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag != "meta":
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

    for performance in measured:
        balance = Balance()
        balance.feed(html_page(performance))
        assert balance.open == []


def test_a_page_without_outcomes_says_so_and_has_no_plot(
    measured: tuple[Performance, Performance],
) -> None:
    html = html_page(measured[0])

    assert plots(html) == []
    assert "there is nothing to measure" in html
    assert "a &lt;b&gt; &amp; c" in html


def test_a_month_too_recent_for_follow_up_is_marked(
    measured: tuple[Performance, Performance],
) -> None:
    html = html_page(measured[1])

    assert "2023-12 *" in html
    assert "2023-01 *" not in html
    assert 'fill="#fff"' in html


def test_the_page_is_written_whole_into_a_folder_that_is_made(
    measured: tuple[Performance, Performance], tmp_path: Path
) -> None:
    write_page(measured[1], tmp_path / "new" / "page.html")

    text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert text.endswith("</html>\n")
    with pytest.raises(NodeError):
        write_page(measured[1], tmp_path / "new" / "page.html" / "below.html")
