import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from score_tables import drawn_table, evaluation_of

from model.manifest import NOT_FOR_DIAGNOSTIC_USE, Interval
from training.errors import RunError
from training.evaluation.gallery import Picture, Row
from training.evaluation.levels import LevelName
from training.evaluation.pointing_game import PointingGame
from training.evaluation.report import (
    FIGURES_FILE,
    html_report,
    read_evaluation,
    write_evaluation,
)
from training.evaluation.scores import read_scores

TABLE = drawn_table(patients=60)
EVALUATION = evaluation_of(TABLE)
PICTURE = Picture(words="0.91 · cancer", plain="data:image/jpeg;base64,AA==", with_map="data:,")


class Page(HTMLParser):
    """What a browser would load, and what a reader would read."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self._is_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._is_style = tag == "style"
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        if not self._is_style:
            self.words += " ".join(data.split()) + " "


def test_an_evaluation_reads_back_as_it_was_written_with_its_scores(tmp_path: Path) -> None:
    report = write_evaluation(EVALUATION, TABLE, (), tmp_path / "made")

    assert report.is_file()
    assert read_evaluation(tmp_path / "made") == EVALUATION
    assert read_scores(tmp_path / "made").images == TABLE.images
    assert not list((tmp_path / "made").glob("*.unfinished"))


def test_the_page_loads_nothing_from_elsewhere() -> None:
    html = html_report(EVALUATION, TABLE, [Row(title="Best", pictures=(PICTURE,))])

    page = Page(html)
    assert all(address.startswith("data:") for address in page.addresses)
    assert len(page.addresses) == 5 + 2
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "url(" not in html
    assert "@import" not in html


def test_every_plot_is_whole_svg_that_loads_nothing() -> None:
    page = Page(html_report(EVALUATION, TABLE, ()))

    for address in page.addresses:
        svg = base64.b64decode(address.removeprefix("data:image/svg+xml;base64,")).decode()
        assert svg.rstrip().endswith("</svg>")
        assert re.findall(r'(?:href|src)="([^"#][^"]*)"', svg) == []


def test_the_page_says_what_was_measured_on_whom_and_what_it_is_not_for() -> None:
    words = Page(html_report(EVALUATION, TABLE, ())).words

    by_image = EVALUATION.measured.level(LevelName.IMAGE)
    area = by_image.figures["auc"]
    assert area is not None
    for expected in (
        NOT_FOR_DIAGNOSTIC_USE,
        "Drawn breasts, test split: 60 patients, 240 images, 40 of them with cancer",
        f"{area.value:.3f}",
        f"{area.low:.3f} to {area.high:.3f}",
        "The weights were trained on other data than these.",
        "fitted on the training split",
        "2 image(s) in which no breast was found",
        "A low score does not mean benign",
    ):
        assert expected in words


def test_the_page_of_three_classes_has_their_confusion_matrix_and_macro_figures() -> None:
    table = drawn_table(patients=60, classes=3)

    words = Page(html_report(evaluation_of(table), table, ())).words

    assert "F1, macro" in words
    assert "By image, all classes." in words


def test_the_pointing_game_is_told_in_percent_beside_chance() -> None:
    game = PointingGame(
        images=30,
        patients=20,
        hit_rate=Interval(value=0.4, low=0.25, high=0.55),
        chance=Interval(value=0.05, low=0.04, high=0.06),
        above_chance=Interval(value=0.35, low=0.2, high=0.5),
    )

    words = Page(html_report(evaluation_of(TABLE, pointing_game=game), TABLE, ())).words

    assert "40.0 % (25.0 to 55.0)" in words
    assert "would hit 5.0 %" in words


def test_what_is_not_defined_is_a_dash_and_breaks_nothing() -> None:
    healthy = TABLE.taken([row for row, sick in enumerate(TABLE.is_cancer) if not sick])

    words = Page(html_report(evaluation_of(healthy), healthy, ())).words

    assert "only one class" in words
    assert "nan" not in words


def test_a_name_with_markup_stays_a_name() -> None:
    html = html_report(evaluation_of(TABLE, data_set="<script>alert(1)</script>"), TABLE, ())

    assert "script" not in Page(html).tags


def test_the_same_evaluation_makes_the_same_page() -> None:
    assert html_report(EVALUATION, TABLE, ()) == html_report(EVALUATION, TABLE, ())


def test_a_folder_without_an_evaluation_or_with_another_files_figures_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(RunError, match="the folder that `evaluate` printed"):
        read_evaluation(tmp_path)

    (tmp_path / FIGURES_FILE).write_text('{"accuracy": 1.0}')
    with pytest.raises(RunError, match="Evaluate again"):
        read_evaluation(tmp_path)
