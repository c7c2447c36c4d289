"""The association's own thread takes no answer that another waits for."""

import threading

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import

from node.delivery.association import request_association
from node.delivery.checkpoint import Checkpoint
from node.result_kinds import ResultKind
from node.settings import DeliverySettings, DestinationSettings
from peers import SUCCESS, loopback_pacs, wait_until


def _association() -> Association:
    return Association(AE(), "requestor")


def test_a_thread_that_has_left_its_checkpoint_is_not_taken_for_paused() -> None:
    association = _association()
    checkpoint = Checkpoint(association)
    association._is_paused = True

    assert checkpoint.wait()

    # pynetdicom's own says so one step later; who clears it in between believes the opposite.
    assert not association._is_paused


def test_a_thread_that_waits_at_its_checkpoint_stays_paused_until_it_is_set() -> None:
    association = _association()
    checkpoint = Checkpoint(association)
    checkpoint.clear()
    association._is_paused = True
    waiting = threading.Thread(target=checkpoint.wait, daemon=True)
    waiting.start()

    was_paused = association._is_paused
    checkpoint.set()
    waiting.join(10)

    assert was_paused
    assert not waiting.is_alive()
    assert not association._is_paused


def test_a_checkpoint_that_is_never_set_is_waited_at_for_its_time() -> None:
    checkpoint = Checkpoint(_association())
    checkpoint.clear()

    assert not checkpoint.wait(0.01)


def test_an_association_with_a_destination_has_such_a_checkpoint_and_works() -> None:
    with loopback_pacs() as pacs:
        destination = DestinationSettings(
            name="pacs",
            ae_title="PACS",
            host="127.0.0.1",
            port=pacs.port,
            results=(ResultKind.HEAT_MAP,),
        )
        association = request_association(
            destination,
            [build_context(Verification)],
            calling_ae_title="MAMMONODE",
            delivery=DeliverySettings(dimse_timeout_s=10),
        )
        statuses = [association.send_c_echo().get("Status") for _ in range(20)]
        association.release()
        wait_until(lambda: not association.is_alive(), "the association's thread ends")

    assert isinstance(association._reactor_checkpoint, Checkpoint)
    assert statuses == [SUCCESS] * 20
