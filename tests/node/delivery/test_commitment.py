"""Storage commitment over real associations: the request, and reports by every way."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]  # made at import
from sqlalchemy import select

from delivering import NOW, DeliveringNode, delivering_node
from node.delivery import deliver
from node.delivery.commitment import (
    FAILURE_RULES,
    Reference,
    Remedy,
    Report,
    failure_rule,
    request_commitment,
)
from node.intake.receive import Receiver
from node.result_kinds import ResultKind
from node.settings import DeliverySettings, DestinationSettings
from node.study_log.tables import Delivery, DeliveryState, Event
from peers import (
    SECONDARY_CAPTURE,
    SUCCESS,
    LoopbackPACS,
    ReportsTo,
    association_to,
    loopback_pacs,
    wait_until,
)
from phantoms import mammogram

INVALID_ARGUMENT_VALUE = 0x0115


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeliveringNode]:
    monkeypatch.setattr(deliver, "REPORT_WAIT_S", 0.2)
    with delivering_node(tmp_path) as node:
        yield node


@pytest.fixture
def pacs() -> Iterator[LoopbackPACS]:
    with loopback_pacs() as pacs:
        yield pacs


@pytest.fixture
def receiver(node: DeliveringNode, pacs: LoopbackPACS) -> Iterator[Receiver]:
    """The node's SCP, which the PACS reports to over a new association."""
    settings = node.settings(pacs.port, confirm="commitment")
    receiver = Receiver(settings, node.database, node.store, lambda: node.now)
    receiver.start()
    pacs.reports_to = ReportsTo(way="new association", port=receiver.port)
    yield receiver
    receiver.stop(deadline_s=5)


def state(node: DeliveringNode) -> str:
    return node.delivery().state


def test_a_report_over_the_same_association_completes_the_delivery(
    node: DeliveringNode, pacs: LoopbackPACS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "REPORT_WAIT_S", 20)
    pacs.reports_to = ReportsTo(way="same association")

    node.attempt(node.deliverer(pacs.port, confirm="commitment"))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.COMPLETED
    assert {row.confirmed_at for row in delivery.objects} == {NOW}
    assert pacs.transactions == [(delivery.commitment_requests[0].transaction_uid, node.uids)]
    pacs.wait_for_reports(1)
    assert pacs.report_statuses == [0x0000]


@pytest.mark.parametrize("proposes_role", [True, False])
def test_a_report_over_a_new_association_completes_the_delivery(
    node: DeliveringNode, pacs: LoopbackPACS, receiver: Receiver, proposes_role: bool
) -> None:
    pacs.reports_to = ReportsTo(
        way="new association", port=receiver.port, proposes_role=proposes_role
    )

    node.attempt(node.deliverer(pacs.port, confirm="commitment"))

    pacs.wait_for_reports(1)
    wait_until(lambda: state(node) == DeliveryState.COMPLETED, "the delivery is completed")
    assert pacs.report_statuses == [0x0000]
    with node.database.reading() as session:
        story = session.scalars(select(Event.event)).all()
    assert {"commitment_requested", "commitment_reported", "delivery_completed"} <= set(story)


def test_without_a_report_the_delivery_waits_and_is_asked_for_again_in_time(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    deliverer = node.deliverer(pacs.port, confirm="commitment")
    log = node.commitment_log()
    node.attempt(deliverer, 1)
    waiting = node.delivery()

    node.wait(seconds=3599)
    log.give_up_waiting()
    just_before = state(node)
    node.wait(seconds=1)
    log.give_up_waiting()
    overdue = node.delivery()
    node.attempt(deliverer, 2)

    assert waiting.state == just_before == DeliveryState.UNCONFIRMED
    assert overdue.state == DeliveryState.PENDING
    assert overdue.reason == "pacs gave no report on storage commitment within 3600 s"
    assert state(node) == DeliveryState.UNCONFIRMED
    assert [uids for _, uids in pacs.transactions] == [node.uids] * 2
    assert len({transaction for transaction, _ in pacs.transactions}) == 2
    assert [uid for uid, _ in pacs.requests] == node.uids  # nothing was sent again


def test_a_destination_that_never_reports_is_given_up_after_its_last_try(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    deliverer = node.deliverer(pacs.port, confirm="commitment")
    log = node.commitment_log()

    for attempt in (1, 2, 3):
        node.attempt(deliverer, attempt)
        node.wait(hours=1)
        log.give_up_waiting()

    assert state(node) == DeliveryState.FAILED
    assert "tried 3 times" in node.delivery().reason


def test_what_is_not_committed_is_listed_and_sent_again(
    node: DeliveringNode, pacs: LoopbackPACS, receiver: Receiver
) -> None:
    pacs.not_committed = {node.uids[1]: 0x0112, node.uids[3]: 0x0110}
    deliverer = node.deliverer(pacs.port, confirm="commitment")
    node.attempt(deliverer, 1)
    wait_until(lambda: state(node) == DeliveryState.PENDING, "the delivery is to be tried again")
    first_try = node.delivery()
    pacs.not_committed = {}

    node.attempt(deliverer, 2)
    wait_until(lambda: state(node) == DeliveryState.COMPLETED, "the delivery is completed")

    assert [row.failure_reason for row in first_try.objects] == [None, 0x0112, None, 0x0110, None]
    assert first_try.reason == (
        "pacs does not commit itself to 2 of 5 objects: 0x0110 (Processing failure); "
        "0x0112 (No such object instance)"
    )
    assert [uid for uid, _ in pacs.requests[5:]] == [node.uids[1], node.uids[3]]
    assert pacs.transactions[1][1] == [node.uids[1], node.uids[3]]
    assert [row.failure_reason for row in node.delivery().objects] == [None] * 5


def test_what_will_never_be_committed_fails_the_delivery_and_is_not_sent_again(
    node: DeliveringNode, pacs: LoopbackPACS, receiver: Receiver
) -> None:
    pacs.not_committed = {node.uids[0]: 0x0122}

    node.attempt(node.deliverer(pacs.port, confirm="commitment"))
    wait_until(lambda: state(node) == DeliveryState.FAILED, "the delivery is failed")

    delivery = node.delivery()
    assert "0x0122 (Referenced SOP Class not supported)" in delivery.reason
    assert all(row.acknowledged_at is not None for row in delivery.objects)


def test_a_report_is_known_to_a_node_that_was_started_since(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    node.attempt(node.deliverer(pacs.port, confirm="commitment"))
    settings = node.settings(pacs.port, confirm="commitment")
    receiver = Receiver(settings, node.database, node.store, lambda: node.now)
    receiver.start()
    pacs.reports_to = ReportsTo(port=receiver.port)

    pacs.report_anew(*pacs.transactions[0])
    receiver.stop(deadline_s=5)

    assert pacs.report_statuses == [0x0000]
    assert state(node) == DeliveryState.COMPLETED


def test_a_report_that_nobody_asked_for_is_refused(
    node: DeliveringNode, pacs: LoopbackPACS, receiver: Receiver
) -> None:
    pacs.reports_to = ReportsTo(port=receiver.port)
    node.attempt(node.deliverer(pacs.port, confirm="commitment"))

    pacs.report_anew("1.2.3.4", node.uids)

    assert pacs.report_statuses == [INVALID_ARGUMENT_VALUE]
    assert state(node) == DeliveryState.UNCONFIRMED


def test_a_stranger_is_offered_no_storage_commitment(
    node: DeliveringNode, receiver: Receiver
) -> None:
    stranger = LoopbackPACS(ae_title="STRANGER", reports_to=ReportsTo(port=receiver.port))

    with pytest.raises(AssertionError):
        stranger.report_anew("1.2.3.4", [])

    assert stranger.report_statuses == []


def test_an_archive_that_may_only_report_is_offered_no_storage(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    settings = node.settings(pacs.port, confirm="commitment")
    receive = settings.receive.model_copy(update={"allowed_ae_titles": ("MODALITY",)})
    settings = settings.model_copy(update={"receive": receive})
    receiver = Receiver(settings, node.database, node.store, lambda: node.now)
    receiver.start()
    ds = mammogram(rows=64, columns=48)

    with association_to(receiver.port, [ds], calling_ae_title="PACS") as assoc:
        offered = {str(context.abstract_syntax) for context in assoc.accepted_contexts}
    node.attempt(node.deliverer(pacs.port, confirm="commitment"))
    pacs.reports_to = ReportsTo(port=receiver.port)
    pacs.report_anew(*pacs.transactions[0])
    receiver.stop(deadline_s=5)

    assert offered == {"1.2.840.10008.1.1"}
    assert pacs.report_statuses == [0x0000]


def test_an_archive_without_storage_commitment_fails_the_delivery_and_says_what_to_set(
    node: DeliveringNode,
) -> None:
    with loopback_pacs(refused_sop_classes=[StorageCommitmentPushModel]) as pacs:
        node.attempt(node.deliverer(pacs.port, confirm="commitment"))

    assert state(node) == DeliveryState.FAILED
    assert 'set confirm = "query"' in node.delivery().reason
    assert len(pacs.received) == len(node.uids)


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        (0x0213, DeliveryState.PENDING),
        (0x0110, DeliveryState.PENDING),
        (0x0122, DeliveryState.FAILED),
    ],
)
def test_the_status_of_the_request_decides_what_follows(
    node: DeliveringNode, pacs: LoopbackPACS, status: int, becomes: DeliveryState
) -> None:
    pacs.reports_to = ReportsTo(status=status)

    node.attempt(node.deliverer(pacs.port, confirm="commitment"))

    assert state(node) == becomes
    assert f"0x{status:04X}" in node.delivery().reason


def test_a_failure_reason_that_the_standard_does_not_give_is_sent_again() -> None:
    assert failure_rule(0xFFFF).remedy is Remedy.SEND_AGAIN
    assert len({rule.reason for rule in FAILURE_RULES}) == len(FAILURE_RULES) == 6


def test_a_try_that_died_after_its_request_asks_anew_and_either_report_counts(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    deliverer = node.deliverer(pacs.port, confirm="commitment")
    node.attempt(deliverer, 1)
    with node.database.writing() as session:
        # As a process leaves it that ended between the response and the row.
        session.scalars(select(Delivery)).one().state = DeliveryState.IN_PROGRESS

    node.attempt(deliverer, 1)
    resumed = state(node)
    is_known = node.commitment_log().take_report(
        Report(transaction_uid=pacs.transactions[0][0], committed=frozenset(node.uids), failed={}),
        ae_title="PACS",
    )

    assert resumed == DeliveryState.UNCONFIRMED
    assert len(pacs.transactions) == 2
    assert [uid for uid, _ in pacs.requests] == node.uids
    assert is_known
    assert state(node) == DeliveryState.COMPLETED


def test_a_report_is_answered_before_the_association_is_released() -> None:
    has_come, is_late = threading.Event(), threading.Event()

    def take_report(_report: Report) -> bool:
        has_come.set()
        # Long enough for a release that does not wait for the answer.
        is_late.wait(0.5)
        return True

    with loopback_pacs() as pacs:
        pacs.reports_to = ReportsTo(way="same association")
        request_commitment(
            [Reference(sop_class_uid=SECONDARY_CAPTURE, sop_instance_uid="1.2.3")],
            DestinationSettings(
                name="pacs",
                ae_title="PACS",
                host="127.0.0.1",
                port=pacs.port,
                results=(ResultKind.HEAT_MAP,),
            ),
            transaction_uid="1.2.4",
            calling_ae_title="MAMMONODE",
            delivery=DeliverySettings(acse_timeout_s=5),
            take_report=take_report,
            wait_for_report=has_come.wait,
        )
        pacs.wait_for_reports(1)

    assert pacs.report_statuses == [SUCCESS]
