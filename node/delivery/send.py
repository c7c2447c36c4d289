"""Storage SCU: one association, stored objects as they are, one answer for each."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from node.errors import PermanentError, TransientError
from node.settings import DestinationSettings

logger = logging.getLogger(__name__)

CONNECTION_TIMEOUT_S = 10
"""For the TCP connection."""
ACSE_TIMEOUT_S = 30
"""For the answer to an association request or a release."""
DIMSE_TIMEOUT_S = 120
"""For the answer to one C-STORE request; archives that compress or index may take long."""
NETWORK_TIMEOUT_S = 120
"""For a silent peer in the middle of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A result object on disk.

    Attributes
    ----------
    key
        The caller's own name for it, given back with the answer.
    path
        A DICOM file with file meta information.
    """

    key: int
    path: Path
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back for one object.

    Attributes
    ----------
    key
        As in `StoredObject`.
    status
        Status of the C-STORE response, or None if it was not sent.
    problem
        Why it was not sent; empty if it was.
    """

    key: int
    status: int | None
    problem: str = ""


def send(
    objects: Sequence[StoredObject], destination: DestinationSettings, *, calling_ae_title: str
) -> Iterator[Answer]:
    """Send objects over one association, each in the transfer syntax that it is stored in.

    The bytes of the data set go out as they are on disk. One presentation context is proposed for
    each pair of SOP class and transfer syntax at hand, never more.

    Parameters
    ----------
    objects
        At least one, and of at most 128 pairs of SOP class and transfer syntax (PS3.8 9.3.2.2).
    destination
        Where to.
    calling_ae_title
        The node's own AE title.

    Yields
    ------
    answer
        One for each object, as soon as it is there.

    Raises
    ------
    TransientError
        If no association could be had, or it ended before the last answer; objects that have been
        answered are done.
    PermanentError
        If a file is not what was stored there.
    """
    # Send from the file, without a detour through an encoder.
    _config.STORE_SEND_CHUNKED_DATASET = True
    ae = AE(ae_title=calling_ae_title)
    ae.connection_timeout = CONNECTION_TIMEOUT_S
    ae.acse_timeout = ACSE_TIMEOUT_S
    ae.dimse_timeout = DIMSE_TIMEOUT_S
    ae.network_timeout = NETWORK_TIMEOUT_S
    transfer_syntaxes = {item.key: _transfer_syntax_of(item) for item in objects}
    pairs = {(item.sop_class_uid, transfer_syntaxes[item.key]) for item in objects}
    association = ae.associate(
        destination.host,
        destination.port,
        contexts=[build_context(sop_class, syntax) for sop_class, syntax in sorted(pairs)],
        ae_title=destination.ae_title,
    )
    if not association.is_established:
        raise TransientError(reason=_why_not_established(association, destination))
    try:
        accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context in association.accepted_contexts
        }
        for item in objects:
            if (item.sop_class_uid, transfer_syntaxes[item.key]) not in accepted:
                yield Answer(
                    key=item.key,
                    status=None,
                    problem=f"{destination.ae_title} accepts no SOP class {item.sop_class_uid} "
                    f"in transfer syntax {transfer_syntaxes[item.key]}",
                )
                continue
            if not association.is_established:
                raise TransientError(reason=_broken(destination))
            response = association.send_c_store(item.path)
            if "Status" not in response:
                # No answer within the time-out, an abort, or a lost connection.
                raise TransientError(reason=_broken(destination))
            yield Answer(key=item.key, status=int(response.Status))
    finally:
        if association.is_established:
            association.release()


def _transfer_syntax_of(item: StoredObject) -> str:
    """Read how the file is encoded, and make sure that it is the object it should be."""
    meta = dcmread(item.path, specific_tags=[], stop_before_pixels=True).file_meta
    if str(meta.MediaStorageSOPInstanceUID) != item.sop_instance_uid:
        raise PermanentError(
            reason=f"Expected SOP Instance UID {item.sop_instance_uid} in the stored file, "
            f"found {meta.MediaStorageSOPInstanceUID}"
        )
    return str(meta.TransferSyntaxUID)


def _broken(destination: DestinationSettings) -> str:
    return f"{destination.ae_title} gave no answer: the association ended or timed out"


def _why_not_established(association: Association, destination: DestinationSettings) -> str:
    """Tell a refusal, with the peer's own words, from a peer that is not there."""
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"{where} rejected the association: {answer.reason_str}"
    return f"No association with {where}: unreachable, or it broke off"
