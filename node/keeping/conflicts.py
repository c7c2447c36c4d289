"""Settles a conflict: the data set that was kept aside becomes the instance, or goes.

Either way the study log says so first, in one transaction with the work that follows; the files
that lost are given up in the same transaction and deleted afterwards (`node.keeping.remove`).
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from sqlalchemy.orm import Session

from node.analysis.replace import replace_results
from node.errors import PermanentError, UnknownStudy
from node.header import dataset_offset, read_header, text_of
from node.intake.arrival import Arrival
from node.intake.facts import instance_facts, patient_facts
from node.intake.rejection import read_rejection_note, take_out
from node.store import Store
from node.study_log.corrections import apply_to_row
from node.study_log.database import Database, lock_study
from node.study_log.removals import give_up, take_back
from node.study_log.tables import (
    CloseReason,
    Conflict,
    ConflictState,
    Event,
    InstanceKind,
    Revision,
    Study,
)
from node.work_queue import WorkQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided.

    Attributes
    ----------
    state
        Which way.
    sop_instance_uids
        The instances concerned; empty if everything had been decided before.
    decided_before
        How many data sets of the study had been decided the same way already.
    revision
        The one that is analysed because of it; None if there is none.
    """

    study_instance_uid: str
    state: ConflictState
    sop_instance_uids: tuple[str, ...]
    decided_before: int
    revision: int | None


def accept(
    database: Database,
    store: Store,
    queue: WorkQueue,
    *,
    study_instance_uid: str,
    data_set: str,
    by: str,
    at: datetime,
) -> Decision:
    """Put data sets that were kept aside in the place of those that came first.

    If an image is among them, or a rejection note that takes one out, the study is analysed anew,
    as a new revision, and nothing that is open of those before goes on. A study that is still being
    received is not: its close-out takes what is accepted.

    Parameters
    ----------
    database
        The study log.
    store
        Of the files.
    queue
        Of durable work, in the same database.
    study_instance_uid
        Study Instance UID (0020,000D).
    data_set
        Beginning of the SHA-256 of the one that is meant; empty: every open one of the study.
    by
        Who decides; stands in the log.
    at
        Now, aware UTC.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If there is no such data set, two are meant for one instance, or one cannot be taken.
    """
    with database.writing() as session:
        study, chosen = _choose(session, study_instance_uid, data_set, ConflictState.ACCEPTED)
        _refuse_two_for_one(chosen)
        has_changed = False
        for conflict in chosen:
            has_changed |= _put_in_place(session, store, study, conflict, at)
            _decide(session, conflict, ConflictState.ACCEPTED, by, at)
        revision = None
        if has_changed:
            revision = replace_results(
                session,
                queue.enqueue_analysis,
                study,
                close_reason=CloseReason.CONFLICT,
                why="Another data set was accepted since",
                at=at,
            )
        decision = _decision(study, chosen, ConflictState.ACCEPTED, revision)
    _log(decision)
    return decision


def discard(
    database: Database, *, study_instance_uid: str, data_set: str, by: str, at: datetime
) -> Decision:
    """Let data sets go that were kept aside; the instances stay what they are.

    Parameters
    ----------
    database
        The study log.
    study_instance_uid, data_set, by, at
        As in `accept`.

    Raises
    ------
    UnknownStudy
        If it is not in the log.
    PermanentError
        If there is no such data set.
    """
    with database.writing() as session:
        study, chosen = _choose(session, study_instance_uid, data_set, ConflictState.DISCARDED)
        for conflict in chosen:
            give_up(session, study, [conflict.path], at)
            _decide(session, conflict, ConflictState.DISCARDED, by, at)
        decision = _decision(study, chosen, ConflictState.DISCARDED, None)
    _log(decision)
    return decision


def _choose(
    session: Session, study_instance_uid: str, data_set: str, state: ConflictState
) -> tuple[Study, list[Conflict]]:
    """Lock the study, and find the open conflicts that are meant.

    None are left if all were decided the same way before: asking twice is no mistake.
    """
    study = lock_study(session, study_instance_uid)
    if study is None:
        raise UnknownStudy(study_instance_uid=study_instance_uid)
    meant = [
        conflict
        for instance in study.instances
        for conflict in instance.conflicts
        if conflict.dataset_sha256.startswith(data_set.lower())
    ]
    chosen = [conflict for conflict in meant if conflict.state == ConflictState.OPEN]
    if chosen or any(conflict.state == state for conflict in meant):
        return study, chosen
    what = f"a data set {data_set} kept aside" if data_set else "a data set kept aside"
    found = f"one that is {meant[0].state}" if meant else "none"
    raise PermanentError(
        reason=f"Expected {what} for study {study_instance_uid}, found {found}. "
        "`mammonode studies conflicts` lists what is open."
    )


def _refuse_two_for_one(chosen: Sequence[Conflict]) -> None:
    counts = Counter(conflict.instance.sop_instance_uid for conflict in chosen)
    for sop_instance_uid, count in counts.items():
        if count > 1:
            raise PermanentError(
                reason=f"{count} data sets are kept aside for instance {sop_instance_uid}, and one "
                "can take its place: name it with --data-set, or discard the others first."
            )


def _put_in_place(
    session: Session, store: Store, study: Study, conflict: Conflict, at: datetime
) -> bool:
    """Make a data set the instance, and say whether the images of the study are others now."""
    aside = store.path(conflict.path)
    if not aside.exists():
        raise PermanentError(
            reason=f"Expected the data set at {conflict.path}, found no file. "
            "`mammonode fsck` looks at all files; discard this one and have it sent again."
        )
    transfer_syntax_uid = str(read_file_meta_info(aside).TransferSyntaxUID)
    header = read_header(
        aside, transfer_syntax_uid=transfer_syntax_uid, dataset_offset=dataset_offset(aside)
    )
    if text_of(header, "StudyInstanceUID") != study.study_instance_uid:
        raise PermanentError(
            reason=f"The data set kept aside for instance {conflict.instance.sop_instance_uid} "
            "belongs to another study by its Study Instance UID (0020,000D). Delete this study "
            "with `mammonode studies delete` and have both sent again, or discard the data set."
        )
    instance = conflict.instance
    place = store.instance_place(
        study_instance_uid=study.study_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
        dataset_sha256=conflict.dataset_sha256,
    )
    # A second name before the transaction ends, so that whichever row is read there is its file.
    take_back(session, place)
    store.link(conflict.path, place)
    give_up(session, study, [instance.path, conflict.path], at)
    kind_before = instance.kind
    for name, value in instance_facts(session, header).items():
        setattr(instance, name, value)
    for name, value in patient_facts(header).items():
        setattr(study, name, value)
    apply_to_row(study)
    instance.transfer_syntax_uid = transfer_syntax_uid
    instance.path = place
    instance.removed_at = instance.removed_because = None
    instance.size_bytes = conflict.size_bytes
    instance.dataset_sha256 = conflict.dataset_sha256
    instance.calling_ae_title = conflict.calling_ae_title
    instance.received_at = conflict.received_at
    is_image = InstanceKind.IMAGE in (kind_before, instance.kind)
    return _heed(session, study, conflict, header, aside, at) or is_image


def _heed(
    session: Session, study: Study, conflict: Conflict, header: Dataset, file: Path, at: datetime
) -> bool:
    """Let a rejection note that was accepted take out what it names, as if it came now."""
    rejection_note = read_rejection_note(header)
    if rejection_note is None:
        return False
    arrival = Arrival(
        header=header,
        file=file,
        transfer_syntax_uid=conflict.instance.transfer_syntax_uid,
        dataset_bytes=conflict.size_bytes,
        dataset_sha256=conflict.dataset_sha256,
        calling_ae_title=conflict.calling_ae_title,
        called_ae_title="",
        received_at=at,
    )
    return take_out(session, study, arrival, rejection_note)


def _decide(
    session: Session, conflict: Conflict, state: ConflictState, by: str, at: datetime
) -> None:
    conflict.state = state
    conflict.decided_at = at
    conflict.decided_by = by
    session.add(
        Event(
            study_id=conflict.instance.study_id,
            at=at,
            event=f"conflict_{state.value.lower()}",
            fields={
                "sop_instance_uid": conflict.instance.sop_instance_uid,
                "dataset_sha256": conflict.dataset_sha256,
                "differing_keywords": conflict.differing_keywords,
                "by": by,
            },
        )
    )


def _decision(
    study: Study, chosen: Sequence[Conflict], state: ConflictState, revision: Revision | None
) -> Decision:
    decided = sum(c.state == state for instance in study.instances for c in instance.conflicts)
    return Decision(
        study_instance_uid=study.study_instance_uid,
        state=state,
        sop_instance_uids=tuple(conflict.instance.sop_instance_uid for conflict in chosen),
        decided_before=decided - len(chosen),
        revision=None if revision is None else revision.number,
    )


def _log(decision: Decision) -> None:
    logger.info(
        "Conflict decided",
        extra={
            "event": "conflict_decided",
            "study_instance_uid": decision.study_instance_uid,
            "state": decision.state.value,
            "sop_instance_uids": list(decision.sop_instance_uids),
            "revision": decision.revision,
        },
    )
