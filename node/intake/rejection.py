"""Rejection notes: a Key Object Selection whose title takes instances out of their study.

IHE RAD TF-2 4.66, Imaging Object Change Management (IOCM); titles: PS3.16 CID 7011. What is taken
out becomes part of no further revision, and results of it that have not gone out do so no more. If
nothing is left, the next revision consists of what was rejected and says so: its report replaces
those before. Instances whose time to be kept is over are given up instead, and lead to no new
report; should they come again they are received as new.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.attributes import items_of
from node.analysis.replace import end_open_work
from node.errors import TriageReason
from node.header import text_of
from node.intake.arrival import Arrival, note
from node.store import is_uid
from node.study_log.removals import give_up
from node.study_log.tables import (
    Conflict,
    ConflictState,
    Gone,
    Instance,
    InstanceKind,
    Rejection,
    Study,
)

logger = logging.getLogger(__name__)

EXPIRED = "113039"
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "113001": "Rejected for Quality Reasons",
        "113037": "Rejected for Patient Safety Reasons",
        "113038": "Incorrect Modality Worklist Entry",
        EXPIRED: "Data Retention Policy Expired",
    }
)
"""Code values of the scheme DCM that make a Key Object Selection a rejection note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionNote:
    """What a note says.

    Attributes
    ----------
    code_value
        One of `TITLES`.
    sop_instance_uids
        Of the instances of its own study that it takes out.
    elsewhere
        How many of other studies it names; those are not heeded.
    """

    code_value: str
    sop_instance_uids: frozenset[str]
    elsewhere: int


def read_rejection_note(header: Dataset) -> RejectionNote | None:
    """Read a rejection note; None if the header is of anything else.

    The references are those of Current Requested Procedure Evidence Sequence (0040,A375), which
    holds every instance that the content refers to (PS3.3 C.17.6.2.1).
    """
    if text_of(header, "SOPClassUID") != KeyObjectSelectionDocumentStorage:
        return None
    titles = [
        text_of(item, "CodeValue")
        for item in items_of(header, "ConceptNameCodeSequence")
        if text_of(item, "CodingSchemeDesignator") == "DCM"
    ]
    code_value = next((value for value in titles if value in TITLES), None)
    if code_value is None:
        return None
    references = {
        (text_of(study, "StudyInstanceUID"), text_of(instance, "ReferencedSOPInstanceUID"))
        for study in items_of(header, "CurrentRequestedProcedureEvidenceSequence")
        for series in items_of(study, "ReferencedSeriesSequence")
        for instance in items_of(series, "ReferencedSOPSequence")
    }
    own_study = text_of(header, "StudyInstanceUID")
    own = frozenset(uid for study, uid in references if study == own_study and is_uid(uid))
    return RejectionNote(
        code_value=code_value, sop_instance_uids=own, elsewhere=len(references) - len(own)
    )


def take_out(
    session: Session, study: Study, arrival: Arrival, rejection_note: RejectionNote
) -> bool:
    """Take out what a note names, now or when it comes.

    Parameters
    ----------
    session
        Of `Database.writing`.
    study
        Locked.
    arrival
        The note itself, in the log already.
    rejection_note
        What it says.

    Returns
    -------
    has_changed
        Whether an image is out that was part of the study: there is to be a new revision. What is
        open of those before has been ended.
    """
    if rejection_note.code_value != EXPIRED:
        _remember(session, study, arrival, rejection_note)
    out = [
        instance
        for instance in session.scalars(select(Instance).where(Instance.study_id == study.id))
        if instance.sop_instance_uid in rejection_note.sop_instance_uids
        and instance.removed_at is None
    ]
    has_changed = False
    for instance in out:
        if rejection_note.code_value == EXPIRED:
            _let_go(session, study, instance, arrival)
            continue
        if instance.kind == InstanceKind.IMAGE and instance.triage_reason != TriageReason.REJECTED:
            has_changed = True
        instance.triage_reason = TriageReason.REJECTED
        instance.triage_detail = _detail(rejection_note.code_value)
    if has_changed:
        end_open_work(study, "Images were rejected since", arrival.received_at)
    fields: dict[str, str | int | None] = {
        "title": rejection_note.code_value,
        "instances": len(out),
        "not_here": len(rejection_note.sop_instance_uids) - len(out),
        "elsewhere": rejection_note.elsewhere,
    }
    note(session, study, arrival, "instances_rejected", **fields)
    logger.warning(
        "Instances rejected by a note",
        extra={
            "event": "instances_rejected",
            "study_instance_uid": study.study_instance_uid,
            "calling_ae_title": arrival.calling_ae_title,
            **fields,
        },
    )
    session.flush()
    return has_changed


def _remember(
    session: Session, study: Study, arrival: Arrival, rejection_note: RejectionNote
) -> None:
    """Enter what a note names, for what comes later; a note may be received again itself."""
    known = session.scalars(
        select(Rejection.sop_instance_uid).where(
            Rejection.note_sop_instance_uid == arrival.sop_instance_uid
        )
    )
    for uid in sorted(rejection_note.sop_instance_uids - set(known)):
        session.add(
            Rejection(
                study_id=study.id,
                sop_instance_uid=uid,
                note_sop_instance_uid=arrival.sop_instance_uid,
                code_value=rejection_note.code_value,
                received_at=arrival.received_at,
            )
        )


def rejected_as(
    session: Session, *, study_instance_uid: str, sop_instance_uid: str
) -> tuple[TriageReason, str] | None:
    """Say why an instance is out, if a note of its study says so, be it here before or after it."""
    code_value = session.scalars(
        select(Rejection.code_value)
        .join(Study, Study.id == Rejection.study_id)
        .where(
            Study.study_instance_uid == study_instance_uid,
            Rejection.sop_instance_uid == sop_instance_uid,
        )
        .order_by(Rejection.id)
    ).first()
    return None if code_value is None else (TriageReason.REJECTED, _detail(code_value))


def _detail(code_value: str) -> str:
    return f"{TITLES[code_value]} ({code_value}, DCM)"


def _let_go(session: Session, study: Study, instance: Instance, arrival: Arrival) -> None:
    """Give up the files of an instance whose time to be kept is over, by the archive's policy."""
    at = arrival.received_at
    instance.removed_at, instance.removed_because = at, Gone.EXPIRED
    places = [instance.path]
    for conflict in session.scalars(
        select(Conflict).where(
            Conflict.instance_id == instance.id, Conflict.state == ConflictState.OPEN
        )
    ):
        conflict.state = ConflictState.DISCARDED
        conflict.decided_at, conflict.decided_by = at, arrival.calling_ae_title
        places.append(conflict.path)
    give_up(session, study, places, at)
