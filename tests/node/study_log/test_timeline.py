"""What happened to a study, in order: events, and what only rows know."""

from datetime import timedelta

from log_entries import add_delivery, study_entry
from node.study_log.answers import StudyAnswer
from node.study_log.database import Database
from node.study_log.queries import read_study
from node.study_log.tables import DeliveryState, Event, PatientCorrection, Study, StudyState
from node.study_log.timeline import timeline


def answer(database: Database, study: Study) -> StudyAnswer:
    with database.writing() as session:
        session.add(study)
    with database.reading() as session:
        return read_study(session, study.study_instance_uid)


def test_what_only_rows_know_is_told_in_its_place(database: Database) -> None:
    study = study_entry(1)
    study.events.clear()
    add_delivery(study.revisions[0], "pacs", DeliveryState.COMPLETED)
    add_delivery(study.revisions[0], "viewer", DeliveryState.PENDING)

    told = timeline(answer(database, study))

    assert [event.event for event in told] == [
        *["instance_received"] * 5,
        "study_closed",
        "analysis_started",
        "analysis_completed",
        "delivery_completed",
    ]
    assert told[-1].fields == {"revision": 1, "destination": "pacs"}


def test_what_an_event_tells_is_not_told_twice(database: Database) -> None:
    study = study_entry(1)
    revision = study.revisions[0]
    add_delivery(revision, "pacs", DeliveryState.COMPLETED)
    at = revision.closed_at
    for event, fields in (
        ("instance_received", {}),
        ("study_closed", {"revision": 1, "images": 4}),
        ("analysis_started", {"revision": 1, "attempt": 1}),
        ("analysis_completed", {"revision": 1, "attempt": 1}),
        ("delivery_completed", {"revision": 1, "destination": "pacs"}),
        ("patient_corrected", {"by": "root", "keywords": ["PatientID"]}),
    ):
        at += timedelta(seconds=1)
        study.events.append(Event(at=at, event=event, fields=fields))
    study.corrections.append(
        PatientCorrection(at=at, by="root", reason="misspelt", before={}, after={"PatientID": "1"})
    )

    of_study = answer(database, study)

    assert list(timeline(of_study)) == sorted(of_study.events, key=lambda event: event.at)
    assert len(of_study.events) == 7


def test_a_later_revision_is_told_beside_the_events_of_the_first(database: Database) -> None:
    study = study_entry(1)
    study.events.append(
        Event(at=study.last_received_at, event="study_closed", fields={"revision": 7})
    )

    told = timeline(answer(database, study))

    assert [event.fields["revision"] for event in told if event.event == "study_closed"] == [7, 1]


def test_an_analysis_that_was_canceled_is_told_from_one_that_was_overtaken(
    database: Database,
) -> None:
    canceled = study_entry(1, state=StudyState.CANCELED, reason="sent twice")
    overtaken = study_entry(2, state=StudyState.CANCELED, reason="Revision 2 has taken its place")
    overtaken.events.append(
        Event(
            at=overtaken.revisions[0].closed_at,
            event="analysis_overtaken",
            fields={"revision": 1, "attempt": 1, "newest": 2},
        )
    )

    of_canceled = [event.event for event in timeline(answer(database, canceled))]
    of_overtaken = [event.event for event in timeline(answer(database, overtaken))]

    assert "analysis_canceled" in of_canceled
    assert "analysis_overtaken" in of_overtaken
    assert "analysis_canceled" not in of_overtaken
