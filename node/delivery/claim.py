"""A try in the study log: claimed by one process at a time, with what it has to send."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.delivery.send import StoredObject
from node.settings import DeliverySettings, DestinationSettings
from node.store import Store
from node.study_log.tables import (
    Delivery,
    DeliveryObject,
    DeliveryState,
    Result,
    Revision,
    Study,
)
from node.work_queue import DeliveryWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one try is about."""

    work: DeliveryWork
    delivery_id: int
    destination: DestinationSettings
    settings: DeliverySettings


def find_delivery(session: Session, work: DeliveryWork) -> Delivery | None:
    """Find the delivery, locked against other writers until the transaction ends."""
    statement = (
        select(Delivery)
        .join(Revision, Revision.id == Delivery.revision_id)
        .join(Study, Study.id == Revision.study_id)
        .where(
            Study.study_instance_uid == work.study_instance_uid,
            Revision.number == work.revision,
            Delivery.destination == work.destination,
        )
        .with_for_update(of=Delivery)
    )
    return session.scalars(statement).one_or_none()


def lock_delivery(session: Session, delivery_id: int) -> Delivery:
    """Read a delivery, locked against other writers until the transaction ends."""
    statement = select(Delivery).where(Delivery.id == delivery_id).with_for_update(of=Delivery)
    return session.scalars(statement.execution_options(populate_existing=True)).one()


def is_open_for(delivery: Delivery, work: DeliveryWork) -> bool:
    """Whether this try is the one under way, here or in a process that died, or the next one."""
    if delivery.state == DeliveryState.PENDING:
        return delivery.attempt + 1 == work.attempt
    return is_under_way(delivery, work)


def is_under_way(delivery: Delivery, work: DeliveryWork) -> bool:
    """Whether this try is the one under way, here or in a process that died with it."""
    return delivery.state == DeliveryState.IN_PROGRESS and delivery.attempt == work.attempt


def claim(session: Session, work: DeliveryWork) -> Delivery | None:
    """Claim a try; None if it has ended or another one has taken its place."""
    delivery = find_delivery(session, work)
    if delivery is None or not is_open_for(delivery, work):
        return None
    delivery.state = DeliveryState.IN_PROGRESS
    delivery.attempt = work.attempt
    take_over_acknowledgements(session, delivery)
    return delivery


def work_of(delivery: Delivery) -> DeliveryWork:
    """Name the try that a delivery has come to."""
    revision = delivery.revision
    return DeliveryWork(
        study_instance_uid=revision.study.study_instance_uid,
        revision=revision.number,
        destination=delivery.destination,
        attempt=delivery.attempt,
    )


def unsent(delivery: Delivery, store: Store) -> list[StoredObject]:
    """List what has not been acknowledged."""
    return [
        StoredObject(
            key=row.id,
            path=store.path(row.result.path),
            sop_class_uid=row.result.sop_class_uid,
            sop_instance_uid=row.result.sop_instance_uid,
        )
        for row in delivery.objects
        if row.acknowledged_at is None
    ]


def unconfirmed(delivery: Delivery) -> list[DeliveryObject]:
    """List what was acknowledged and not confirmed."""
    return [
        row
        for row in delivery.objects
        if row.acknowledged_at is not None and row.confirmed_at is None
    ]


def confirm(rows: Sequence[DeliveryObject], at: datetime) -> None:
    """Write down that the archive keeps objects; whatever it said before."""
    for row in rows:
        # A report may overtake the answer to C-STORE.
        row.acknowledged_at = row.acknowledged_at or at
        row.confirmed_at = row.confirmed_at or at
        row.failure_reason = None


def take_over_acknowledgements(session: Session, delivery: Delivery) -> None:
    """Do not send again what this destination took with an earlier revision.

    A heat map is derived from its own view, so the next revision has the very same object.
    """
    waiting = {row.result.sop_instance_uid: row for row in delivery.objects}
    earlier = session.execute(
        select(Result.sop_instance_uid, DeliveryObject)
        .join(DeliveryObject, DeliveryObject.result_id == Result.id)
        .join(Delivery, Delivery.id == DeliveryObject.delivery_id)
        .where(
            Delivery.destination == delivery.destination,
            Delivery.id != delivery.id,
            DeliveryObject.acknowledged_at.is_not(None),
            Result.sop_instance_uid.in_(waiting),
        )
    )
    for sop_instance_uid, known in earlier:
        row = waiting[sop_instance_uid]
        # What this destination was sent and does not stand by, or is to get once more, goes again.
        if row.status is None and row.failure_reason is None:
            row.status, row.acknowledged_at = known.status, known.acknowledged_at
            row.confirmed_at = known.confirmed_at
