"""Which studies an outcome is about, and what is known of a breast in the end.

Nothing of it is stored: a study that is processed later, a correction of the patient or a deletion
counts the next time that somebody asks.

An outcome is about every study of its patient that fits it, not about the last one alone: between
the screening study that found a cancer and its biopsy there is nearly always another mammogram.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.settings import OutcomeSettings
from node.study_log.outcomes import LoggedStudy, Outcome
from node.study_log.tables import OutcomeResult, OutcomeSource

SIDES = ("R", "L")


class Unmatched(StrEnum):
    """Why an outcome is about no study, by now."""

    UNKNOWN_PATIENT = "no study in the log is of that patient"
    SEVERAL_ISSUERS = "several issuers have given that Patient ID, and none is named"
    SEVERAL_PATIENTS = "studies under that Patient ID have different birth dates"
    BEFORE_STUDIES = "it came before every study of the patient"
    OUTSIDE_WINDOW = "no study of the patient is within the window of days"
    NOT_ANALYSED = "the study has no score of that breast"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedBreast:
    """One breast in one study, and the outcomes that are about it.

    Attributes
    ----------
    score
        AI malignancy score of the breast, as it stands in the log, in [0, 1].
    outcomes
        At least one, in the order they came in.
    """

    study: LoggedStudy
    laterality: str
    score: float
    outcomes: tuple[Outcome, ...]

    @property
    def deciding(self) -> tuple[Outcome, ...]:
        """The outcomes that count: those from histopathology, if there are any."""
        from_tissue = tuple(
            outcome for outcome in self.outcomes if outcome.source is OutcomeSource.HISTOPATHOLOGY
        )
        return from_tissue or self.outcomes

    @property
    def result(self) -> OutcomeResult | None:
        """What is known of the breast; None if what counts disagrees."""
        results = {outcome.result for outcome in self.deciding}
        return results.pop() if len(results) == 1 else None

    @property
    def is_cancer(self) -> bool | None:
        """Whether it had cancer; None if what counts disagrees."""
        return None if self.result is None else self.result is OutcomeResult.MALIGNANT


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedStudy:
    """One study, and what is known of its breasts.

    Attributes
    ----------
    breasts
        Those with an outcome; one or both.
    """

    study: LoggedStudy
    breasts: tuple[LinkedBreast, ...]

    @property
    def is_cancer(self) -> bool | None:
        """Whether a breast had cancer; None unless that is known of all that have a score."""
        known = {breast.laterality: breast.is_cancer for breast in self.breasts}
        if any(known.values()):
            return True
        scored = [side for side in SIDES if self.study.score_of(side) is not None]
        return False if all(known.get(side) is False for side in scored) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """All outcomes, each either among the studies or among the unmatched.

    Attributes
    ----------
    studies
        That have an outcome, in the order of the log.
    unmatched
        With the reason.
    """

    studies: tuple[LinkedStudy, ...]
    unmatched: tuple[tuple[Outcome, Unmatched], ...]

    @property
    def conflicts(self) -> tuple[LinkedBreast, ...]:
        """The breasts of which histopathology says two things."""
        return tuple(
            breast for study in self.studies for breast in study.breasts if breast.result is None
        )


def link(
    outcomes: Sequence[Outcome], studies: Iterable[LoggedStudy], rules: OutcomeSettings
) -> Links:
    """Say which outcomes are about which studies.

    Parameters
    ----------
    outcomes
        That count.
    studies
        All of the log that could be meant, those too that are not analysed yet.
    rules
        The windows of days.
    """
    patients = {outcome.patient_id for outcome in outcomes}
    of_patient: dict[str, list[LoggedStudy]] = defaultdict(list)
    by_id: dict[int, LoggedStudy] = {}
    for study in studies:
        if study.patient_id in patients:
            of_patient[study.patient_id].append(study)
            by_id[study.id] = study
    about: dict[int, dict[str, list[Outcome]]] = {}
    unmatched: list[tuple[Outcome, Unmatched]] = []
    for outcome in outcomes:
        found = _studies_about(outcome, of_patient.get(outcome.patient_id, ()), rules)
        if isinstance(found, Unmatched):
            unmatched.append((outcome, found))
            continue
        for study in found:
            sides = about.setdefault(study.id, {})
            sides.setdefault(outcome.laterality, []).append(outcome)
    return Links(
        studies=tuple(_linked(by_id[number], about[number]) for number in sorted(about)),
        unmatched=tuple(unmatched),
    )


def _studies_about(
    outcome: Outcome, studies: Sequence[LoggedStudy], rules: OutcomeSettings
) -> list[LoggedStudy] | Unmatched:
    """Find the studies that an outcome is about, or why there is none."""
    if not studies:
        return Unmatched.UNKNOWN_PATIENT
    issuers = {study.issuer_of_patient_id for study in studies}
    issuer = outcome.issuer_of_patient_id
    if issuer:
        # A study that does not name its issuer is hers as long as no other issuer is there.
        accepted = {issuer} if issuers - {issuer, ""} else {issuer, ""}
        studies = [study for study in studies if study.issuer_of_patient_id in accepted]
        if not studies:
            return Unmatched.UNKNOWN_PATIENT
    elif len(issuers) > 1:
        return Unmatched.SEVERAL_ISSUERS
    if len({study.patient_birth_date for study in studies} - {""}) > 1:
        # One number for two women, as where two registries sent and named no issuer.
        return Unmatched.SEVERAL_PATIENTS
    days = [
        (study, (outcome.date - study.study_date).days)
        for study in studies
        if study.study_date is not None
    ]
    fitting = [study for study, after in days if _fits(outcome.source, after, rules)]
    if not fitting:
        is_before = bool(days) and all(after < 0 for _, after in days)
        return Unmatched.BEFORE_STUDIES if is_before else Unmatched.OUTSIDE_WINDOW
    scored = [study for study in fitting if study.score_of(outcome.laterality) is not None]
    return scored or Unmatched.NOT_ANALYSED


def _fits(source: OutcomeSource, after_days: int, rules: OutcomeSettings) -> bool:
    if source is OutcomeSource.HISTOPATHOLOGY:
        return 0 <= after_days <= rules.diagnosis_within_days
    return after_days >= rules.negative_after_days


def _linked(study: LoggedStudy, sides: dict[str, list[Outcome]]) -> LinkedStudy:
    return LinkedStudy(
        study=study,
        breasts=tuple(
            LinkedBreast(study=study, laterality=side, score=score, outcomes=tuple(sides[side]))
            for side in SIDES
            if side in sides and (score := study.score_of(side)) is not None
        ),
    )
