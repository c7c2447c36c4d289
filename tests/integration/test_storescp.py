"""Deliveries to DCMTK's storescp, which others wrote, as it is and as it misbehaves on purpose."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from delivering import DeliveringNode, delivering_node
from node.study_log.tables import DeliveryState
from orthanc import free_ports
from peers import wait_until
from validators import require_peer

pytestmark = pytest.mark.integration


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DeliveringNode]:
    with delivering_node(tmp_path / "node") as node:
        yield node


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def running_storescp(folder: Path, *options: str) -> Iterator[int]:
    """Run storescp as long as the block lasts, and give its port."""
    folder.mkdir()
    (port,) = free_ports(1)
    with (folder.parent / "storescp.log").open("wb") as log:
        process = subprocess.Popen(
            [require_peer("storescp"), *options, "--output-directory", folder, str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: listens(port), "storescp listens")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_storescp_gets_every_object(node: DeliveringNode, tmp_path: Path) -> None:
    with running_storescp(tmp_path / "received") as port:
        node.attempt(node.deliverer(port))

    assert node.delivery().state == DeliveryState.COMPLETED
    assert len(list((tmp_path / "received").iterdir())) == len(node.uids)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--refuse", "rejected the association"),
        ("--abort-during", "gave no answer"),
        ("--abort-after", "gave no answer"),
    ],
)
def test_a_storescp_that_refuses_or_aborts_is_tried_again(
    node: DeliveringNode, tmp_path: Path, option: str, reason: str
) -> None:
    with running_storescp(tmp_path / "received", option) as port:
        node.attempt(node.deliverer(port))

    assert node.delivery().state == DeliveryState.PENDING
    assert reason in node.delivery().reason
    assert {row.acknowledged_at for row in node.delivery().objects} == {None}


def test_a_storescp_without_our_transfer_syntax_fails_the_delivery_for_good(
    node: DeliveringNode, tmp_path: Path
) -> None:
    with running_storescp(tmp_path / "received", "--implicit") as port:
        node.attempt(node.deliverer(port))

    assert node.delivery().state == DeliveryState.FAILED
    assert "in transfer syntax 1.2.840.10008.1.2.1" in node.delivery().reason
