"""The plots of the page of live figures."""

from collections.abc import Sequence

from model.manifest import Interval
from node.performance.figures import LevelFigures, LevelName, Slice
from node.performance.svg import INK, SOFT, Axis, Plot, axis
from node.performance.words import Figure, interval_words

COLOUR_OF = {LevelName.BREAST: "#b7460f", LevelName.STUDY: "#2b6cb0"}


def roc_plot(levels: Sequence[LevelFigures]) -> str:
    """Draw the ROC curves with the operating point, one curve a level that has one."""
    plot = Plot(
        title="ROC curves by breast and by study, with the operating point",
        x=axis("1 − specificity", 1.0),
        y=axis("sensitivity", 1.0),
    )
    plot.line([(0, 0), (1, 1)], SOFT, width=1, is_dashed=True)
    drawn = [level for level in levels if level.roc is not None]
    for level in drawn:
        if level.roc is not None:
            plot.steps(list(zip(level.roc.x, level.roc.y, strict=True)), COLOUR_OF[level.level])
    for level in drawn:
        sensitivity, specificity = level.sensitivity, level.specificity
        if sensitivity is not None and specificity is not None:
            plot.point(
                (1 - specificity.value, sensitivity.value),
                COLOUR_OF[level.level],
                up=(sensitivity.low, sensitivity.high),
                across=(1 - specificity.high, 1 - specificity.low),
                words=f"operating point by {level.level}: sensitivity "
                f"{interval_words(sensitivity)}, specificity {interval_words(specificity)}",
            )
    plot.key(
        [
            (COLOUR_OF[level.level], f"by {level.level}, AUC {level.auc.value:.3f}")
            for level in drawn
            if level.auc is not None
        ]
    )
    return plot.svg()


def calibration_plot(level: LevelFigures) -> str:
    """Draw the share of cancers against the mean score over bins; empty without a calibration."""
    if level.calibration is None:
        return ""
    bins = level.calibration.bins
    across = _limit(max(each.mean_score for each in bins))
    up = _limit(max(each.cancer_share.high for each in bins))
    plot = Plot(
        title=f"Calibration by {level.level}: share of cancers by mean score",
        x=axis("mean score of the bin", across),
        y=axis("share of cancers in the bin", up),
    )
    shorter = min(across, up)
    plot.line([(0, 0), (shorter, shorter)], SOFT, width=1, is_dashed=True)
    colour = COLOUR_OF[level.level]
    plot.line([(each.mean_score, each.cancer_share.value) for each in bins], colour)
    for each in bins:
        share = each.cancer_share
        plot.point(
            (each.mean_score, share.value),
            colour,
            up=(share.low, share.high),
            words=f"{each.rows:,} rows, mean score {each.mean_score:.4f}, "
            f"cancers {interval_words(share, decimals=4)}",
        )
    return plot.svg()


def _limit(most: float) -> float:
    """Give the end of an axis of shares."""
    return next((end for end in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5) if end >= most), 1.0)


def time_plot(months: Sequence[Slice], figure: Figure, overall: Interval | None) -> str:
    """Draw a figure of studies over months; empty where no month has it.

    Parameters
    ----------
    months
        Those too recent for follow-up are hollow.
    figure
        Which.
    overall
        Of all months: a line across.
    """
    months = [month for month in months if month.value[0].isdigit()]
    found = [figure.of(month.level(LevelName.STUDY)) for month in months]
    there = [one for one in found if one is not None]
    if not there or overall is None:
        return ""
    lowest = min(one.low for one in there)
    low = next(begin for begin in (0.9, 0.8, 0.5, 0.0) if begin <= lowest or not begin)
    every = max(1, round(len(months) / 12))
    plot = Plot(
        title=f"{figure.title} by study over months",
        x=Axis(
            name="month of the study",
            low=-0.5,
            high=len(months) - 0.5,
            ticks=[(place, month.value) for place, month in enumerate(months) if not place % every],
        ),
        y=axis(figure.title, 1.0, low),
        width=900.0,
        height=230.0,
    )
    plot.line(
        [(-0.5, overall.value), (len(months) - 0.5, overall.value)], SOFT, width=1, is_dashed=True
    )
    for place, (month, one) in enumerate(zip(months, found, strict=True)):
        if one is not None:
            plot.point(
                (place, one.value),
                COLOUR_OF[LevelName.STUDY] if not month.is_too_recent else INK,
                up=(one.low, one.high),
                is_hollow=month.is_too_recent,
                words=f"{month.value}: {interval_words(one)}",
            )
    return plot.svg()
