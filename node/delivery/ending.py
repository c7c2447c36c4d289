"""How a try ends: completed, due again, or given up; in the log, in the story, in a log line."""

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from node.delivery.claim import work_of
from node.retries import GiveUp, Retry, RetryPolicy, after_failure
from node.settings import DeliverySettings
from node.study_log.tables import Delivery, DeliveryState, Event
from node.work_queue import DeliveryWork

logger = logging.getLogger(__name__)


def complete(session: Session, delivery: Delivery, *, at: datetime, **fields: Any) -> None:
    """Close a delivery: every object is where it should be."""
    delivery.state = DeliveryState.COMPLETED
    delivery.reason = ""
    delivery.ended_at = at
    note(session, delivery, "delivery_completed", at=at, **fields)


def fail(
    session: Session,
    delivery: Delivery,
    error: Exception,
    *,
    settings: DeliverySettings,
    at: datetime,
) -> Retry | GiveUp:
    """Write down that the try a delivery has come to failed, and what follows."""
    step = after_failure(
        error,
        work_id=work_of(delivery).workflow_id,
        attempt=delivery.attempt,
        policy=RetryPolicy(
            max_attempts=settings.max_attempts,
            first_retry_s=settings.first_retry_s,
            longest_retry_s=settings.longest_retry_s,
        ),
    )
    delivery.reason = step.reason
    if isinstance(step, GiveUp):
        delivery.state = DeliveryState.FAILED
        delivery.ended_at = at
        note(session, delivery, "delivery_failed", at=at, reason=step.reason)
    else:
        delivery.state = DeliveryState.PENDING
        delivery.due_at = at + timedelta(seconds=step.delay_s)
        note(session, delivery, "delivery_postponed", at=at, reason=step.reason)
    return step


def note(session: Session, delivery: Delivery, event: str, *, at: datetime, **fields: Any) -> None:
    """Add an event to the study's story."""
    work = work_of(delivery)
    session.add(
        Event(
            study_id=delivery.revision.study_id,
            at=at,
            event=event,
            fields={
                "revision": work.revision,
                "destination": work.destination,
                "attempt": work.attempt,
                **fields,
            },
        )
    )


def tell_completed(work: DeliveryWork, **fields: Any) -> None:
    """Say in the node's own log, once it is durable, that a delivery is complete."""
    logger.info("Results delivered", extra={**fields_of("delivery_completed", work), **fields})


def tell_failed(work: DeliveryWork, step: Retry | GiveUp) -> None:
    """Say in the node's own log, once it is durable, that a try failed and what follows."""
    if isinstance(step, GiveUp):
        logger.error(
            "Delivery given up; mend the cause, then retry it",
            extra={**fields_of("delivery_failed", work), "reason": step.reason},
        )
    else:
        logger.warning(
            "Delivery failed and will be tried again",
            extra={
                **fields_of("delivery_postponed", work),
                "reason": step.reason,
                "delay_s": step.delay_s,
            },
        )


def fields_of(event: str, work: DeliveryWork) -> dict[str, Any]:
    """Name a try in a log line."""
    return {
        "event": event,
        "study_instance_uid": work.study_instance_uid,
        "revision": work.revision,
        "destination": work.destination,
        "attempt": work.attempt,
    }
