"""A score in words: its name, its number and its call, the same in every kind that is read."""

from dataclasses import dataclass

from node.results import StudyResult

_PERCENT_ENDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWords:
    """How a score is said.

    Attributes
    ----------
    name
        "AI malignancy score"; or "Probability of cancer (AI)" where the site's prevalence is set.
    value, operating_point
        On the scale that the name asks for: two decimals, or percent with one. More, where a value
        below the operating point would read the same as it.
    percent
        The same value from 0 to 100, for what is stated in percent.
    scale_end
        Where a scale for it ends that begins at 0: "1", or the percentage that leaves the operating
        point a place that can be seen. It is the same for every score of a site.
    share, operating_share
        Where on that scale the value and the operating point are, in [0, 1]; a value beyond its end
        is at its end.
    is_called
        Whether the score is at or above the operating point.
    """

    name: str
    value: str
    operating_point: str
    percent: float
    scale_end: str
    share: float
    operating_share: float
    is_called: bool

    @property
    def sentence(self) -> str:
        """All of it on one line, without a full stop."""
        place = "at or above" if self.is_called else "below"
        return f"{self.name} {self.value}, {place} operating point {self.operating_point}"


def score_words(result: StudyResult, score: float) -> ScoreWords:
    """Say a score.

    Parameters
    ----------
    result
        The analysis; its `prevalence` decides the name.
    score
        AI malignancy score in [0, 1], of a view, a breast or the study.

    Returns
    -------
    words
        Never that a breast is benign.
    """
    point = result.manifest.operating_point
    is_called = point.is_reached(score)
    if result.prevalence is None:
        value, limit = _in_figures(score, point.threshold, decimals=2)
        return ScoreWords(
            name="AI malignancy score",
            value=value,
            operating_point=limit,
            percent=100 * score,
            scale_end="1",
            share=score,
            operating_share=point.threshold,
            is_called=is_called,
        )
    carry = result.manifest.calibration.at_prevalence
    percent = 100 * carry(score, result.prevalence)
    operating_percent = 100 * carry(point.threshold, result.prevalence)
    value, limit = _in_figures(percent, operating_percent, decimals=1)
    end = next((end for end in _PERCENT_ENDS if end >= 3 * operating_percent), 100)
    return ScoreWords(
        name="Probability of cancer (AI)",
        value=f"{value} %",
        operating_point=f"{limit} %",
        percent=percent,
        scale_end=f"{end:g} %",
        share=min(1.0, percent / end),
        operating_share=operating_percent / end,
        is_called=is_called,
    )


def _in_figures(value: float, limit: float, *, decimals: int) -> tuple[str, str]:
    """Write both with as few decimals as keep "0.43, below 0.43" from being said."""
    while value < limit and f"{value:.{decimals}f}" == f"{limit:.{decimals}f}" and decimals < 9:
        decimals += 1
    return f"{value:.{decimals}f}", f"{limit:.{decimals}f}"
