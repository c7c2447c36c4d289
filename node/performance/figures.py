"""The document of the node's live figures: what ``measure`` fills in and everybody else reads."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from model.curves import Curve
from model.manifest import Interval


class LevelName(StrEnum):
    """What a row is."""

    BREAST = "breast"
    STUDY = "study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Rows at the operating point that was in force when they were analysed."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Rows with neighbouring scores: were as many of them cancers as the scores say."""

    rows: int
    mean_score: float
    cancer_share: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Whether scores are what they say, over rows of known outcome.

    Attributes
    ----------
    expected
        Mean score.
    observed
        Share of cancers.
    error
        Expected calibration error over the bins.
    """

    rows: int
    expected: float
    observed: Interval
    error: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFigures:
    """Figures of the rows of one level; None where there are too few for one.

    Attributes
    ----------
    rows, cancers, patients
        Of known outcome.
    called_rows
        Those of which it is known whether they were called: of weights whose operating point is
        known here.
    """

    level: LevelName
    rows: int
    cancers: int
    patients: int
    called_rows: int
    auc: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None
    positive_predictive_value: Interval | None
    negative_predictive_value: Interval | None
    confusion: Confusion
    calibration: Calibration | None
    roc: Curve | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Figures of the studies that one fact is true of.

    Attributes
    ----------
    value
        The month as YYYY-MM, the AE title or the model version.
    studies
        Analysed, with and without an outcome.
    is_too_recent
        Of a month: whether no follow-up can have said of all of it that there was no cancer.
    """

    value: str
    studies: int
    levels: tuple[LevelFigures, ...]
    is_too_recent: bool = False

    def level(self, name: LevelName) -> LevelFigures:
        """Find one level."""
        return next(figures for figures in self.levels if figures.level is name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Of how many analysed studies the outcome is known.

    Attributes
    ----------
    studies
        Analysed.
    known
        Whose outcome is known: a cancer, or none in any breast that has a score.
    partly
        Of which one breast's outcome is known, and that is none.
    in_conflict
        Left out because histopathology says two things.
    without
        Without any outcome yet.
    called, called_known
        Those at or above the operating point, and of them those with a known outcome.
    too_recent
        Of known outcome, and so young that no follow-up can have come yet.
    """

    studies: int
    known: int
    partly: int
    in_conflict: int
    without: int
    called: int
    called_known: int
    too_recent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Everything that the outcomes say of the node.

    Attributes
    ----------
    narrowed_to
        What the studies have in common, in words; empty: all.
    prevalence
        `[model] prevalence`, which scores were carried to for the calibration; None: they were not.
    cautions
        What keeps the figures from being read as more than they are, in whole sentences.
    """

    made_at: datetime
    narrowed_to: str
    diagnosis_within_days: int
    negative_after_days: int
    prevalence: float | None
    verification: Verification
    cautions: tuple[str, ...]
    levels: tuple[LevelFigures, ...]
    by_month: tuple[Slice, ...]
    by_ae_title: tuple[Slice, ...]
    by_model_version: tuple[Slice, ...]

    def level(self, name: LevelName) -> LevelFigures:
        """Find one level."""
        return next(figures for figures in self.levels if figures.level is name)
