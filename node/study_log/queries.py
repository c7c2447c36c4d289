"""What an operator asks the study log; whoever asks, by whatever way, gets the same answers.

Nothing here changes the log.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, selectinload

from node.errors import UnknownStudy
from node.study_log.answers import (
    ConflictAnswer,
    CorrectionAnswer,
    DeletionAnswer,
    DeliveryAnswer,
    DeliverySummary,
    EventAnswer,
    InstanceAnswer,
    ObjectFailure,
    ResultAnswer,
    RevisionAnswer,
    StudyAnswer,
    StudySummary,
)
from node.study_log.study_filter import StudyFilter, StudyOrder, is_newest_revision, order_of
from node.study_log.tables import (
    ENDED,
    OPEN_DELIVERIES,
    Conflict,
    ConflictState,
    Delivery,
    DeliveryObject,
    DeliveryState,
    Gone,
    Instance,
    InstanceKind,
    Result,
    Revision,
    Study,
    StudyState,
)

ALL_STUDIES = StudyFilter()
ROWS_AT_ONCE = 1000
"""Rows that are held while a long list is made."""


def count_studies(session: Session, which: StudyFilter = ALL_STUDIES) -> int:
    """Count the studies that `which` means."""
    statement = select(func.count(Study.id)).where(which.condition())
    if which.needs_revision:
        statement = statement.join(Revision, is_newest_revision())
    return session.scalar(statement) or 0


def list_studies(
    session: Session,
    which: StudyFilter = ALL_STUDIES,
    *,
    order: StudyOrder = StudyOrder.RECEIVED,
    descending: bool = True,
    limit: int | None = 50,
    offset: int = 0,
) -> tuple[StudySummary, ...]:
    """List studies, by default the one that was received last first.

    Parameters
    ----------
    session
        Of `Database.reading`.
    which
        Those that are meant.
    order, descending
        What they are sorted by.
    limit, offset
        At most so many, after so many are passed over; None: all.
    """
    sorted_by = order_of(order, descending=descending)
    # Which studies first, and only of those what their lines need: of 100,000 it takes seconds.
    page = select(Study.id).where(which.condition())
    if which.needs_revision:
        page = page.join(Revision, is_newest_revision())
    page = page.order_by(*sorted_by).limit(limit).offset(offset)
    statement = _summaries().where(Study.id.in_(page)).order_by(*sorted_by)
    rows = session.execute(statement.execution_options(yield_per=ROWS_AT_ONCE))
    return tuple(_summary(*row) for row in rows)


def find_study_instance_uid(session: Session, text: str) -> str:
    """Find the one study that a person means.

    Parameters
    ----------
    session
        Of `Database.reading`.
    text
        A Study Instance UID, or the end of one that only one study has.

    Raises
    ------
    UnknownStudy
        If no study fits, or more than one.
    """
    if session.scalar(select(Study.id).where(Study.study_instance_uid == text)) is not None:
        return text
    ending = text.removeprefix("…").removeprefix("...")
    if not ending:
        raise UnknownStudy(study_instance_uid=text)
    fits = Study.study_instance_uid.endswith(ending, autoescape=True)
    found = session.scalars(select(Study.study_instance_uid).where(fits)).all()
    if len(found) != 1:
        raise UnknownStudy(study_instance_uid=text, matches=len(found))
    return found[0]


def read_study(session: Session, study_instance_uid: str) -> StudyAnswer:
    """Read all that the log knows of one study.

    Parameters
    ----------
    session
        Of `Database.reading`.
    study_instance_uid
        Study Instance UID (0020,000D), whole.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    """
    is_it = Study.study_instance_uid == study_instance_uid
    row = session.execute(_summaries().where(is_it)).one_or_none()
    if row is None:
        raise UnknownStudy(study_instance_uid=study_instance_uid)
    summary = _summary(*row)
    study = session.scalars(
        select(Study)
        .where(is_it)
        .options(
            selectinload(Study.instances).selectinload(Instance.conflicts),
            selectinload(Study.revisions)
            .selectinload(Revision.deliveries)
            .selectinload(Delivery.objects)
            .selectinload(DeliveryObject.result),
            selectinload(Study.revisions).selectinload(Revision.outcomes),
            selectinload(Study.revisions).selectinload(Revision.results),
            selectinload(Study.events),
            selectinload(Study.corrections),
        )
    ).one()
    newest = study.revisions[-1] if study.revisions else None
    return StudyAnswer(
        summary=summary,
        deletion=_deletion(study),
        corrections=tuple(
            CorrectionAnswer(
                at=correction.at,
                by=correction.by,
                reason=correction.reason,
                keywords=tuple(correction.after),
            )
            for correction in study.corrections
        ),
        revisions=tuple(_revision(revision) for revision in study.revisions),
        instances=_instances(study, newest),
        conflicts=tuple(
            _conflict(conflict, study_instance_uid, instance.sop_instance_uid)
            for instance in study.instances
            for conflict in instance.conflicts
        ),
        results=() if newest is None else _results(newest),
        deliveries=tuple(
            _delivery(revision.number, delivery)
            for revision in study.revisions
            for delivery in revision.deliveries
        ),
        events=tuple(
            EventAnswer(at=event.at, event=event.event, fields=dict(event.fields))
            for event in study.events
        ),
    )


def list_conflicts(
    session: Session,
    *,
    states: Sequence[ConflictState] = (ConflictState.OPEN,),
    study_instance_uid: str | None = None,
) -> tuple[ConflictAnswer, ...]:
    """List data sets that came under a SOP Instance UID that is taken, the newest first.

    Parameters
    ----------
    session
        Of `Database.reading`.
    states
        Only these; empty: all.
    study_instance_uid
        Only of this study; None: of all.
    """
    statement = (
        select(Conflict, Instance.sop_instance_uid, Study.study_instance_uid)
        .join(Instance, Instance.id == Conflict.instance_id)
        .join(Study, Study.id == Instance.study_id)
        .order_by(Conflict.received_at.desc(), Conflict.id.desc())
    )
    if states:
        statement = statement.where(Conflict.state.in_([state.value for state in states]))
    if study_instance_uid is not None:
        statement = statement.where(Study.study_instance_uid == study_instance_uid)
    return tuple(
        _conflict(conflict, study, instance)
        for conflict, instance, study in session.execute(statement)
    )


def count_deliveries(
    session: Session, *, states: Sequence[DeliveryState] = (), destination: str | None = None
) -> int:
    """Count the deliveries that `list_deliveries` lists."""
    chosen = _newest_deliveries(states, destination).subquery()
    return session.scalar(select(func.count()).select_from(chosen)) or 0


def list_deliveries(
    session: Session,
    *,
    states: Sequence[DeliveryState] = (),
    destination: str | None = None,
    limit: int = 50,
) -> tuple[DeliverySummary, ...]:
    """List the deliveries of each study's newest revision, the newest first.

    Parameters
    ----------
    session
        Of `Database.reading`.
    states
        Only these; empty: all.
    destination
        Only those to the destination of that name; None: to any.
    limit
        At most so many.
    """
    statement = _newest_deliveries(states, destination).order_by(Delivery.id.desc()).limit(limit)
    return tuple(
        DeliverySummary(
            study_instance_uid=delivery.revision.study.study_instance_uid,
            delivery=_delivery(delivery.revision.number, delivery),
        )
        for delivery in session.scalars(
            statement.options(
                selectinload(Delivery.objects).selectinload(DeliveryObject.result),
                selectinload(Delivery.revision).selectinload(Revision.study),
            )
        )
    )


def failed_deliveries(destination: str) -> "Select[Delivery]":
    """Select what failed to go to a destination and would be sent again; the oldest first."""
    return (
        _newest_deliveries((DeliveryState.FAILED,), destination)
        .where(
            Study.state.in_([state.value for state in ENDED]),
            ~Revision.results.any(Result.removed_at.is_not(None)),
        )
        .order_by(Delivery.ended_at, Delivery.id)
    )


def _newest_deliveries(
    states: Sequence[DeliveryState], destination: str | None
) -> "Select[Delivery]":
    """Select deliveries of newest revisions: those of older ones have been taken the place of."""
    statement = (
        select(Delivery)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, is_newest_revision())
    )
    if states:
        statement = statement.where(Delivery.state.in_([state.value for state in states]))
    if destination is not None:
        statement = statement.where(Delivery.destination == destination)
    return statement


def _summaries() -> "Select[Study, int, Revision | None, int, int, int, datetime | None]":
    """Select studies with what their lines need, in one statement."""
    instances = (
        select(func.count(Instance.id))
        .where(Instance.study_id == Study.id, Instance.removed_at.is_(None))
        .correlate(Study)
        .scalar_subquery()
    )
    open_conflicts = (
        select(func.count(Conflict.id))
        .join(Instance, Instance.id == Conflict.instance_id)
        .where(Instance.study_id == Study.id, Conflict.state == ConflictState.OPEN.value)
        .correlate(Study)
        .scalar_subquery()
    )
    removed_at = (
        select(func.max(Instance.removed_at))
        .where(Instance.study_id == Study.id)
        .correlate(Study)
        .scalar_subquery()
    )
    return select(
        Study,
        instances,
        Revision,
        _deliveries_in(DeliveryState.FAILED),
        _deliveries_in(*OPEN_DELIVERIES),
        open_conflicts,
        removed_at,
    ).outerjoin(Revision, is_newest_revision())


def _deliveries_in(*states: DeliveryState) -> ColumnElement[int]:
    return (
        select(func.count(Delivery.id))
        .where(
            Delivery.revision_id == Revision.id,
            Delivery.state.in_([state.value for state in states]),
        )
        .correlate(Revision)
        .scalar_subquery()
    )


def _summary(
    study: Study,
    instances: int,
    newest: Revision | None,
    failed: int,
    still_open: int,
    open_conflicts: int,
    removed_at: datetime | None,
) -> StudySummary:
    return StudySummary(
        study_instance_uid=study.study_instance_uid,
        state=StudyState(study.state),
        study_date=study.study_date,
        calling_ae_title=study.calling_ae_title,
        called_ae_title=study.called_ae_title,
        first_received_at=study.first_received_at,
        last_received_at=study.last_received_at,
        instances=instances,
        revision=None if newest is None else _revision(newest),
        failed_deliveries=failed,
        open_deliveries=still_open,
        open_conflicts=open_conflicts,
        removed_at=removed_at,
    )


def _revision(revision: Revision) -> RevisionAnswer:
    return RevisionAnswer(
        number=revision.number,
        state=StudyState(revision.state),
        close_reason=revision.close_reason,
        closed_at=revision.closed_at,
        started_at=revision.started_at,
        ended_at=revision.ended_at,
        attempt=revision.attempt,
        reason=revision.reason,
        score=revision.score,
        score_right=revision.score_right,
        score_left=revision.score_left,
        is_suspicious=revision.is_suspicious,
        weights=revision.weights,
        model_name=revision.model_name,
        model_version=revision.model_version,
        weights_sha256=revision.weights_sha256,
    )


def _instances(study: Study, newest: Revision | None) -> tuple[InstanceAnswer, ...]:
    outcomes = {} if newest is None else {row.instance_id: row for row in newest.outcomes}
    answers: list[InstanceAnswer] = []
    for instance in study.instances:
        outcome = outcomes.get(instance.id)
        # What the pixels said goes before what the header alone said.
        triaged = outcome if outcome is not None and outcome.triage_reason else instance
        answers.append(
            InstanceAnswer(
                sop_instance_uid=instance.sop_instance_uid,
                sop_class_uid=instance.sop_class_uid,
                transfer_syntax_uid=instance.transfer_syntax_uid,
                kind=InstanceKind(instance.kind),
                modality=instance.modality,
                laterality=instance.laterality,
                view_position=instance.view_position,
                score=None if outcome is None else outcome.score,
                triage_reason=triaged.triage_reason,
                triage_detail=triaged.triage_detail,
                size_bytes=instance.size_bytes,
                calling_ae_title=instance.calling_ae_title,
                received_at=instance.received_at,
                path=instance.path,
                removed_at=instance.removed_at,
                removed_because=_gone(instance),
            )
        )
    return tuple(answers)


def _conflict(conflict: Conflict, study_instance_uid: str, sop_instance_uid: str) -> ConflictAnswer:
    keywords = conflict.differing_keywords
    return ConflictAnswer(
        study_instance_uid=study_instance_uid,
        sop_instance_uid=sop_instance_uid,
        state=ConflictState(conflict.state),
        differing_keywords=tuple(keywords.split(",")) if keywords else (),
        dataset_sha256=conflict.dataset_sha256,
        size_bytes=conflict.size_bytes,
        calling_ae_title=conflict.calling_ae_title,
        received_at=conflict.received_at,
        decided_at=conflict.decided_at,
        decided_by=conflict.decided_by,
    )


def _deletion(study: Study) -> DeletionAnswer | None:
    if study.deleted_at is None:
        return None
    return DeletionAnswer(
        at=study.deleted_at, by=study.deleted_by or "", reason=study.deletion_reason or ""
    )


def _gone(row: Instance | Result) -> Gone | None:
    return None if row.removed_because is None else Gone(row.removed_because)


def _results(revision: Revision) -> tuple[ResultAnswer, ...]:
    return tuple(
        ResultAnswer(
            kind=result.kind,
            index=result.index,
            sop_class_uid=result.sop_class_uid,
            sop_instance_uid=result.sop_instance_uid,
            series_instance_uid=result.series_instance_uid,
            source_sop_instance_uid=result.source_sop_instance_uid,
            path=result.path,
            size_bytes=result.size_bytes,
            file_sha256=result.file_sha256,
            created_at=result.created_at,
            removed_at=result.removed_at,
            removed_because=_gone(result),
        )
        for result in revision.results
    )


def _delivery(revision: int, delivery: Delivery) -> DeliveryAnswer:
    answered = sorted({item.status for item in delivery.objects if item.status is not None})
    return DeliveryAnswer(
        revision=revision,
        destination=delivery.destination,
        state=DeliveryState(delivery.state),
        attempt=delivery.attempt,
        due_at=delivery.due_at,
        reason=delivery.reason,
        ended_at=delivery.ended_at,
        objects=len(delivery.objects),
        acknowledged=sum(item.acknowledged_at is not None for item in delivery.objects),
        statuses=tuple(answered),
        confirmed=sum(item.confirmed_at is not None for item in delivery.objects),
        confirmed_at=_latest(item.confirmed_at for item in delivery.objects),
        failures=tuple(
            ObjectFailure(
                sop_instance_uid=item.result.sop_instance_uid, failure_reason=item.failure_reason
            )
            for item in delivery.objects
            if item.failure_reason is not None
        ),
    )


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    """Give the latest of the moments, once all of them have come."""
    known = list(moments)
    passed = [moment for moment in known if moment is not None]
    return max(passed) if passed and len(passed) == len(known) else None
