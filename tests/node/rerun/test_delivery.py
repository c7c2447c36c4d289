"""Results that are sent again: what failed, or all of it because a person asks."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from delivering import DeliveringNode, delivering_node
from log_entries import RECEIVED_AT, add_delivery, revision_entry, study_entry
from node.analysis.replace import end_open_work
from node.delivery.due import due_tries, enqueue_try
from node.errors import PermanentError
from node.rerun.delivery import resend, retry_deliveries
from node.settings import DestinationSettings
from node.study_log.answers import StudyAnswer
from node.study_log.database import Database
from node.study_log.queries import read_study
from node.study_log.tables import (
    Delivery,
    DeliveryState,
    Event,
    Gone,
    PatientCorrection,
    Study,
    StudyState,
)
from node.work_queue import WorkQueue
from peers import LoopbackPACS, loopback_pacs

NOW = RECEIVED_AT + timedelta(days=1)
UID = study_entry(1).study_instance_uid


def write(database: Database, study: Study) -> None:
    with database.writing() as session:
        session.add(study)


def read(database: Database) -> StudyAnswer:
    with database.reading() as session:
        return read_study(session, UID)


def destination_of(name: str = "pacs", **facts: str) -> DestinationSettings:
    return DestinationSettings.model_validate(
        {"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": 11113}
        | (facts or {"profile": "ohif"})
    )


@pytest.fixture
def node(tmp_path: Path, database: Database) -> Iterator[DeliveringNode]:
    with delivering_node(tmp_path, database) as node:
        yield node


@pytest.fixture
def pacs() -> Iterator[LoopbackPACS]:
    with loopback_pacs() as pacs:
        yield pacs


def test_all_that_failed_to_go_to_a_destination_becomes_due_at_once(database: Database) -> None:
    studies = [study_entry(number) for number in (1, 2, 3)]
    add_delivery(studies[0].revisions[0], "pacs", DeliveryState.FAILED, reason="unreachable")
    add_delivery(studies[0].revisions[0], "viewer", DeliveryState.FAILED, reason="rejected")
    add_delivery(studies[1].revisions[0], "pacs", DeliveryState.FAILED, reason="unreachable")
    add_delivery(studies[2].revisions[0], "pacs", DeliveryState.COMPLETED)
    with database.writing() as session:
        session.add_all(studies)

    reruns = retry_deliveries(database, destination="pacs", at=NOW)

    assert [rerun.study_instance_uid for rerun in reruns] == [
        study.study_instance_uid for study in studies[:2]
    ]
    with database.reading() as session:
        deliveries = session.scalars(select(Delivery).order_by(Delivery.id)).all()
        assert [(row.destination, row.state) for row in deliveries] == [
            ("pacs", DeliveryState.PENDING),
            ("viewer", DeliveryState.FAILED),
            ("pacs", DeliveryState.PENDING),
            ("pacs", DeliveryState.COMPLETED),
        ]
        assert deliveries[0].due_at == NOW
        events = session.scalars(select(Event).where(Event.event == "retry_requested")).all()
        assert [event.fields["destinations"] for event in events] == [["pacs"], ["pacs"]]


def test_what_a_newer_revision_has_taken_the_place_of_is_not_sent_any_more(
    database: Database,
) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.FAILED)
    study.revisions.append(revision_entry(study, number=2, state=StudyState.COMPLETED))
    add_delivery(study.revisions[1], "pacs", DeliveryState.COMPLETED)
    write(database, study)

    assert retry_deliveries(database, destination="pacs", at=NOW) == ()


def test_results_of_a_study_that_is_received_again_wait_for_the_newer_ones(
    database: Database,
) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.FAILED)
    study.state = StudyState.RECEIVING
    write(database, study)

    assert retry_deliveries(database, destination="pacs", at=NOW) == ()


def test_all_results_go_out_again_also_those_that_were_acknowledged(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    destination = node.settings(pacs.port).destinations[0]
    deliverer = node.deliverer(pacs.port)
    node.attempt(deliverer)

    rerun = resend(
        node.database, study_instance_uid=node.study_instance_uid, destination=destination, at=NOW
    )
    node.attempt(deliverer, 2)

    assert (rerun.revision, rerun.attempt, rerun.destinations) == (1, None, ("pacs",))
    assert [uid for uid, _ in pacs.requests] == node.uids * 2
    assert node.delivery().state == DeliveryState.COMPLETED
    assert node.delivery().attempt == 2


def test_a_destination_that_joined_later_gets_its_kinds_alone(database: Database) -> None:
    write(database, study_entry(1))

    resend(
        database,
        study_instance_uid=UID,
        destination=destination_of(name="later", results="heat_map"),
        at=NOW,
    )

    (delivery,) = read(database).deliveries
    assert (delivery.destination, delivery.state) == ("later", DeliveryState.PENDING)
    assert (delivery.objects, delivery.due_at, delivery.attempt) == (4, NOW, 0)
    event = read(database).events[-1]
    assert (event.event, event.fields["destinations"]) == ("resend_requested", ["later"])


def test_a_kind_that_a_destination_gets_since_then_goes_too(database: Database) -> None:
    study = study_entry(1)
    delivery = add_delivery(study.revisions[0], "pacs", DeliveryState.COMPLETED)
    delivery.objects = delivery.objects[1:]
    write(database, study)

    resend(database, study_instance_uid=UID, destination=destination_of(), at=NOW)

    (delivered,) = read(database).deliveries
    assert (delivered.objects, delivered.acknowledged) == (5, 0)


def test_what_an_earlier_revision_brought_goes_out_again_too(
    node: DeliveringNode, pacs: LoopbackPACS
) -> None:
    node.attempt(node.deliverer(pacs.port))
    with node.database.writing() as session:
        study = session.scalars(select(Study)).one()
        second = revision_entry(study, number=2, state=StudyState.COMPLETED)
        for row, same in zip(second.results, study.revisions[0].results, strict=True):
            row.sop_instance_uid, row.sop_class_uid = same.sop_instance_uid, same.sop_class_uid
            row.path = same.path
        study.revisions.append(second)

    resend(
        node.database,
        study_instance_uid=node.study_instance_uid,
        destination=node.settings(pacs.port).destinations[0],
        at=NOW,
    )
    node.deliverer(pacs.port).deliver(replace(node.work(1), revision=2))

    assert [uid for uid, _ in pacs.requests] == node.uids * 2


def test_a_delivery_that_was_canceled_is_tried_under_a_name_of_its_own(
    database: Database, queue: WorkQueue
) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", DeliveryState.PENDING).attempt = 0
    write(database, study)
    with database.writing() as session:
        queue.enqueue_delivery(
            session, study_instance_uid=UID, revision=1, destination="pacs", attempt=1
        )
        (work,) = end_open_work(session.scalars(select(Study)).one(), "a test", NOW)
    queue.cancel(work)

    resend(database, study_instance_uid=UID, destination=destination_of(), at=NOW)
    with database.writing() as session:
        (due,) = due_tries(session, NOW)
        enqueue_try(session, queue, due)

    assert queue.waiting_or_running() == {f"delivery/{UID}/1/pacs/2"}


@pytest.mark.parametrize("state", [DeliveryState.IN_PROGRESS, DeliveryState.UNCONFIRMED])
def test_what_is_on_its_way_is_not_sent_twice_at_once(
    database: Database, state: DeliveryState
) -> None:
    study = study_entry(1)
    add_delivery(study.revisions[0], "pacs", state)
    write(database, study)

    with pytest.raises(PermanentError, match=f"on their way to pacs .{state}."):
        resend(database, study_instance_uid=UID, destination=destination_of(), at=NOW)


def test_results_that_are_gone_or_not_there_cannot_be_sent_again(database: Database) -> None:
    study = study_entry(1)
    for result in study.revisions[0].results:
        result.removed_at, result.removed_because = NOW, Gone.EXPIRED
    write(database, study)
    write(database, study_entry(2, state=StudyState.CANCELED))
    write(database, study_entry(3, state=StudyState.SCHEDULED))

    for number, problem in ((1, "are gone since"), (2, "Nothing to send"), (3, "wait until")):
        with pytest.raises(PermanentError, match=problem):
            resend(
                database,
                study_instance_uid=UID[:-1] + str(number),
                destination=destination_of(),
                at=NOW,
            )


def test_results_from_before_a_correction_of_the_patient_stay_here(database: Database) -> None:
    study = study_entry(1)
    study.corrections.append(
        PatientCorrection(at=NOW, by="root", reason="swapped", before={}, after={"PatientID": "1"})
    )
    write(database, study)

    with pytest.raises(PermanentError, match="name the patient as before the correction"):
        resend(database, study_instance_uid=UID, destination=destination_of(), at=NOW)

    assert read(database).deliveries == ()
