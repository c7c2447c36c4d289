"""One received instance into the store and the log: new, known, or in conflict with a known one.

Whatever arrives ends in one of three ways, and may arrive again in the middle of any of them
(house rule: every stage may run twice). An instance counts as ours when its row is committed; a
file without a row was never acknowledged.
"""

import logging
from contextlib import suppress
from enum import StrEnum

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from node.errors import RejectedInstance, TriageReason
from node.intake.arrival import Arrival, note, require_file
from node.intake.aside import keep_aside
from node.intake.facts import instance_facts, patient_facts
from node.intake.rejection import read_rejection_note, take_out
from node.settings import ReceiveSettings
from node.store import Store
from node.study_log.database import Database, lock_study
from node.study_log.removals import is_given_up, take_back
from node.study_log.tables import (
    Conflict,
    ConflictState,
    Instance,
    InstanceKind,
    Study,
    StudyState,
)

logger = logging.getLogger(__name__)

OUT_OF_RESOURCES = 0xA700
"""PS3.4 B.2.3, Refused: Out of Resources."""


class Admission(StrEnum):
    """What became of an instance; the values stand in the log."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


def admit(
    arrival: Arrival,
    *,
    database: Database,
    store: Store,
    limits: ReceiveSettings | None = None,
) -> Admission:
    """Make an instance durable, unless it is there already.

    When this returns, the sender may forget the instance.

    Parameters
    ----------
    arrival
        What came. Its file is moved away if it is kept.
    database
        Of the study log.
    store
        Of the files.
    limits
        What a study may hold; None for anything.

    Raises
    ------
    RejectedInstance
        With status 0xA700, if the study is as large as it may be. Where several associations
        bring it at once, each may go over by one.
    OSError
        If the store cannot take it, as when the disk is full. Then, and if the log cannot, its
        file is where it was.
    sqlalchemy.exc.SQLAlchemyError
        If the log cannot take it.
    """
    with database.reading() as session:
        known = _find(session, arrival.sop_instance_uid)
        if known is not None and _holds(session, known, arrival.dataset_sha256):
            return Admission.DUPLICATE
        if limits is not None:
            _require_room(session, arrival, limits)
    # On the disk first, in a place of its own: whoever wins the race for the row below, neither
    # file is written over.
    identity = {
        "study_instance_uid": arrival.study_instance_uid,
        "sop_instance_uid": arrival.sop_instance_uid,
        "dataset_sha256": arrival.dataset_sha256,
    }
    place = store.instance_place(**identity)
    # What lay there before, without a row, may be all that is left of an older log.
    free = [
        each for each in (place, store.conflict_place(**identity)) if not store.path(each).exists()
    ]
    _take_back(database, place)
    store.keep(arrival.file, place)
    try:
        try:
            return _record(arrival, place, database, store)
        except IntegrityError:
            # Another process inserted the same study or instance at the same moment. Its row is
            # there now, so that the second look finds it.
            return _record(arrival, place, database, store)
    except (OSError, SQLAlchemyError):
        _put_back(arrival, free, database, store)
        raise


def _put_back(arrival: Arrival, free: list[str], database: Database, store: Store) -> None:
    """Take a file out of the store again that got no row: on a full disk it would be one too many.

    Where that cannot be done safely it stays; ``mammonode fsck`` finds it.
    """
    with suppress(OSError, SQLAlchemyError), database.writing() as session:
        study = lock_study(session, arrival.study_instance_uid)
        if study is None and not database.has_one_writer:
            return  # somebody may be entering this very instance with a new study
        for place in free:
            if store.path(place).exists() and not _is_promised(session, place):
                store.path(place).replace(arrival.file)


def _is_promised(session: Session, place: str) -> bool:
    instance = exists().where(Instance.path == place, Instance.removed_at.is_(None))
    conflict = exists().where(Conflict.path == place, Conflict.state == ConflictState.OPEN)
    return bool(session.scalar(select(instance | conflict)))


def _require_room(session: Session, arrival: Arrival, limits: ReceiveSettings) -> None:
    """Let no study grow without end, whoever it is that sends it."""
    held = (
        select(func.count(Instance.id), func.coalesce(func.sum(Instance.size_bytes), 0))
        .join(Instance.study)
        .where(
            Study.study_instance_uid == arrival.study_instance_uid, Instance.removed_at.is_(None)
        )
    )
    count, size_bytes = session.execute(held).one()
    if count >= limits.max_study_instances:
        found = f"{count} instances, as many as receive.max_study_instances allows"
    elif size_bytes + arrival.dataset_bytes > limits.max_study_bytes:
        found = f"{size_bytes} bytes; with this instance more than receive.max_study_bytes allows"
    else:
        return
    raise RejectedInstance(status=OUT_OF_RESOURCES, reason=f"the study has {found}")


def _take_back(database: Database, place: str) -> None:
    """See to it that no file is deleted at a place, where one was given up there."""
    with database.reading() as session:
        if not is_given_up(session, place):
            return
    with database.writing() as session:
        take_back(session, place)


def _record(arrival: Arrival, place: str, database: Database, store: Store) -> Admission:
    """Put the instance into the log, in one transaction."""
    with database.writing() as session:
        study = lock_study(session, arrival.study_instance_uid)
        known = _find(session, arrival.sop_instance_uid)
        if known is None or known.removed_at is not None:
            take_back(session, place)  # another sender's may have come and been given up meanwhile
            require_file(store, place)
            _add_instance(session, study, arrival, place, gone=known)
            return Admission.STORED
        if _holds(session, known, arrival.dataset_sha256):
            if known.path != place:  # aside since the first look: this copy is one too many
                store.remove(place)
            return Admission.DUPLICATE
        keep_aside(session, known, arrival, place, store)
        return Admission.CONFLICT


def _find(session: Session, sop_instance_uid: str) -> Instance | None:
    statement = select(Instance).where(Instance.sop_instance_uid == sop_instance_uid)
    return session.scalars(statement).one_or_none()


def _holds(session: Session, known: Instance, dataset_sha256: str) -> bool:
    """Say whether this very data set is here, in the first place or aside.

    One that was here and whose file was given up is not: to acknowledge it is to keep it again.
    """
    if known.removed_at is not None:
        return False
    if known.dataset_sha256 == dataset_sha256:
        return True
    aside = exists().where(
        Conflict.instance_id == known.id,
        Conflict.dataset_sha256 == dataset_sha256,
        Conflict.state == ConflictState.OPEN,
    )
    return bool(session.scalar(select(aside)))


def _add_instance(
    session: Session,
    study: Study | None,
    arrival: Arrival,
    place: str,
    *,
    gone: Instance | None,
) -> None:
    """Enter an instance; `gone` is its row from before its file was given up."""
    facts = instance_facts(session, arrival.header)
    if study is None:
        study = _new_study(arrival)
        session.add(study)
    elif study.state == StudyState.DELETED:
        _return(session, study, arrival)
    elif (
        facts["kind"] is InstanceKind.IMAGE and facts["triage_reason"] is not TriageReason.REJECTED
    ):
        _reopen(session, study, arrival)
    session.flush()
    values = facts | {
        "study_id": study.id,
        "sop_instance_uid": arrival.sop_instance_uid,
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "path": place,
        "size_bytes": arrival.dataset_bytes,
        "dataset_sha256": arrival.dataset_sha256,
        "calling_ae_title": arrival.calling_ae_title,
        "received_at": arrival.received_at,
        "removed_at": None,
        "removed_because": None,
    }
    # Plain statements: an object in the study's collections would load all that is in them.
    if gone is None:
        session.execute(insert(Instance).values(values))
    else:
        session.execute(update(Instance).where(Instance.id == gone.id).values(values))
    note(
        session,
        study,
        arrival,
        "instance_received" if gone is None else "instance_received_again",
        kind=facts["kind"],
        calling_ae_title=arrival.calling_ae_title,
        size_bytes=arrival.dataset_bytes,
        triage_reason=facts["triage_reason"],
    )
    rejection_note = read_rejection_note(arrival.header)
    if rejection_note is not None and take_out(session, study, arrival, rejection_note):
        _reopen(session, study, arrival)


def _new_study(arrival: Arrival) -> Study:
    return Study(
        study_instance_uid=arrival.study_instance_uid,
        state=StudyState.RECEIVING,
        **patient_facts(arrival.header),
        calling_ae_title=arrival.calling_ae_title,
        called_ae_title=arrival.called_ae_title,
        first_received_at=arrival.received_at,
        last_received_at=arrival.received_at,
        quiet_from_at=arrival.received_at,
    )


def _return(session: Session, study: Study, arrival: Arrival) -> None:
    """Let a deleted study begin anew, with the first instance that comes of it again."""
    for name, value in patient_facts(arrival.header).items():
        setattr(study, name, value)
    study.calling_ae_title = arrival.calling_ae_title
    study.called_ae_title = arrival.called_ae_title
    _reopen(session, study, arrival)
    logger.warning(
        "A study that was deleted on request is received again",
        extra={
            "event": "deleted_study_received",
            "study_instance_uid": study.study_instance_uid,
            "calling_ae_title": arrival.calling_ae_title,
        },
    )


def _reopen(session: Session, study: Study, arrival: Arrival) -> None:
    """Start or prolong the wait for a complete study; a later image means a new revision."""
    has_image = exists().where(
        Instance.study_id == study.id,
        Instance.kind == InstanceKind.IMAGE,
        Instance.removed_at.is_(None),
    )
    is_first_of_revision = study.state != StudyState.RECEIVING or not session.scalar(
        select(has_image)
    )
    if is_first_of_revision:
        study.first_received_at = arrival.received_at
    if study.state != StudyState.RECEIVING:
        note(session, study, arrival, "study_reopened", from_state=study.state)
        study.state = StudyState.RECEIVING
    study.last_received_at = arrival.received_at
    study.quiet_from_at = arrival.received_at
