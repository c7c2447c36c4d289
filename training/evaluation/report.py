"""An evaluation as it is kept: figures as JSON, scores as CSV, and one HTML page with all in it."""

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, ValidationError

from model.manifest import NOT_FOR_DIAGNOSTIC_USE, Interval, OperatingPoint, RollUp
from training.errors import RunError
from training.evaluation import plots
from training.evaluation.bootstrap import RESAMPLINGS
from training.evaluation.figures import TITLES, Measured
from training.evaluation.gallery import Row
from training.evaluation.levels import LevelName
from training.evaluation.pointing_game import PointingGame
from training.evaluation.scores import SCORES_FILE, ScoreTable, write_scores
from training.whole_file import whole_file

FIGURES_FILE = "figures.json"
REPORT_FILE = "report.html"


class Weights(BaseModel):
    """Which weights were evaluated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    sha256: str
    network: str
    classes: tuple[str, ...]
    input_size_px: tuple[int, int]
    trained_on: tuple[str, ...]


class Evaluation(BaseModel):
    """Everything about one evaluation that is not a row of its table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Weights
    data_set: str
    licence: str
    citation: str
    split: str
    """``train``, ``validation``, ``test`` or ``all``."""
    seed: int
    resamplings: int = RESAMPLINGS
    roll_up: RollUp
    operating_point: OperatingPoint
    calibration_prevalence: float
    control_fitted_on: str
    """In words."""
    images_without_breast: int
    """In which no breast was found: in no figure, as a node would not score them."""
    mixed_breasts: int
    """Breasts whose images have different labels."""
    cautions: tuple[str, ...]
    """What keeps the figures from being read as more than they are, in whole sentences."""
    measured: Measured
    pointing_game: PointingGame | None
    """None where the data set gives no place of any cancer, or no heat map could be drawn."""


def write_evaluation(
    evaluation: Evaluation, table: ScoreTable, gallery: Sequence[Row], folder: Path
) -> Path:
    """Write an evaluation into a folder of its own.

    Parameters
    ----------
    evaluation
        The figures.
    table
        The scores that they were made from; `compare` reads them.
    gallery
        Pictures; none where no heat map could be drawn.
    folder
        Is made; files of an earlier evaluation are replaced.

    Returns
    -------
    report
        The HTML page: one file, nothing of it is loaded from elsewhere.
    """
    with whole_file(folder / SCORES_FILE) as file:
        write_scores(table, file)
    html = html_report(evaluation, table, gallery)
    with whole_file(folder / REPORT_FILE) as file:
        file.write_text(html, encoding="utf-8")
    # Last: a folder with figures has the rest too.
    with whole_file(folder / FIGURES_FILE) as file:
        file.write_text(evaluation.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return folder / REPORT_FILE


def read_evaluation(folder: Path) -> Evaluation:
    """Read the figures that an evaluation left in its folder.

    Parameters
    ----------
    folder
        Of the evaluation.

    Returns
    -------
    evaluation
        As it was written.

    Raises
    ------
    RunError
        If there is none, or it is not one that this software wrote.
    """
    file = folder / FIGURES_FILE
    try:
        return Evaluation.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(
            where=file,
            expected=f"the folder of an evaluation, with its {FIGURES_FILE}",
            found=str(error.strerror),
            to_do="Name the folder that `evaluate` printed.",
        ) from error
    except ValidationError as error:
        raise RunError(
            where=file,
            expected="figures as this version of the software writes them",
            found=f"{error.error_count()} fields that are not",
            to_do="Evaluate again.",
        ) from error


def html_report(evaluation: Evaluation, table: ScoreTable, gallery: Sequence[Row]) -> str:
    """Write an evaluation as one HTML page.

    Parameters
    ----------
    evaluation, table, gallery
        As `write_evaluation` takes them.

    Returns
    -------
    html
        With its style and pictures inside.
    """
    environment = Environment(
        loader=PackageLoader("training.evaluation", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["figure"] = _figure
    environment.filters["ends"] = _ends
    measured = evaluation.measured
    by_image = measured.level(LevelName.IMAGE)
    drawn = {
        "roc": plots.roc_curves(measured.levels),
        "precision_recall": plots.precision_recall_curves(measured.levels),
        "calibration": plots.calibration_plot(by_image),
        "histogram": plots.score_histogram(table, evaluation.operating_point.threshold),
        "subgroups": plots.subgroup_plot(measured.subgroups, by_image),
    }
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        measured=measured,
        by_image=by_image,
        titles=TITLES,
        plots={name: _svg_address(svg) for name, svg in drawn.items() if svg},
        gallery=gallery,
        disclaimer=NOT_FOR_DIAGNOSTIC_USE,
    )


def _svg_address(svg: str) -> str:
    """Make a plot a picture of its own: names inside it cannot meet those of another plot."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")


def _figure(found: Interval | None) -> str:
    """Write the value."""
    return "–" if found is None else f"{found.value:.3f}".replace("-", "−")


def _ends(found: Interval | None) -> str:
    """Write the ends of the interval."""
    return "" if found is None else f"{found.low:.3f} to {found.high:.3f}".replace("-", "−")
