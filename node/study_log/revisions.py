"""A new revision of a study: what is fixed about it before anything is analysed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from node.errors import TriageReason
from node.study_log.tables import (
    CloseReason,
    Instance,
    InstanceKind,
    InstanceOutcome,
    Revision,
    Study,
    StudyState,
)


class EnqueueAnalysis(Protocol):
    """Queues the analysis of a revision within the caller's transaction."""

    def __call__(
        self, session: Session, *, study_instance_uid: str, revision: int, attempt: int
    ) -> None:
        """Queue one attempt; if the transaction is rolled back, nothing was queued."""


def images_here(study: Study) -> list[Instance]:
    """List the images of a study that a revision can consist of: here, and not rejected.

    If all were rejected it is all of them: then the revision says so, in place of a result.
    """
    return without_rejected(
        [
            instance
            for instance in study.instances
            if instance.kind == InstanceKind.IMAGE and instance.removed_at is None
        ]
    )


def without_rejected(images: Sequence[Instance]) -> list[Instance]:
    """Leave out what was rejected, unless that is all there is."""
    kept = [image for image in images if image.triage_reason != TriageReason.REJECTED]
    return kept or list(images)


def queue_revision(
    session: Session,
    enqueue_analysis: EnqueueAnalysis,
    study: Study,
    images: Iterable[Instance],
    *,
    close_reason: CloseReason,
    closed_at: datetime,
    weights: str = "",
) -> Revision:
    """Add the next revision and queue its analysis, both in the session's transaction or neither.

    Parameters
    ----------
    session
        Of `Database.writing`.
    enqueue_analysis
        Of the queue in the same database.
    study
        Locked.
    images
        What the revision consists of; images that come later make another one.
    close_reason, closed_at
        Why and when; the results carry that moment, aware UTC.
    weights
        Folder of the weights that are asked for; empty: the node's own.
    """
    revision = Revision(
        number=max((other.number for other in study.revisions), default=0) + 1,
        state=StudyState.SCHEDULED,
        close_reason=close_reason,
        closed_at=closed_at,
        weights=weights,
        attempt=1,
        reason="",
        outcomes=[
            InstanceOutcome(
                instance=image,
                triage_reason=image.triage_reason,
                triage_detail=image.triage_detail,
            )
            for image in images
        ],
    )
    study.revisions.append(revision)
    study.state = StudyState.SCHEDULED
    session.flush()
    enqueue_analysis(
        session,
        study_instance_uid=study.study_instance_uid,
        revision=revision.number,
        attempt=revision.attempt,
    )
    return revision
