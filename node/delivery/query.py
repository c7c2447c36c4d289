"""Query SCU: whether an archive lists what it acknowledged (PS3.4 C.4.1, C.6.2)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
)

from node.delivery.association import associated
from node.delivery.statuses import StatusClass, classify_status
from node.errors import PermanentError, TransientError
from node.settings import DeliverySettings, DestinationSettings

SUCCESS = 0x0000
PENDING = (0xFF00, 0xFF01)
"""A match; the second says that not all optional keys were supported (PS3.4 C.4.1.1.4)."""
UNABLE_TO_PROCESS = range(0xC000, 0xD000)
"""Of C-FIND (PS3.4 C.4.1.1.4), and no verdict on the query, as it is on an object for C-STORE."""
UIDS_AT_ONCE = 100
"""UIDs in one query; each takes up to 65 bytes, and some archives cut a long list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentObject:
    """An object that an archive should list."""

    series_instance_uid: str
    sop_instance_uid: str


def listed(
    objects: Sequence[SentObject],
    destination: DestinationSettings,
    *,
    study_instance_uid: str,
    calling_ae_title: str,
    delivery: DeliverySettings,
) -> frozenset[str]:
    """Ask which objects of a study an archive lists, at IMAGE level by their SOP Instance UIDs.

    Parameters
    ----------
    objects
        Those to ask for; with their series, since a hierarchical search wants every level above.
    destination
        The archive.
    study_instance_uid
        Study Instance UID (0020,000D) of them all.
    calling_ae_title
        The node's own AE title.
    delivery
        Its time-outs count.

    Returns
    -------
    sop_instance_uids
        Those of `objects` that it lists.

    Raises
    ------
    TransientError
        If no association could be had, or no whole answer came.
    PermanentError
        If it is not queried in this way, or refuses the query for good.
    """
    by_series: defaultdict[str, list[str]] = defaultdict(list)
    for item in objects:
        by_series[item.series_instance_uid].append(item.sop_instance_uid)
    found: set[str] = set()
    model = StudyRootQueryRetrieveInformationModelFind
    with associated(
        destination,
        [build_context(model)],
        calling_ae_title=calling_ae_title,
        delivery=delivery,
    ) as association:
        if not association.accepted_contexts:
            raise PermanentError(
                reason=f"{destination.ae_title} accepts no C-FIND (Study Root, {model}): allow it "
                'there, or set confirm = "none"'
            )
        for series, uids in by_series.items():
            for some in _in_lists(uids):
                found.update(_matches(association, study_instance_uid, series, some, destination))
    return frozenset(found) & {item.sop_instance_uid for item in objects}


def _in_lists(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(uids), UIDS_AT_ONCE):
        yield uids[start : start + UIDS_AT_ONCE]


def _matches(
    association: Association,
    study_instance_uid: str,
    series_instance_uid: str,
    sop_instance_uids: Sequence[str],
    destination: DestinationSettings,
) -> Iterator[str]:
    """Ask once, by List of UID Matching (PS3.4 C.2.2.2.2), and give the matches."""
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    keys.StudyInstanceUID = study_instance_uid
    keys.SeriesInstanceUID = series_instance_uid
    keys.SOPInstanceUID = list(sop_instance_uids)
    try:
        responses = association.send_c_find(keys, StudyRootQueryRetrieveInformationModelFind)
    except RuntimeError:  # the association ended at this very moment
        responses = iter(())
    for response, identifier in responses:
        if "Status" not in response:
            break
        status = int(response.Status)
        if status == SUCCESS:
            return
        if status not in PENDING:
            reason = f"{destination.ae_title} answered C-FIND with 0x{status:04X}"
            is_transient = classify_status(status) is StatusClass.TRANSIENT
            if is_transient or status in UNABLE_TO_PROCESS:
                raise TransientError(reason=reason)
            raise PermanentError(reason=reason)
        if identifier is not None and "SOPInstanceUID" in identifier:
            yield str(identifier.SOPInstanceUID)
    raise TransientError(
        reason=f"{destination.ae_title} gave no whole answer to C-FIND: the association ended or "
        "timed out"
    )
