"""An archive that others wrote is asked whether it keeps what it took: a real Orthanc."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivering import DeliveringNode, delivering_node
from node.intake.receive import Receiver
from node.study_log.tables import Delivery, DeliveryState
from orthanc import AE_TITLE, Orthanc, running_orthanc
from peers import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DeliveringNode]:
    with delivering_node(tmp_path) as node:
        yield node


@pytest.fixture
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


@pytest.fixture
def receiver(node: DeliveringNode, orthanc: Orthanc) -> Iterator[Receiver]:
    """The node's SCP, known to Orthanc as the AE to report to."""
    settings = node.settings(orthanc.dicom_port, ae_title=AE_TITLE, confirm="commitment")
    receiver = Receiver(settings, node.database, node.store, lambda: node.now)
    receiver.start()
    address = {
        "AET": "MAMMONODE",
        "Host": "127.0.0.1",
        "Port": receiver.port,
        "AllowStorageCommitment": True,
        "AllowFind": True,
    }
    orthanc.ask("/modalities/node", method="PUT", body=json.dumps(address).encode())
    yield receiver
    receiver.stop(deadline_s=5)


def delete_one(orthanc: Orthanc) -> str:
    """Take one instance out of the archive, and give its SOP Instance UID."""
    instance = orthanc.ask("/instances")[0]
    uid = orthanc.ask(f"/instances/{instance}/simplified-tags")["SOPInstanceUID"]
    orthanc.ask(f"/instances/{instance}", method="DELETE")
    return str(uid)


def ends(node: DeliveringNode, state: DeliveryState) -> Delivery:
    wait_until(lambda: node.delivery().state == state, f"the delivery is {state}", deadline_s=60)
    return node.delivery()


def test_orthanc_commits_itself_to_what_it_took(
    node: DeliveringNode, orthanc: Orthanc, receiver: Receiver
) -> None:
    node.attempt(node.deliverer(orthanc.dicom_port, ae_title=AE_TITLE, confirm="commitment"))

    delivery = ends(node, DeliveryState.COMPLETED)
    assert all(row.confirmed_at is not None for row in delivery.objects)
    assert delivery.commitment_requests[0].reported_at is not None


def test_what_orthanc_has_lost_is_sent_again_until_it_commits_itself(
    node: DeliveringNode, orthanc: Orthanc, receiver: Receiver
) -> None:
    node.attempt(node.deliverer(orthanc.dicom_port, ae_title=AE_TITLE))
    lost = delete_one(orthanc)
    with node.database.writing() as session:
        # As if commitment had been asked for from the start.
        delivery = session.get_one(Delivery, 1)
        delivery.state, delivery.attempt = DeliveryState.PENDING, 1
    deliverer = node.deliverer(orthanc.dicom_port, ae_title=AE_TITLE, confirm="commitment")

    node.attempt(deliverer, 2)
    refused = ends(node, DeliveryState.PENDING)
    node.attempt(deliverer, 3)
    ends(node, DeliveryState.COMPLETED)

    assert [
        row.result.sop_instance_uid for row in refused.objects if row.failure_reason is not None
    ] == [lost]
    assert "0x0112 (No such object instance)" in refused.reason
    assert len(orthanc.ask("/instances")) == len(node.uids)


def test_what_orthanc_does_not_list_is_sent_again(
    node: DeliveringNode, orthanc: Orthanc, receiver: Receiver
) -> None:
    node.attempt(node.deliverer(orthanc.dicom_port, ae_title=AE_TITLE))
    delete_one(orthanc)
    with node.database.writing() as session:
        delivery = session.get_one(Delivery, 1)
        delivery.state, delivery.attempt = DeliveryState.PENDING, 1

    node.attempt(node.deliverer(orthanc.dicom_port, ae_title=AE_TITLE, confirm="query"), 2)

    delivery = node.delivery()
    assert delivery.state == DeliveryState.COMPLETED
    assert all(row.confirmed_at is not None for row in delivery.objects)
    assert len(orthanc.ask("/instances")) == len(node.uids)
