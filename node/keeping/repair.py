"""Mends what `node.keeping.whole` found, as far as that needs no judgement.

A file that is gone or damaged cannot be brought back here: its row says so from then on, and then
the PACS may send it again and is not told that it is here already. A whole instance without a row
is received anew. What nobody will ask for is deleted.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from pydicom.filereader import read_file_meta_info
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.errors import RejectedInstance
from node.header import dataset_offset, read_header, sha256_from
from node.intake.admit import Admission, admit
from node.intake.arrival import Arrival
from node.keeping.promises import Fault, Kind, is_promised, promises_of, wrong_with
from node.keeping.whole import FSCK, Finding, held_at
from node.store import Store
from node.study_log.database import Database, lock_study
from node.study_log.tables import (
    Conflict,
    ConflictState,
    Event,
    Gone,
    Instance,
    Result,
    Revision,
    Study,
)

logger = logging.getLogger(__name__)

ORDER = (Fault.UNKNOWN, Fault.LEFT_OVER, Fault.MISSING, Fault.DAMAGED)
"""What is mended first: a file that is missing in one place may lie in another."""


def repair(
    finding: Finding, *, database: Database, store: Store, now: Callable[[], datetime]
) -> str:
    """Mend one finding.

    Parameters
    ----------
    finding
        Of an `Examiner`, moments ago.
    database
        The study log.
    store
        Of the files.
    now
        Gives the present moment, aware UTC.

    Returns
    -------
    done
        What was done, as a phrase; empty if only a person can help.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    if finding.fault in (Fault.MISSING, Fault.DAMAGED):
        done = _give_notice(finding, database, store, now())
    elif finding.fault is Fault.UNKNOWN:
        done = _receive(finding, database, store, now())
    elif finding.fault is Fault.LEFT_OVER:
        done = _delete(finding, database, store)
    else:
        return ""
    logger.info(
        "Data folder repaired",
        extra={
            "event": "repaired",
            "fault": finding.fault.value,
            "kind": finding.kind.value,
            "study_instance_uid": finding.study_instance_uid,
            "path": finding.path,
            "done": done,
        },
    )
    return done


def _delete(finding: Finding, database: Database, store: Store) -> str:
    """Delete a file, unless a row promises it by now; whoever makes one looks for the file then."""
    with database.writing() as session:
        lock_study(session, finding.study_instance_uid)
        if is_promised(session, finding.study_instance_uid, finding.path):
            return ""
        store.remove_durably([finding.path])
    return "deleted"


def _give_notice(finding: Finding, database: Database, store: Store, now: datetime) -> str:
    """Let the rows say that a file is not there any more, if that is so still."""
    with database.reading() as session:
        promise = promises_of(session, finding.study_instance_uid).get(finding.path)
    if promise is None:
        return "no row promises it any more"
    wrong = wrong_with(store.path(finding.path), promise, reads_file=True)
    if wrong is None:
        return "whole by now"
    if wrong[0] is not finding.fault:
        return ""
    with database.writing() as session:
        study = lock_study(session, finding.study_instance_uid)
        if study is None:
            return ""
        if promises_of(session, finding.study_instance_uid).get(finding.path) != promise:
            return "no row promises it any more"
        done = {
            Kind.INSTANCE: _lose_instance,
            Kind.CONFLICT: _lose_conflict,
            Kind.RESULT: _lose_results,
        }[finding.kind](session, study, finding, now)
        session.add(
            Event(
                study_id=study.id,
                at=now,
                event=f"{finding.kind.value}_lost",
                fields={"fault": finding.fault.value, "path": finding.path},
            )
        )
    return done


def _lose_instance(session: Session, study: Study, finding: Finding, now: datetime) -> str:
    for instance in session.scalars(
        select(Instance).where(
            Instance.study_id == study.id,
            Instance.path == finding.path,
            Instance.removed_at.is_(None),
        )
    ):
        instance.removed_at, instance.removed_because = now, Gone.LOST
    return "logged as lost; have the PACS send it again"


def _lose_conflict(session: Session, study: Study, finding: Finding, now: datetime) -> str:
    for conflict in session.scalars(
        select(Conflict)
        .join(Instance, Instance.id == Conflict.instance_id)
        .where(Instance.study_id == study.id, Conflict.path == finding.path)
    ):
        conflict.state = ConflictState.DISCARDED
        conflict.decided_at, conflict.decided_by = now, FSCK
    return "logged as discarded; have the PACS send it again"


def _lose_results(session: Session, study: Study, finding: Finding, now: datetime) -> str:
    for result in session.scalars(
        select(Result)
        .join(Revision, Revision.id == Result.revision_id)
        .where(Revision.study_id == study.id, Result.path == finding.path)
    ):
        result.removed_at, result.removed_because = now, Gone.LOST
    return "logged as lost; `mammonode studies reanalyse` makes new ones"


def _receive(finding: Finding, database: Database, store: Store, now: datetime) -> str:
    """Take an instance in that no row knows, as if it came now."""
    file = store.path(finding.path)
    offset = dataset_offset(file)
    sha256 = sha256_from(file, offset)
    transfer_syntax_uid = str(read_file_meta_info(file).TransferSyntaxUID)
    try:
        header = read_header(file, transfer_syntax_uid=transfer_syntax_uid, dataset_offset=offset)
    except RejectedInstance:
        return ""
    with database.writing() as session:
        lock_study(session, str(header.StudyInstanceUID))
        place = held_at(session, str(header.SOPInstanceUID), sha256)
        if place is not None and not store.path(place).exists():
            store.keep(file, place)
            return "put back in its place"
    arrival = Arrival(
        header=header,
        file=file,
        transfer_syntax_uid=transfer_syntax_uid,
        dataset_bytes=file.stat().st_size - offset,
        dataset_sha256=sha256,
        calling_ae_title="",
        called_ae_title="",
        received_at=now,
    )
    admission = admit(arrival, database=database, store=store)
    if admission is Admission.DUPLICATE:
        return _delete(finding, database, store)
    return "received anew" if admission is Admission.STORED else "kept aside as a conflict"
