"""Whether an archive lists what it acknowledged, over real associations."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time
    StudyRootQueryRetrieveInformationModelFind,
)

from delivering import NOW, DeliveringNode, delivering_node
from node.study_log.tables import DeliveryState
from peers import LoopbackPACS, loopback_pacs


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DeliveringNode]:
    with delivering_node(tmp_path) as node:
        yield node


@pytest.fixture
def pacs() -> Iterator[LoopbackPACS]:
    with loopback_pacs() as pacs:
        yield pacs


def test_a_delivery_is_completed_when_everything_is_listed(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    node.attempt(node.deliverer(pacs.port, confirm="query"))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.COMPLETED
    assert {row.confirmed_at for row in delivery.objects} == {NOW}
    assert sorted(uid for uids in pacs.queries for uid in uids) == sorted(node.uids)


def test_an_archive_that_lists_late_is_sent_nothing_again(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.not_listed = {node.uids[2]}
    deliverer = node.deliverer(pacs.port, confirm="query")
    node.attempt(deliverer, 1)
    first_try = node.delivery()
    pacs.not_listed = set()

    node.attempt(deliverer, 2)

    assert first_try.state == DeliveryState.PENDING
    assert first_try.reason == "PACS does not list 1 of the objects that it acknowledged"
    assert [row.confirmed_at is not None for row in first_try.objects] == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert node.delivery().state == DeliveryState.COMPLETED
    assert [uid for uid, _ in pacs.requests] == node.uids


def test_what_is_still_not_listed_with_the_next_try_is_sent_again(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    deliverer = node.deliverer(pacs.port, confirm="query")
    pacs.not_listed = {node.uids[2]}
    node.attempt(deliverer, 1)
    pacs.received[:] = [ds for ds in pacs.received if ds.SOPInstanceUID != node.uids[2]]
    pacs.not_listed = set()  # it was lost: it is listed once it has come again

    node.attempt(deliverer, 2)

    assert [uid for uid, _ in pacs.requests] == [*node.uids, node.uids[2]]
    assert node.delivery().state == DeliveryState.COMPLETED


def test_what_is_never_listed_fails_the_delivery_in_the_end(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    pacs.not_listed = {node.uids[2]}
    deliverer = node.deliverer(pacs.port, confirm="query", max_attempts=2)

    node.attempt(deliverer, 1)
    node.attempt(deliverer, 2)

    assert node.delivery().state == DeliveryState.FAILED
    assert "tried 2 times" in node.delivery().reason


def test_an_archive_that_is_not_queried_so_fails_the_delivery_and_says_what_to_set(
    node: DeliveringNode,
) -> None:
    with loopback_pacs(refused_sop_classes=[StudyRootQueryRetrieveInformationModelFind]) as pacs:
        node.attempt(node.deliverer(pacs.port, confirm="query"))

    assert node.delivery().state == DeliveryState.FAILED
    assert 'set confirm = "none"' in node.delivery().reason


def test_an_archive_that_falls_silent_over_the_query_is_asked_again(node: DeliveringNode) -> None:
    with loopback_pacs() as pacs:
        deliverer = node.deliverer(pacs.port, confirm="query", dimse_timeout_s=0.5)
        pacs.query_delay_s = 3
        node.attempt(deliverer)

    assert node.delivery().state == DeliveryState.PENDING
    assert "no whole answer to C-FIND" in node.delivery().reason


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0xA700, DeliveryState.PENDING),
        (0xC001, DeliveryState.PENDING),
        (0x0110, DeliveryState.PENDING),
        (0xFE00, DeliveryState.PENDING),
        (0xA900, DeliveryState.FAILED),
        (0x0122, DeliveryState.FAILED),
        (0x0124, DeliveryState.FAILED),
    ],
)
def test_the_status_of_the_query_decides_whether_it_is_asked_again(
    node: DeliveringNode, status: int, state: DeliveryState
) -> None:
    """An archive that is unable to process a query (0xC001) may be able to later."""
    with loopback_pacs() as pacs:
        pacs.query_status = status
        node.attempt(node.deliverer(pacs.port, confirm="query"))

    assert node.delivery().state == state
    assert f"answered C-FIND with 0x{status:04X}" in node.delivery().reason
