"""One attempt in the study log: whether it may still write, and what it works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.analysis.outcome import objects_of_others, predecessors_of
from node.analysis.rescue import UNDER_WAY
from node.analysis.sources import SourceInstance
from node.errors import TriageReason
from node.results import Predecessor
from node.store import Store
from node.study_log.corrections import corrected_sha256, corrections_of
from node.study_log.database import lock_study
from node.study_log.tables import Result, Revision, Study, StudyState
from node.work_queue import AnalysisWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one attempt works on; fixed since close-out."""

    closed_at: datetime
    weights: str
    sources: tuple[SourceInstance, ...]
    predecessors: tuple[Predecessor, ...]
    known_objects: Mapping[str, Result]


def find_attempt(session: Session, work: AnalysisWork) -> tuple[Study, Revision] | None:
    """Find study and revision, locked, if this attempt is still the one that may write."""
    study = lock_study(session, work.study_instance_uid)
    if study is None:
        return None
    revision = session.scalars(
        select(Revision).where(Revision.study_id == study.id, Revision.number == work.revision)
    ).one_or_none()
    if revision is None or revision.attempt != work.attempt or revision.state not in UNDER_WAY:
        return None
    return study, revision


def read_claim(session: Session, revision: Revision, store: Store) -> Claim:
    """Read what an attempt works on."""
    return Claim(
        closed_at=revision.closed_at,
        weights=revision.weights,
        sources=_sources_of(revision, store),
        predecessors=predecessors_of(session, revision),
        known_objects=objects_of_others(session, revision),
    )


def newest_number(study: Study) -> int:
    """Give the number of the newest revision."""
    return max(revision.number for revision in study.revisions)


def show_state(study: Study, revision: Revision) -> None:
    """Let the study show the state of its newest revision, unless it is receiving again."""
    if revision.number == newest_number(study) and study.state != StudyState.RECEIVING:
        study.state = revision.state


def _sources_of(revision: Revision, store: Store) -> tuple[SourceInstance, ...]:
    """List the instances that were fixed at close-out, under the patient of today."""
    corrections = corrections_of(revision.study)
    return tuple(
        SourceInstance(
            path=store.path(outcome.instance.path),
            dataset_sha256=corrected_sha256(outcome.instance.dataset_sha256, corrections),
            triage_reason=(
                TriageReason(outcome.instance.triage_reason)
                if outcome.instance.triage_reason
                else None
            ),
            triage_detail=outcome.instance.triage_detail,
            corrections=corrections,
        )
        for outcome in revision.outcomes
    )
