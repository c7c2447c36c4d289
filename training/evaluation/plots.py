"""The curves and diagrams of a report, each as one SVG."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.figures import LevelFigures, Subgroup
from training.evaluation.levels import LevelName
from training.evaluation.scores import ScoreTable

Float64Array = npt.NDArray[np.float64]

INK, SOFT, RULE = "#1f2933", "#667380", "#d9dee4"
COLOUR_OF = {LevelName.IMAGE: "#2b6cb0", LevelName.BREAST: "#c05621", LevelName.PATIENT: "#2f855a"}
CANCER, OTHERS = "#b83280", "#7b8794"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mammonode",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}


def roc_curves(levels: Sequence[LevelFigures]) -> str:
    """Draw sensitivity against false positive rate, one curve a level.

    Parameters
    ----------
    levels
        With their curves.

    Returns
    -------
    svg
        Of a square plot.
    """
    with _square("false positive rate (1 − specificity)", "sensitivity") as (axes, drawn):
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        for level in levels:
            axes.step(
                level.roc.x, level.roc.y, where="post", color=COLOUR_OF[level.level],
                linewidth=1.7, label=_label(level, "auc", "AUC"),
            )  # fmt: skip
        axes.legend(loc="lower right")
    return drawn[0]


def precision_recall_curves(levels: Sequence[LevelFigures]) -> str:
    """Draw precision against recall, one curve a level, each with its share of cancers.

    Parameters
    ----------
    levels
        With their curves.

    Returns
    -------
    svg
        Of a square plot.
    """
    with _square("recall (sensitivity)", "precision") as (axes, drawn):
        for level in levels:
            colour = COLOUR_OF[level.level]
            axes.step(
                level.precision_recall.x, level.precision_recall.y, where="pre", color=colour,
                linewidth=1.7, label=_label(level, "average_precision", "PR-AUC"),
            )  # fmt: skip
            axes.axhline(
                level.cancers / level.rows, color=colour, linewidth=0.9, linestyle=(0, (4, 3))
            )
        axes.legend(loc="upper right")
    return drawn[0]


def calibration_plot(level: LevelFigures) -> str:
    """Draw the share of cancers against the mean score, over bins of equal numbers.

    Parameters
    ----------
    level
        With its bins.

    Returns
    -------
    svg
        Of a square plot.
    """
    bins = level.reliability
    scores, shares = [each.mean_score for each in bins], [each.cancer_share for each in bins]
    # Twice the standard error of a share: how far chance alone moves a point.
    errors = [
        1.96 * np.sqrt(each.cancer_share * (1 - each.cancer_share) / each.rows) for each in bins
    ]
    limit = min(1.0, 1.1 * max([*scores, *(np.array(shares) + errors).tolist()], default=1.0))
    with _square("mean score of the bin", "share of cancers in the bin", limit) as (axes, drawn):
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.errorbar(
            scores, shares, yerr=errors, color=COLOUR_OF[level.level], marker="o", markersize=5,
            linewidth=1.4, elinewidth=0.9,
        )  # fmt: skip
    return drawn[0]


def score_histogram(table: ScoreTable, threshold: float) -> str:
    """Draw how the scores of images with and without cancer are spread.

    Parameters
    ----------
    table
        Of the evaluation.
    threshold
        The operating point.

    Returns
    -------
    svg
        Of a square plot; each sort has the area 1.
    """
    with _square("AI malignancy score of the image", "density", None) as (axes, drawn):
        largest = float(max(table.scores.max(), threshold))
        edges = np.linspace(min(0.0, float(table.scores.min())), min(1.0, largest * 1.03), 36)
        for name, colour, inside in (
            ("no cancer", OTHERS, ~table.is_cancer),
            ("cancer", CANCER, table.is_cancer),
        ):
            if inside.any():
                axes.hist(
                    table.scores[inside], bins=edges.tolist(), density=True, color=colour,
                    alpha=0.5, label=f"{name} ({int(inside.sum())})", histtype="stepfilled",
                )  # fmt: skip
        axes.axvline(threshold, color=INK, linewidth=1.0)
        # Room for the legend.
        axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
        axes.annotate(
            "operating point", (threshold, axes.get_ylim()[1]), xytext=(4, -4), rotation=90,
            textcoords="offset points", verticalalignment="top", fontsize=9.5, color=INK,
        )  # fmt: skip
        axes.legend(loc="upper left")
    return drawn[0]


def subgroup_plot(subgroups: Sequence[Subgroup], overall: LevelFigures) -> str:
    """Draw the image AUC of each subgroup with its interval, beside that of all images.

    Parameters
    ----------
    subgroups
        Those without an AUC are left out.
    overall
        By image.

    Returns
    -------
    svg
        As high as it has rows; empty without a subgroup that has an AUC.
    """
    shown = [group for group in subgroups if group.auc is not None]
    found = overall.figures["auc"]
    if not shown or found is None:
        return ""
    with _plot((7.6, 0.42 * len(shown) + 1.25)) as (axes, drawn):
        axes.axvspan(
            found.low, found.high, color=COLOUR_OF[LevelName.IMAGE], alpha=0.1, linewidth=0
        )
        axes.axvline(found.value, color=COLOUR_OF[LevelName.IMAGE], linewidth=1.0)
        axes.axvline(0.5, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        for row, group in enumerate(shown):
            if group.auc is not None:
                axes.plot([group.auc.low, group.auc.high], [row, row], color=INK, linewidth=1.3)
                axes.plot([group.auc.value], [row], color=INK, marker="o", markersize=5)
        axes.set_yticks(
            range(len(shown)),
            [f"{group.fact} {group.value}  ({group.cancers} of {group.images})" for group in shown],
        )
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(min(0.4, *(group.auc.low for group in shown if group.auc)) - 0.01, 1.0)
        axes.set_xlabel("AUC by image, 95 % interval")
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
    return drawn[0]


def _label(level: LevelFigures, figure: str, name: str) -> str:
    """Say a level and its figure."""
    found = level.figures[figure]
    return f"by {level.level}" + (f", {name} {found.value:.2f}" if found else "")


@contextmanager
def _square(across: str, up: str, limit: float | None = 1.0) -> Iterator[tuple[Axes, list[str]]]:
    """Make one square plot with named axes, of the unit square or what is asked for."""
    with _plot((4.6, 4.4)) as (axes, drawn):
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        if limit is not None:
            axes.set_xlim(-0.01 * limit, limit * 1.01)
            axes.set_ylim(-0.01 * limit, limit * 1.01)
            axes.set_aspect("equal")
        yield axes, drawn


@contextmanager
def _plot(size_inches: tuple[float, float]) -> Iterator[tuple[Axes, list[str]]]:
    """Make a plot; what it looks like at the end is put into the list as SVG."""
    drawn: list[str] = []
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size_inches, layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        yield axes, drawn
        target = io.StringIO()
        # Without a date, the same figures make the same file.
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
        drawn.append(target.getvalue())
