"""What reports on storage commitment do to the log, in whatever order they come."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from delivering import DeliveringNode, delivering_node
from node.delivery.commitment import Report
from node.study_log.tables import Delivery, DeliveryState

AE_TITLE = "PACS"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DeliveringNode]:
    with delivering_node(tmp_path) as node:
        yield node


def send_all(node: DeliveringNode, attempt: int = 1) -> None:
    """Let a try be under way that has had every object acknowledged."""
    with node.database.writing() as session:
        delivery = session.scalars(select(Delivery)).one()
        delivery.state, delivery.attempt = DeliveryState.IN_PROGRESS, attempt
        for row in delivery.objects:
            row.acknowledged_at = row.acknowledged_at or node.now


def request(node: DeliveringNode, attempt: int = 1) -> str:
    """Have commitment asked for by a try, and wait."""
    log = node.commitment_log()
    send_all(node, attempt)
    transaction_uid = log.add_request(node.delivery().id)
    log.wait(node.work(attempt), transaction_uid)
    return transaction_uid


def report(transaction_uid: str, committed: list[str], **failed: int) -> Report:
    return Report(
        transaction_uid=transaction_uid, committed=frozenset(committed), failed=dict(failed)
    )


def all_good(node: DeliveringNode, transaction_uid: str) -> Report:
    return Report(transaction_uid=transaction_uid, committed=frozenset(node.uids), failed={})


def all_bad(node: DeliveringNode, transaction_uid: str) -> Report:
    return Report(
        transaction_uid=transaction_uid,
        committed=frozenset(),
        failed=dict.fromkeys(node.uids, 0x0112),
    )


def test_a_report_that_overtakes_the_answer_to_its_request_ends_the_try(
    node: DeliveringNode,
) -> None:
    log = node.commitment_log()
    send_all(node)
    transaction_uid = log.add_request(node.delivery().id)

    is_known = log.take_report(all_good(node, transaction_uid), ae_title=AE_TITLE)
    in_between = node.delivery().state
    log.wait(node.work(), transaction_uid)

    assert is_known
    assert in_between == DeliveryState.IN_PROGRESS
    assert node.delivery().state == DeliveryState.COMPLETED


def test_a_bad_report_that_overtakes_the_answer_lets_the_try_fail(node: DeliveringNode) -> None:
    log = node.commitment_log()
    send_all(node)
    transaction_uid = log.add_request(node.delivery().id)

    log.take_report(all_bad(node, transaction_uid), ae_title=AE_TITLE)
    log.wait(node.work(), transaction_uid)

    delivery = node.delivery()
    assert delivery.state == DeliveryState.PENDING
    assert {row.acknowledged_at for row in delivery.objects} == {None}


def test_a_report_from_another_ae_is_not_believed(node: DeliveringNode) -> None:
    transaction_uid = request(node)

    is_known = node.commitment_log().take_report(
        all_good(node, transaction_uid), ae_title="STRANGER"
    )

    assert not is_known
    assert node.delivery().state == DeliveryState.UNCONFIRMED


def test_the_same_report_twice_changes_nothing(node: DeliveringNode) -> None:
    log = node.commitment_log()
    transaction_uid = request(node)
    log.take_report(all_good(node, transaction_uid), ae_title=AE_TITLE)
    first = node.delivery()
    node.wait(seconds=10)

    is_known = log.take_report(all_good(node, transaction_uid), ae_title=AE_TITLE)

    assert is_known
    assert node.delivery().ended_at == first.ended_at
    assert [row.confirmed_at for row in node.delivery().objects] == [
        row.confirmed_at for row in first.objects
    ]


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_good_report_counts_however_late_it_comes(node: DeliveringNode, attempts: int) -> None:
    log = node.commitment_log()
    for attempt in range(1, attempts + 1):
        transaction_uid = request(node, attempt)
        node.wait(hours=1)
        log.give_up_waiting()
    before = node.delivery().state

    log.take_report(all_good(node, transaction_uid), ae_title=AE_TITLE)

    assert before == (DeliveryState.FAILED if attempts == 3 else DeliveryState.PENDING)
    assert node.delivery().state == DeliveryState.COMPLETED
    assert node.delivery().reason == ""


def test_a_bad_report_on_an_older_request_is_overtaken(node: DeliveringNode) -> None:
    log = node.commitment_log()
    older = request(node, 1)
    node.wait(hours=1)
    log.give_up_waiting()
    newer = request(node, 2)

    log.take_report(all_bad(node, older), ae_title=AE_TITLE)
    after_older = node.delivery()
    log.take_report(all_good(node, newer), ae_title=AE_TITLE)

    assert after_older.state == DeliveryState.UNCONFIRMED
    assert all(row.acknowledged_at is not None for row in after_older.objects)
    assert node.delivery().state == DeliveryState.COMPLETED


def test_an_object_that_the_report_does_not_name_is_asked_for_again_and_not_sent(
    node: DeliveringNode,
) -> None:
    transaction_uid = request(node)

    node.commitment_log().take_report(report(transaction_uid, node.uids[:-1]), ae_title=AE_TITLE)

    delivery = node.delivery()
    assert delivery.state == DeliveryState.PENDING
    assert "1 of 5 objects: not named in its report" in delivery.reason
    assert all(row.acknowledged_at is not None for row in delivery.objects)
    assert delivery.objects[-1].confirmed_at is None


def test_a_failure_of_a_committed_object_is_not_believed_later(node: DeliveringNode) -> None:
    log = node.commitment_log()
    transaction_uid = request(node)
    log.take_report(all_good(node, transaction_uid), ae_title=AE_TITLE)

    log.take_report(all_bad(node, transaction_uid), ae_title=AE_TITLE)

    assert node.delivery().state == DeliveryState.COMPLETED
    assert [row.failure_reason for row in node.delivery().objects] == [None] * 5


def test_a_try_that_was_given_to_another_does_not_begin_to_wait(node: DeliveringNode) -> None:
    log = node.commitment_log()
    send_all(node, attempt=2)
    transaction_uid = log.add_request(node.delivery().id)

    log.wait(node.work(attempt=1), transaction_uid)

    assert node.delivery().state == DeliveryState.IN_PROGRESS


def test_a_report_is_not_waited_for_longer_because_the_clock_was_set_back(
    node: DeliveringNode,
) -> None:
    log = node.commitment_log()
    transaction_uid = request(node)

    node.wait(hours=-5)
    log.give_up_waiting()
    after_the_clock_was_set = node.delivery()
    log.take_report(all_good(node, transaction_uid), ae_title=AE_TITLE)

    assert after_the_clock_was_set.state == DeliveryState.PENDING
    assert after_the_clock_was_set.due_at <= node.now + timedelta(hours=1)
    assert node.delivery().state == DeliveryState.COMPLETED


def test_a_report_that_comes_after_the_clock_was_set_forward_counts(node: DeliveringNode) -> None:
    log = node.commitment_log()
    transaction_uid = request(node)

    node.wait(hours=10_000)
    log.give_up_waiting()
    log.take_report(all_good(node, transaction_uid), ae_title=AE_TITLE)

    assert node.delivery().state == DeliveryState.COMPLETED
