"""Storage SCU: stored objects as they are, one answer for each."""

import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from model.attributes import VALUE_ERRORS
from node.delivery.association import associated
from node.delivery.statuses import StatusClass
from node.errors import PermanentError, TransientError
from node.settings import DeliverySettings, PeerSettings

logger = logging.getLogger(__name__)

_NOT_DICOM = (*VALUE_ERRORS, InvalidDicomError, AttributeError, EOFError)
_LOOK_CLOSER = "`mammonode fsck` looks at all, `mammonode studies reanalyse` makes new ones"

UNANSWERED_IN_A_ROW = 2
"""So many objects may each end their association without an answer before the try is ended."""


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
        Status of the C-STORE response, or None if none came.
    problem
        Why none came; empty if one did.
    problem_class
        Whether a later try may get one.
    """

    key: int
    status: int | None
    problem: str = ""
    problem_class: StatusClass = StatusClass.PERMANENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Originator:
    """Who asked by C-MOVE that objects be sent (PS3.7 9.1.1.1).

    Attributes
    ----------
    ae_title
        Move Originator Application Entity Title (0000,1030).
    message_id
        Move Originator Message ID (0000,1031).
    """

    ae_title: str
    message_id: int


def send(
    objects: Sequence[StoredObject],
    destination: PeerSettings,
    *,
    calling_ae_title: str,
    delivery: DeliverySettings | None = None,
    may_go_on: Callable[[], bool] = lambda: True,
    originator: Originator | None = None,
) -> Generator[Answer]:
    """Send objects, each in the transfer syntax that it is stored in.

    The bytes of the data set go out as they are on disk. One presentation context is proposed for
    each pair of SOP class and transfer syntax at hand, never more. One association does, where the
    peer lets it: to one that ends it after an answer another is made at once, and an object that
    gets no answer as the first of an association is left behind, so that it holds up no other.

    Parameters
    ----------
    objects
        At least one, and of at most 128 pairs of SOP class and transfer syntax (PS3.8 9.3.2.2).
    destination
        Where to.
    calling_ae_title
        The node's own AE title.
    delivery
        Its time-outs count; None: the defaults.
    may_go_on
        Asked at the last moment before each object; once it says no, nothing more goes out.
    originator
        Who asked for it; None: nobody did.

    Yields
    ------
    answer
        One for each object that was tried, as soon as it is there.

    Raises
    ------
    TransientError
        If no association could be had, or several in a row ended without an answer; objects that
        have been answered are done.
    PermanentError
        If the files for TLS cannot be used.
    """
    waiting = []
    for item in objects:
        try:
            waiting.append((item, transfer_syntax_of(item)))
        except (TransientError, PermanentError) as error:
            is_transient = isinstance(error, TransientError)
            yield Answer(
                key=item.key,
                status=None,
                problem=error.reason,
                problem_class=StatusClass.TRANSIENT if is_transient else StatusClass.PERMANENT,
            )
    unanswered = 0
    while waiting:
        pairs = sorted({(item.sop_class_uid, syntax) for item, syntax in waiting})
        with associated(
            destination,
            [build_context(sop_class, syntax) for sop_class, syntax in pairs],
            calling_ae_title=calling_ae_title,
            delivery=delivery or DeliverySettings(),
        ) as association:
            accepted = {
                (str(context.abstract_syntax), str(context.transfer_syntax[0]))
                for context in association.accepted_contexts
            }
            answered = 0
            while waiting:
                item, syntax = waiting[0]
                if (item.sop_class_uid, syntax) in accepted:
                    if not may_go_on():
                        return
                    answer = send_one(
                        association, item, destination.ae_title, originator=originator
                    )
                    if answer.status is not None:
                        answered, unanswered = answered + 1, 0
                    elif answered:
                        # The peer may have ended it after its last answer: not this one's fault.
                        break
                    else:
                        unanswered += 1
                else:
                    answer = Answer(
                        key=item.key,
                        status=None,
                        problem=f"{destination.ae_title} accepts no SOP class "
                        f"{item.sop_class_uid} in transfer syntax {syntax}",
                    )
                del waiting[0]
                yield answer
                if unanswered >= UNANSWERED_IN_A_ROW and waiting:
                    raise TransientError(reason=_broken(destination.ae_title))
                if answer.problem_class is StatusClass.TRANSIENT:
                    break


def send_one(
    association: Association,
    item: StoredObject,
    ae_title: str,
    *,
    message_id: int = 1,
    originator: Originator | None = None,
) -> Answer:
    """Send one object over an association that has a presentation context for it.

    Parameters
    ----------
    association
        Open; it is aborted if no answer comes.
    item, originator
        As for `send`.
    ae_title
        Of the peer.
    message_id
        Message ID (0000,0110) of the request.
    """
    # From the file, without a detour through an encoder.
    _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        response = association.send_c_store(
            item.path,
            msg_id=message_id,
            originator_aet=None if originator is None else originator.ae_title,
            originator_id=None if originator is None else originator.message_id,
        )
    except RuntimeError:  # it ended at this very moment
        response = Dataset()
    if "Status" in response:
        return Answer(key=item.key, status=int(response.Status))
    # No answer within the time-out, an abort, or a lost connection: nothing more comes of it.
    if association.is_established:
        association.abort()
    return Answer(
        key=item.key,
        status=None,
        problem=_broken(ae_title),
        problem_class=StatusClass.TRANSIENT,
    )


def transfer_syntax_of(item: StoredObject) -> str:
    """Read how the file is encoded, and make sure that it is the object it should be.

    Raises
    ------
    TransientError
        If the disk does not give it now.
    PermanentError
        If it is gone, or is not what was stored there.
    """
    try:
        meta = dcmread(item.path, specific_tags=[], stop_before_pixels=True).file_meta
        found = str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID)
    except FileNotFoundError as error:
        raise PermanentError(reason=f"a stored file is gone; {_LOOK_CLOSER}") from error
    except OSError as error:
        raise TransientError(reason=f"a stored file cannot be read: {error.strerror}") from error
    except _NOT_DICOM as error:
        raise PermanentError(reason=f"a stored file is damaged; {_LOOK_CLOSER}") from error
    sop_instance_uid, transfer_syntax_uid = found
    if sop_instance_uid != item.sop_instance_uid:
        raise PermanentError(reason=f"a stored file is of another object; {_LOOK_CLOSER}")
    return transfer_syntax_uid


def _broken(ae_title: str) -> str:
    return f"{ae_title} gave no answer: the association ended or timed out"
