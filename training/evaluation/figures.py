"""The document of an evaluation's figures: what `measure` fills in and everybody else reads."""

from pydantic import BaseModel, ConfigDict

from model.curves import Curve, ReliabilityBin
from model.manifest import Interval
from training.evaluation.levels import LevelName

TITLES = {
    "auc": "AUC-ROC",
    "average_precision": "PR-AUC (average precision)",
    "sensitivity_at_90_specificity": "sensitivity at 90 % specificity",
    "specificity_at_90_sensitivity": "specificity at 90 % sensitivity",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall (sensitivity)",
    "specificity": "specificity",
    "f1": "F1",
    "brier": "Brier score",
    "calibration_error": "expected calibration error",
    "macro_precision": "precision, macro",
    "macro_recall": "recall, macro",
    "macro_f1": "F1, macro",
    "macro_auc": "AUC-ROC, macro, one against the rest",
}
"""In words, for every key of `figures`."""


class _Fact(BaseModel):
    """A frozen part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Confusion(_Fact):
    """Rows at the operating point."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


class ClassFigures(_Fact):
    """What a network of three classes reaches, by its largest output."""

    confusion: tuple[tuple[int, ...], ...]
    """Rows by true class, in the classes' order, and by largest output."""
    figures: dict[str, Interval | None]


class LevelFigures(_Fact):
    """What was measured on the rows of one level."""

    level: LevelName
    rows: int
    cancers: int
    figures: dict[str, Interval | None]
    """By key of `TITLES`; None where the rows do not define it."""
    confusion: Confusion
    roc: Curve
    """False positive rate to sensitivity."""
    precision_recall: Curve
    """Recall to precision."""
    reliability: tuple[ReliabilityBin, ...]
    of_classes: ClassFigures | None
    """Of a network of three classes, where the labels are its classes."""


class Subgroup(_Fact):
    """Images that one fact is true of."""

    fact: str
    value: str
    images: int
    cancers: int
    auc: Interval | None
    """None with fewer than five images of either sort."""


class Measured(_Fact):
    """Everything that a table of scores says."""

    patients: int
    levels: tuple[LevelFigures, ...]
    """By image, breast and patient."""
    control_auc: Interval | None
    """By image: what intensity statistics alone reach."""
    above_control: Interval | None
    """By image: AUC less the control's, on the same resamplings."""
    subgroups: tuple[Subgroup, ...]

    def level(self, name: LevelName) -> LevelFigures:
        """Find one level.

        Parameters
        ----------
        name
            Which.

        Returns
        -------
        figures
            Of it.
        """
        return next(figures for figures in self.levels if figures.level is name)
