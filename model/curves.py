"""What a plot of scored rows is drawn from: the ROC and the precision-recall curve, reliability."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from model.statistics import BINS, Sample


class _Fact(BaseModel):
    """A frozen part of a document of figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Curve(_Fact):
    """Points of a curve, from left to right."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class ReliabilityBin(_Fact):
    """Rows with neighbouring scores: are as many of them cancers as the scores say."""

    rows: int
    mean_score: float
    cancer_share: float


def roc_curve(once: Sample) -> Curve:
    """Give sensitivity by false positive rate, from nothing called to everything called.

    Parameters
    ----------
    once
        With one resampling: each row once.

    Returns
    -------
    curve
        Empty where all rows are of one class.
    """
    if not (once.positives[0] and once.negatives[0]):
        return Curve(x=(), y=())
    return Curve(
        x=(0.0, *(once.false_positives[0] / once.negatives[0]).tolist()),
        y=(0.0, *(once.true_positives[0] / once.positives[0]).tolist()),
    )


def precision_recall_curve(once: Sample) -> Curve:
    """Give precision by recall, from the highest threshold to the lowest.

    Parameters
    ----------
    once
        With one resampling: each row once.

    Returns
    -------
    curve
        Empty without a cancer.
    """
    if not once.positives[0]:
        return Curve(x=(), y=())
    true, false = once.true_positives[0], once.false_positives[0]
    return Curve(
        x=tuple((true / once.positives[0]).tolist()), y=tuple((true / (true + false)).tolist())
    )


def reliability_bins(once: Sample) -> Iterator[ReliabilityBin]:
    """Give mean score and share of cancers in each bin that is not empty.

    Parameters
    ----------
    once
        With one resampling: each row once.
    """
    for place in range(BINS):
        inside = once.bin_of == place
        if inside.any():
            yield ReliabilityBin(
                rows=int(inside.sum()),
                mean_score=float(once.scores[inside].mean()),
                cancer_share=float(once.is_cancer[inside].mean()),
            )
