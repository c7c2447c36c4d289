"""What keeps live figures from being read as more than they are, in whole sentences."""

from collections.abc import Iterator

from node.performance.figures import Verification
from node.performance.truth import Rows
from node.settings import OutcomeSettings

_UNEVEN = 0.05
"""Difference between shares with an outcome that is worth a sentence."""


def cautions_of(
    verification: Verification, breasts: Rows, rules: OutcomeSettings, prevalence: float | None
) -> tuple[str, ...]:
    """Say what the figures do not mean.

    Parameters
    ----------
    verification
        Of how many studies the outcome is known.
    breasts
        That were measured.
    rules
        The windows of days.
    prevalence
        `[model] prevalence`.
    """
    return tuple(_cautions(verification, breasts, rules, prevalence))


def _cautions(
    found: Verification, breasts: Rows, rules: OutcomeSettings, prevalence: float | None
) -> Iterator[str]:
    if not found.studies:
        yield "No analysed study is meant: there is nothing to measure."
        return
    if not found.known:
        yield (
            "No study here has a known outcome yet: there is nothing to measure. "
            "`mammonode outcomes import` takes results in; `mammonode outcomes list` says which of "
            "them are about no study, and why."
        )
        return
    unknown = found.studies - found.known
    if unknown:
        yield (
            f"Of {found.studies:,} analysed studies {unknown:,} ({unknown / found.studies:.0%}) "
            "have no known outcome and are in no figure. Where outcomes come mostly from women who "
            "were called back and biopsied, sensitivity and PPV are higher, and specificity is "
            "lower, than among all women who were examined: these are then not figures of the "
            "screening."
        )
    spared, spared_known = found.studies - found.called, found.known - found.called_known
    if found.called and spared:
        of_called, of_spared = found.called_known / found.called, spared_known / spared
        if abs(of_called - of_spared) >= _UNEVEN:
            yield (
                f"Outcomes are spread unevenly: {of_called:.0%} of the studies at or above the "
                f"operating point have one, and {of_spared:.0%} of those below it. Sensitivity and "
                "specificity are biased by that (verification bias)."
            )
    if found.too_recent:
        yield (
            f"{found.too_recent:,} of the measured studies are less than "
            f"{rules.negative_after_days} days old: no follow-up can have found them free of "
            "cancer yet, and only biopsies speak of them. Months marked as too recent have more "
            "cancers among the measured studies than were among the women."
        )
    if found.partly:
        yield (
            f"{found.partly:,} studies have an outcome without cancer of one breast alone: they "
            "count by breast, and not by study."
        )
    if found.in_conflict:
        yield (
            f"{found.in_conflict:,} studies are left out because histopathology says two things of "
            "a breast: `mammonode outcomes list --conflicts`."
        )
    of_unknown_weights = int((~breasts.is_call_known).sum())
    if of_unknown_weights:
        yield (
            f"{of_unknown_weights:,} breasts were scored by weights that are not here any more, "
            "and whose operating point is not known: they are in no sensitivity, specificity, PPV "
            "and NPV by breast."
        )
    if len({study.model_version for study in breasts.studies}) > 1:
        yield (
            "Several versions of the weights are measured together: their scores are not on one "
            "scale. --model-version measures one."
        )
    if prevalence is None:
        yield (
            "[model] prevalence is not set: scores hold at the share of cancers that the weights "
            "were calibrated with, which is higher than in screening. The calibration shows that; "
            "with the setting it is measured at the prevalence of the site."
        )
