"""Another data set under a SOP Instance UID that is taken: kept aside until a person decides."""

from collections.abc import Iterator

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.attributes import VALUE_ERRORS
from node.header import dataset_offset, read_header
from node.intake.arrival import Arrival, note, require_file
from node.store import Store
from node.study_log.removals import take_back
from node.study_log.tables import Conflict, ConflictState, Instance


def keep_aside(
    session: Session, known: Instance, arrival: Arrival, place: str, store: Store
) -> None:
    """Keep the other data set aside; a person decides between the two."""
    aside = store.conflict_place(
        study_instance_uid=known.study.study_instance_uid,
        sop_instance_uid=arrival.sop_instance_uid,
        dataset_sha256=arrival.dataset_sha256,
    )
    take_back(session, aside)
    if store.path(place).exists():  # else an earlier try moved it and failed afterwards
        store.move(place, aside)
    require_file(store, aside)
    differing = ",".join(_differing_keywords(arrival, known, store))
    conflict = _decided_before(session, known, arrival.dataset_sha256)
    if conflict is None:
        conflict = Conflict(instance=known, dataset_sha256=arrival.dataset_sha256)
        session.add(conflict)
    conflict.state = ConflictState.OPEN
    conflict.decided_at = conflict.decided_by = None
    conflict.path = aside
    conflict.size_bytes = arrival.dataset_bytes
    conflict.differing_keywords = differing
    conflict.calling_ae_title = arrival.calling_ae_title
    conflict.received_at = arrival.received_at
    note(
        session,
        known.study,
        arrival,
        "conflict_kept",
        calling_ae_title=arrival.calling_ae_title,
        differing_keywords=differing,
    )


def _decided_before(session: Session, known: Instance, dataset_sha256: str) -> Conflict | None:
    """Find the row of a data set that was kept aside before, and whose file is gone since."""
    statement = select(Conflict).where(
        Conflict.instance_id == known.id, Conflict.dataset_sha256 == dataset_sha256
    )
    return session.scalars(statement).one_or_none()


def _differing_keywords(arrival: Arrival, known: Instance, store: Store) -> Iterator[str]:
    """Name the attributes that differ, never their values."""
    path = store.path(known.path)
    stored = read_header(
        path,
        transfer_syntax_uid=known.transfer_syntax_uid,
        dataset_offset=dataset_offset(path),
    )
    found_any = False
    if arrival.transfer_syntax_uid != known.transfer_syntax_uid:
        found_any = True
        yield "TransferSyntaxUID"
    for tag in sorted(set(stored.keys()) | set(arrival.header.keys())):
        if not _is_same(stored, arrival.header, tag):
            found_any = True
            yield keyword_for_tag(tag) or str(tag)
    if not found_any:
        yield "PixelData"


def _is_same(one: Dataset, other: Dataset, tag: BaseTag) -> bool:
    if tag not in one or tag not in other:
        return False
    try:
        return bool(one[tag].value == other[tag].value)
    except VALUE_ERRORS:
        return False  # a value that cannot be read is for a person to look at
