"""Which outcomes there are, and what each is about: for people, without the patient."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import select

from node.outcomes.link import Links, Unmatched, link
from node.settings import OutcomeSettings
from node.study_log.database import Database
from node.study_log.outcomes import read_outcomes, read_studies
from node.study_log.tables import BreastOutcome


class OutcomeState(StrEnum):
    """What becomes of an outcome, as the log is now.

    LINKED: about a study that is analysed. OVERRULED: so too, and histopathology says more of
    all its breasts. UNMATCHED: about none, with a reason. CONFLICT: histopathology says two things
    of a breast, and counts as neither. WITHDRAWN: a person said that it does not count. EMPTIED:
    its study was deleted, and the patient with it.
    """

    LINKED = "linked"
    OVERRULED = "overruled"
    UNMATCHED = "unmatched"
    CONFLICT = "conflict"
    WITHDRAWN = "withdrawn"
    EMPTIED = "emptied"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOutcome:
    """One outcome of the log, without its patient.

    Attributes
    ----------
    studies
        Study Instance UIDs that it is about.
    reason
        Why it is about none, or why it was withdrawn; else empty.
    """

    number: int
    date: str
    laterality: str
    source: str
    result: str
    state: OutcomeState
    studies: tuple[str, ...]
    reason: str
    imported_at: datetime
    imported_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Outcomes, the newest first; `counts` is of all, whatever was asked for."""

    outcomes: tuple[ListedOutcome, ...]
    counts: Mapping[OutcomeState, int]


def list_outcomes(
    database: Database, rules: OutcomeSettings, *, states: Collection[OutcomeState] = ()
) -> Listed:
    """List outcomes with what they are about.

    Parameters
    ----------
    database
        The study log.
    rules
        The windows of days.
    states
        Only these; empty: all.
    """
    with database.reading() as session:
        links = link(read_outcomes(session), read_studies(session), rules)
        rows = session.scalars(select(BreastOutcome).order_by(BreastOutcome.id.desc())).all()
    reasons, about = _reasons(links), _about(links)
    conflicts, overruled = _conflicts(links), _overruled(links)
    listed = []
    for row in rows:
        state, reason = OutcomeState.LINKED, ""
        if row.withdrawn_at is not None:
            state, reason = OutcomeState.WITHDRAWN, row.withdrawal_reason or ""
        elif row.patient_id is None:
            state = OutcomeState.EMPTIED
        elif row.id in reasons:
            state, reason = OutcomeState.UNMATCHED, reasons[row.id]
        elif row.id in conflicts:
            state = OutcomeState.CONFLICT
        elif row.id in overruled:
            state = OutcomeState.OVERRULED
        listed.append(
            ListedOutcome(
                number=row.id,
                date=date.fromisoformat(row.date).isoformat(),
                laterality=row.laterality,
                source=row.source,
                result=row.result,
                state=state,
                studies=tuple(about.get(row.id, ())),
                reason=reason,
                imported_at=row.imported_at,
                imported_by=row.imported_by,
            )
        )
    counts = {state: sum(one.state is state for one in listed) for state in OutcomeState}
    return Listed(
        outcomes=tuple(one for one in listed if not states or one.state in states),
        counts={state: count for state, count in counts.items() if count},
    )


def _reasons(links: Links) -> dict[int, Unmatched]:
    return {outcome.number: reason for outcome, reason in links.unmatched}


def _about(links: Links) -> dict[int, list[str]]:
    about: dict[int, list[str]] = {}
    for study in links.studies:
        for breast in study.breasts:
            for outcome in breast.outcomes:
                about.setdefault(outcome.number, []).append(study.study.study_instance_uid)
    return about


def _conflicts(links: Links) -> set[int]:
    return {outcome.number for breast in links.conflicts for outcome in breast.deciding}


def _overruled(links: Links) -> set[int]:
    """Give those that decide about no breast."""
    breasts = [breast for study in links.studies for breast in study.breasts]
    deciding = {outcome.number for breast in breasts for outcome in breast.deciding}
    return {outcome.number for breast in breasts for outcome in breast.outcomes} - deciding
