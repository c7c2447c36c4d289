"""Deliveries over real associations to a PACS on the loopback."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless
from sqlalchemy import select

from log_entries import add_delivery, revision_entry, study_entry
from node.delivery.deliver import Deliverer
from node.errors import PermanentError, TransientError
from node.settings import DeliverySettings, DestinationSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Delivery, DeliveryState, Revision, Study, StudyState
from node.work_queue import DeliveryWork
from peers import LoopbackPACS, loopback_pacs
from phantoms import mammogram, to_bytes

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OBJECTS = 5


@dataclass
class Node:
    """A study log with one completed study whose results are to be delivered."""

    database: Database
    store: Store
    study_instance_uid: str
    uids: list[str]

    def deliverer(self, port: int, *, ae_title: str = "PACS", max_attempts: int = 3) -> Deliverer:
        settings = Settings(
            destinations=(
                DestinationSettings(
                    name="pacs", ae_title=ae_title, host="127.0.0.1", port=port, profile="ohif"
                ),
            ),
            delivery=DeliverySettings(max_attempts=max_attempts, first_retry_s=30),
        )
        return Deliverer(
            settings=settings, database=self.database, store=self.store, now=lambda: NOW
        )

    def work(self, attempt: int = 1, destination: str = "pacs") -> DeliveryWork:
        return DeliveryWork(
            study_instance_uid=self.study_instance_uid,
            revision=1,
            destination=destination,
            attempt=attempt,
        )

    def attempt(self, deliverer: Deliverer, attempt: int = 1) -> None:
        """Try as the worker loop does."""
        work = self.work(attempt)
        try:
            deliverer.deliver(work)
        except (TransientError, PermanentError) as error:
            deliverer.failed(work, error)

    def delivery(self) -> Delivery:
        with self.database.reading() as session:
            delivery = session.scalars(select(Delivery)).one()
            assert len(delivery.objects) == OBJECTS  # loaded while the session lasts
            session.expunge_all()
            return delivery


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    database = Database.open(Settings(data_dir=tmp_path))
    database.migrate()
    store = Store(tmp_path)
    store.prepare()
    study = study_entry()
    revision = study.revisions[0]
    uids = []
    for number, result in enumerate(revision.results):
        ds = mammogram(seed=1, instance_number=number, rows=64, columns=48)
        result.sop_class_uid = str(ds.SOPClassUID)
        result.sop_instance_uid = str(ds.SOPInstanceUID)
        uids.append(result.sop_instance_uid)
        store.keep_bytes(to_bytes(ds), result.path)
    delivery = add_delivery(revision, "pacs", DeliveryState.PENDING, statuses=(None,) * OBJECTS)
    delivery.attempt = 0
    delivery.ended_at = None
    with database.writing() as session:
        session.add(study)
    yield Node(database, store, study.study_instance_uid, uids)
    database.close()


@pytest.fixture
def pacs() -> Iterator[LoopbackPACS]:
    with loopback_pacs() as pacs:
        yield pacs


def test_every_object_arrives_as_it_is_stored_and_the_delivery_is_completed(
    node: Node, pacs: LoopbackPACS
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


def test_what_was_acknowledged_is_not_sent_again(node: Node, pacs: LoopbackPACS) -> None:
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


def test_a_try_that_failed_is_due_again_after_a_wait_that_doubles(
    node: Node, pacs: LoopbackPACS
) -> None:
    pacs.status = 0xA700
    deliverer = node.deliverer(pacs.port)

    node.attempt(deliverer, 1)
    first_due_at = node.delivery().due_at
    node.attempt(deliverer, 2)
    second_due_at = node.delivery().due_at

    assert first_due_at == NOW + timedelta(seconds=30)
    assert second_due_at == NOW + timedelta(seconds=60)


def test_after_the_last_try_the_delivery_is_failed_with_its_reason(
    node: Node, pacs: LoopbackPACS
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
    node: Node, pacs: LoopbackPACS
) -> None:
    pacs.statuses[node.uids[0]] = 0xC000

    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.FAILED
    assert "0xC000" in delivery.reason
    assert [row.status for row in delivery.objects] == [0xC000, 0, 0, 0, 0]
    assert len(pacs.received) == OBJECTS - 1


def test_a_warning_counts_as_stored_and_its_status_is_kept(node: Node, pacs: LoopbackPACS) -> None:
    pacs.statuses[node.uids[0]] = 0xB000

    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.COMPLETED
    assert delivery.objects[0].status == 0xB000
    assert delivery.objects[0].acknowledged_at == NOW


def test_a_pacs_that_is_away_is_tried_again(node: Node) -> None:
    with loopback_pacs() as pacs:
        port = pacs.port
    deliverer = node.deliverer(port)

    with pytest.raises(TransientError, match="No association with PACS"):
        deliverer.deliver(node.work())
    deliverer.failed(node.work(), TransientError(reason="No association"))

    assert node.delivery().state == DeliveryState.PENDING
    assert node.delivery().attempt == 1


def test_a_rejected_association_is_told_in_the_words_of_the_peer(
    node: Node, pacs: LoopbackPACS
) -> None:
    node.attempt(node.deliverer(pacs.port, ae_title="OTHER"))

    assert node.delivery().state == DeliveryState.PENDING
    assert "Called AE title not recognised" in node.delivery().reason


def test_a_transfer_syntax_that_is_not_taken_fails_that_object_and_names_it(
    node: Node, pacs: LoopbackPACS
) -> None:
    ds = mammogram(seed=1, instance_number=0, rows=64, columns=48, transfer_syntax=JPEG2000Lossless)
    with node.database.reading() as session:
        place = session.scalars(select(Revision)).one().results[0].path
    node.store.keep_bytes(to_bytes(ds), place)

    node.attempt(node.deliverer(pacs.port))

    delivery = node.delivery()
    assert delivery.state == DeliveryState.FAILED
    assert str(JPEG2000Lossless) in delivery.reason
    assert len(pacs.received) == OBJECTS - 1


def test_a_try_that_died_in_the_middle_sends_the_rest_when_it_is_resumed(
    node: Node, pacs: LoopbackPACS
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
    node: Node, pacs: LoopbackPACS, attempt: int
) -> None:
    with node.database.writing() as session:
        delivery = session.scalars(select(Delivery)).one()
        delivery.attempt = 1  # and PENDING: the second try is the next

    node.attempt(node.deliverer(pacs.port), attempt)

    assert pacs.requests == []
    assert node.delivery().state == DeliveryState.PENDING


def test_a_completed_delivery_is_not_repeated(node: Node, pacs: LoopbackPACS) -> None:
    deliverer = node.deliverer(pacs.port)
    node.attempt(deliverer, 1)

    node.attempt(deliverer, 1)

    assert len(pacs.requests) == OBJECTS


def test_a_destination_that_left_the_settings_fails_its_deliveries(node: Node) -> None:
    deliverer = Deliverer(
        settings=Settings(), database=node.database, store=node.store, now=lambda: NOW
    )

    node.attempt(deliverer)

    assert node.delivery().state == DeliveryState.FAILED
    assert "pacs in the settings" in node.delivery().reason


def test_an_object_that_came_with_an_earlier_revision_is_not_sent_again(
    node: Node, pacs: LoopbackPACS
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
