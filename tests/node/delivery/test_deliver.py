"""Deliveries over real associations to a PACS on the loopback."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless
from sqlalchemy import select

from delivering import NOW, OBJECTS, DeliveringNode, delivering_node
from log_entries import add_delivery, revision_entry
from node.delivery import deliver as deliver_module
from node.delivery.deliver import Deliverer
from node.delivery.send import Answer, send
from node.errors import TransientError
from node.keeping.patients import Patient, correct
from node.settings import Settings
from node.study_log.database import Database
from node.study_log.tables import (
    Delivery,
    DeliveryState,
    Result,
    Revision,
    Study,
    StudyState,
)
from node.work_queue import DeliveryWork, WorkQueue
from peers import LoopbackPACS, association_to, loopback_pacs, silent_peer
from phantoms import mammogram, to_bytes


@pytest.fixture
def node(tmp_path: Path, database: Database) -> Iterator[DeliveringNode]:
    with delivering_node(tmp_path, database) as node:
        yield node


@pytest.fixture
def pacs() -> Iterator[LoopbackPACS]:
    with loopback_pacs() as pacs:
        yield pacs


def test_every_object_arrives_as_it_is_stored_and_the_delivery_is_completed(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    node.attempt(node.deliverer(pacs.port))

    assert [str(ds.SOPInstanceUID) for ds in pacs.received] == node.uids
    assert pacs.calling_ae_titles[0] == "MAMMONODE"
    with node.database.reading() as session:
        paths = [
            node.store.path(row.path) for row in session.scalars(select(Revision)).one().results
        ]
    assert [dcmread(path) for path in paths] == pacs.received
    delivery = node.delivery()
    assert delivery.state == DeliveryState.COMPLETED
    assert delivery.ended_at == NOW
    assert {(row.status, row.acknowledged_at) for row in delivery.objects} == {(0x0000, NOW)}


def test_what_was_acknowledged_is_not_sent_again(node: DeliveringNode, pacs: LoopbackPACS) -> None:
    pacs.statuses[node.uids[2]] = 0xA700
    deliverer = node.deliverer(pacs.port)
    node.attempt(deliverer, 1)
    first_try = node.delivery()
    pacs.statuses.clear()

    node.attempt(deliverer, 2)

    assert first_try.state == DeliveryState.PENDING
    assert "0xA700" in first_try.reason
    assert [uid for uid, _ in pacs.requests] == [*node.uids, node.uids[2]]
    assert node.delivery().state == DeliveryState.COMPLETED
    assert node.delivery().reason == ""


def test_a_try_that_is_canceled_in_the_middle_sends_no_more(
    node: DeliveringNode, pacs: LoopbackPACS, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_and_cancel(*arguments: Any, **named: Any) -> Iterator[Answer]:
        for answer in send(*arguments, **named):
            if len(pacs.requests) == 3:
                with node.database.writing() as session:
                    session.scalars(select(Delivery)).one().state = DeliveryState.CANCELED
            yield answer

    monkeypatch.setattr(deliver_module, "send", send_and_cancel)
    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert [uid for uid, _ in pacs.requests] == node.uids[:3]
    assert delivery.state == DeliveryState.CANCELED
    assert [row.status for row in delivery.objects] == [0, 0, 0, None, None]


def test_a_try_that_failed_is_due_again_after_a_wait_that_doubles(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.status = 0xA700
    deliverer = node.deliverer(pacs.port)

    node.attempt(deliverer, 1)
    first_due_at = node.delivery().due_at
    node.attempt(deliverer, 2)
    second_due_at = node.delivery().due_at

    assert timedelta(seconds=22.5) < first_due_at - NOW <= timedelta(seconds=30)
    assert timedelta(seconds=45) < second_due_at - NOW <= timedelta(seconds=60)


def test_after_the_last_try_the_delivery_is_failed_with_its_reason(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.status = 0xA700
    deliverer = node.deliverer(pacs.port, max_attempts=2)

    node.attempt(deliverer, 1)
    node.attempt(deliverer, 2)

    delivery = node.delivery()
    assert delivery.state == DeliveryState.FAILED
    assert "out of resources" in delivery.reason
    assert "tried 2 times" in delivery.reason
    assert delivery.ended_at == NOW


def test_a_permanent_refusal_ends_the_delivery_after_everything_else_was_sent(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.statuses[node.uids[0]] = 0xC000

    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.FAILED
    assert "0xC000" in delivery.reason
    assert [row.status for row in delivery.objects] == [0xC000, 0, 0, 0, 0]
    assert len(pacs.received) == OBJECTS - 1


def test_a_warning_counts_as_stored_and_its_status_is_kept(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.statuses[node.uids[0]] = 0xB000

    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.COMPLETED
    assert delivery.objects[0].status == 0xB000
    assert delivery.objects[0].acknowledged_at == NOW


def test_a_pacs_that_is_away_is_tried_again(node: DeliveringNode) -> None:
    with loopback_pacs() as pacs:
        port = pacs.port
    deliverer = node.deliverer(port)

    with pytest.raises(TransientError, match="No association with PACS"):
        deliverer.deliver(node.work())
    deliverer.failed(node.work(), TransientError(reason="No association"))

    assert node.delivery().state == DeliveryState.PENDING
    assert node.delivery().attempt == 1


def test_a_rejected_association_is_told_in_the_words_of_the_peer(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    node.attempt(node.deliverer(pacs.port, ae_title="OTHER"))

    assert node.delivery().state == DeliveryState.PENDING
    assert "Called AE title not recognised" in node.delivery().reason


def test_a_transfer_syntax_that_is_not_taken_fails_that_object_and_names_it(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    ds = mammogram(
        seed=1,
        instance_number=0,
        rows=64,
        columns=48,
        study_instance_uid=node.study_instance_uid,
        transfer_syntax=JPEG2000Lossless,
    )
    with node.database.reading() as session:
        place = session.scalars(select(Revision)).one().results[0].path
    node.store.keep_bytes(to_bytes(ds), place)

    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.FAILED
    assert str(JPEG2000Lossless) in delivery.reason
    assert len(pacs.received) == OBJECTS - 1


def test_a_try_that_died_in_the_middle_sends_the_rest_when_it_is_resumed(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    with node.database.writing() as session:
        delivery = session.scalars(select(Delivery)).one()
        delivery.state = DeliveryState.IN_PROGRESS
        delivery.attempt = 1
        for row in delivery.objects[:3]:
            row.status, row.acknowledged_at = 0x0000, NOW

    node.attempt(node.deliverer(pacs.port), 1)

    assert [uid for uid, _ in pacs.requests] == node.uids[3:]
    assert node.delivery().state == DeliveryState.COMPLETED


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_try_that_the_log_does_not_wait_for_sends_nothing(
    node: DeliveringNode, pacs: LoopbackPACS, attempt: int
) -> None:
    with node.database.writing() as session:
        delivery = session.scalars(select(Delivery)).one()
        delivery.attempt = 1  # and PENDING: the second try is the next

    node.attempt(node.deliverer(pacs.port), attempt)

    assert pacs.requests == []
    assert node.delivery().state == DeliveryState.PENDING


def test_a_completed_delivery_is_not_repeated(node: DeliveringNode, pacs: LoopbackPACS) -> None:
    deliverer = node.deliverer(pacs.port)
    node.attempt(deliverer, 1)

    node.attempt(deliverer, 1)

    assert len(pacs.requests) == OBJECTS


def test_a_destination_that_left_the_settings_fails_its_deliveries(node: DeliveringNode) -> None:
    deliverer = Deliverer(
        settings=Settings(), database=node.database, store=node.store, now=lambda: NOW
    )

    node.attempt(deliverer)

    assert node.delivery().state == DeliveryState.FAILED
    assert "pacs in the settings" in node.delivery().reason


def test_nothing_more_goes_out_once_the_patient_is_corrected(
    node: DeliveringNode, pacs: LoopbackPACS, queue: WorkQueue
) -> None:
    pacs.delay_s = 0.5
    trying = threading.Thread(target=node.attempt, args=(node.deliverer(pacs.port),))

    trying.start()
    pacs.wait_for_requests(1)
    correct(
        node.database,
        queue,
        Patient(patient_id="SECRET-ID"),
        {"PatientID": "RIGHT"},
        reason="a test",
        by="someone",
        at=NOW,
    )
    under_way = len(pacs.requests) + 1
    trying.join()

    assert len(pacs.requests) <= under_way < OBJECTS
    assert node.delivery().state == DeliveryState.CANCELED
    acknowledged = [row for row in node.delivery().objects if row.acknowledged_at]
    assert len(acknowledged) == len(pacs.requests)


def test_an_object_that_came_with_an_earlier_revision_is_not_sent_again(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    node.attempt(node.deliverer(pacs.port))
    with node.database.writing() as session:
        study = session.scalars(select(Study)).one()
        first = study.revisions[0]
        second = revision_entry(study, number=2, state=StudyState.COMPLETED)
        study.revisions.append(second)
        for old, new in zip(first.results[1:], second.results[1:], strict=True):
            # Heat maps: the very same objects.
            new.sop_instance_uid, new.path = old.sop_instance_uid, old.path
            new.sop_class_uid = old.sop_class_uid
        report = mammogram(seed=2, rows=64, columns=48)
        second.results[0].sop_instance_uid = str(report.SOPInstanceUID)
        second.results[0].sop_class_uid = str(report.SOPClassUID)
        node.store.keep_bytes(to_bytes(report), second.results[0].path)
        delivery = add_delivery(second, "pacs", DeliveryState.PENDING, statuses=(None,) * OBJECTS)
        delivery.attempt = 0

    work = DeliveryWork(
        study_instance_uid=node.study_instance_uid, revision=2, destination="pacs", attempt=1
    )
    node.deliverer(pacs.port).deliver(work)

    assert [uid for uid, _ in pacs.requests[OBJECTS:]] == [str(report.SOPInstanceUID)]
    with node.database.reading() as session:
        states = session.scalars(select(Delivery.state)).all()
    assert states == [DeliveryState.COMPLETED] * 2


def test_an_association_that_ends_after_each_object_is_followed_by_another_at_once(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.ends_after = 1

    node.attempt(node.deliverer(pacs.port))

    assert [uid for uid, _ in pacs.requests] == node.uids
    assert node.delivery().state == DeliveryState.COMPLETED


def test_an_object_that_breaks_the_association_holds_up_no_other(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.aborts_on = {node.uids[1]}
    deliverer = node.deliverer(pacs.port)

    node.attempt(deliverer, 1)
    first_try = node.delivery()
    pacs.aborts_on = set()
    node.attempt(deliverer, 2)

    assert [row.acknowledged_at is not None for row in first_try.objects] == [
        uid != node.uids[1] for uid in node.uids
    ]
    assert first_try.state == DeliveryState.PENDING
    assert first_try.reason == (
        "1 of the objects: PACS gave no answer: the association ended or timed out"
    )
    assert [uid for uid, _ in pacs.requests] == [node.uids[0], *node.uids[2:], node.uids[1]]
    assert node.delivery().state == DeliveryState.COMPLETED


def test_a_peer_that_breaks_off_again_and_again_is_left_alone_until_the_next_try(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.aborts_on = set(node.uids)

    node.attempt(node.deliverer(pacs.port))

    assert pacs.requests == []
    assert node.delivery().state == DeliveryState.PENDING


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0xA700, DeliveryState.PENDING),
        (0x0110, DeliveryState.PENDING),
        (0xA900, DeliveryState.FAILED),
        (0xC000, DeliveryState.FAILED),
        (0x0122, DeliveryState.FAILED),
        (0xB000, DeliveryState.COMPLETED),
        (0xB006, DeliveryState.COMPLETED),
        (0x0111, DeliveryState.COMPLETED),
    ],
)
def test_the_status_decides_what_becomes_of_the_delivery(
    node: DeliveringNode, pacs: LoopbackPACS, status: int, state: DeliveryState
) -> None:
    pacs.statuses[node.uids[-1]] = status

    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert delivery.state == state
    assert delivery.objects[-1].status == status
    assert (delivery.objects[-1].acknowledged_at is not None) == (state == DeliveryState.COMPLETED)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "is gone"), (b"no DICOM", "is damaged"), (b"", "is damaged")]
)
def test_an_object_whose_file_is_lost_holds_up_no_other(
    node: DeliveringNode, pacs: LoopbackPACS, content: bytes | None, reason: str
) -> None:
    with node.database.reading() as session:
        (lost, *_) = session.scalars(select(Result).order_by(Result.id)).all()
    node.store.remove(lost.path)
    if content is not None:
        node.store.keep_bytes(content, lost.path)

    node.attempt(node.deliverer(pacs.port))

    assert [str(ds.SOPInstanceUID) for ds in pacs.received] == node.uids[1:]
    assert node.delivery().state == DeliveryState.FAILED
    assert f"1 of the objects: a stored file {reason}" in node.delivery().reason
    assert "mammonode fsck" in node.delivery().reason


def test_nothing_is_asked_of_a_destination_when_no_file_is_left(node: DeliveringNode) -> None:
    with node.database.reading() as session:
        for result in session.scalars(select(Result)):
            node.store.remove(result.path)

    with loopback_pacs() as pacs:
        node.attempt(node.deliverer(pacs.port))
        assert pacs.associations == 0

    assert node.delivery().state == DeliveryState.FAILED


def test_what_may_go_through_later_is_tried_before_anything_is_given_up(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.statuses = {node.uids[0]: 0xC000, node.uids[1]: 0xA700}
    deliverer = node.deliverer(pacs.port)

    node.attempt(deliverer, 1)
    first_state = node.delivery().state
    pacs.statuses = {node.uids[0]: 0xC000}
    node.attempt(deliverer, 2)

    assert first_state == DeliveryState.PENDING
    assert node.delivery().state == DeliveryState.FAILED
    assert [row.status for row in node.delivery().objects] == [0xC000, 0, 0, 0, 0]


def test_a_sop_class_that_is_not_accepted_fails_for_good_and_is_named(node: DeliveringNode) -> None:
    sop_class = node.delivery().objects[0].result.sop_class_uid
    with loopback_pacs(refused_sop_classes=[sop_class]) as pacs:
        node.attempt(node.deliverer(pacs.port))

    assert node.delivery().state == DeliveryState.FAILED
    assert f"accepts no SOP class {sop_class}" in node.delivery().reason


def test_a_pacs_with_too_many_associations_is_tried_again(node: DeliveringNode) -> None:
    with (
        loopback_pacs(max_associations=1) as pacs,
        association_to(pacs.port, [], called_ae_title="PACS"),
    ):
        node.attempt(node.deliverer(pacs.port))

    assert node.delivery().state == DeliveryState.PENDING
    assert "Local limit exceeded" in node.delivery().reason


def test_a_destination_has_time_outs_of_its_own(node: DeliveringNode) -> None:
    with loopback_pacs(delay_s=2) as pacs:
        node.attempt(node.deliverer(pacs.port, dimse_timeout_s=0.2))

    assert node.delivery().state == DeliveryState.PENDING
    assert "gave no answer" in node.delivery().reason


def test_a_destination_that_never_answers_is_given_up_after_its_own_time_out(
    node: DeliveringNode,
) -> None:
    begun_s = time.monotonic()
    with silent_peer() as port:
        node.attempt(node.deliverer(port, acse_timeout_s=0.3))

    assert time.monotonic() - begun_s < 10
    assert node.delivery().state == DeliveryState.PENDING
    assert "No association with PACS" in node.delivery().reason


def test_a_destination_has_a_retry_policy_of_its_own(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.status = 0xA700

    node.attempt(node.deliverer(pacs.port, max_attempts=10, first_retry_s=4))
    patient = node.delivery()
    node.attempt(node.deliverer(pacs.port, longest_retry_s=60), 2)

    assert timedelta(seconds=3) < patient.due_at - NOW <= timedelta(seconds=4)
    assert timedelta(seconds=45) < node.delivery().due_at - NOW <= timedelta(seconds=60)


def test_a_peer_that_ends_every_association_at_once_does_not_keep_the_try_going(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.ends_after = 0

    node.attempt(node.deliverer(pacs.port))

    assert pacs.requests == []
    assert pacs.associations <= 2
    assert node.delivery().state == DeliveryState.PENDING
