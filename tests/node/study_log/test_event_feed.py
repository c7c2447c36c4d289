"""Events as they become durable: each once, late ones too."""

from datetime import timedelta

import pytest

from databases import PostgresqlLogs
from log_entries import RECEIVED_AT, study_entry
from node.study_log import event_feed
from node.study_log.database import Database
from node.study_log.event_feed import MISSING_FOR, EventFeed
from node.study_log.tables import Event, Study

NOW = RECEIVED_AT + timedelta(days=1)


def write(database: Database, *ids: int, study: int = 1, event: str = "told") -> None:
    """Write events with ids of their own to a study; the higher its id, the later it happened."""
    with database.writing() as session:
        if session.get(Study, study) is None:
            session.add(study_entry(study))
            session.flush()
            session.query(Event).filter_by(event="study_opened").delete()
        for number in ids:
            at = RECEIVED_AT + timedelta(minutes=number)
            session.add(Event(id=number, study_id=study, at=at, event=event, fields={"a": number}))


def polled(feed: EventFeed, database: Database, *, after: timedelta = timedelta()) -> list[int]:
    with database.reading() as session:
        return [event.id for event in feed.poll(session, now=NOW + after)]


def begun(feed: EventFeed, database: Database, *, last: int = 0) -> list[int]:
    with database.reading() as session:
        return [event.id for event in feed.begin(session, now=NOW, last=last)]


def test_new_events_are_given_once_with_all_that_they_say(database: Database) -> None:
    feed = EventFeed()
    assert begun(feed, database) == []
    write(database, 10, 11)

    with database.reading() as session:
        first, second = feed.poll(session, now=NOW)

    assert (first.id, second.id) == (10, 11)
    assert first.study_instance_uid == study_entry(1).study_instance_uid
    assert first.at == RECEIVED_AT + timedelta(minutes=10)
    assert (first.event, first.fields) == ("told", {"a": 10})
    assert polled(feed, database) == []


def test_it_begins_with_the_last_that_are_there(database: Database) -> None:
    write(database, 10, 11, 12)

    assert begun(EventFeed(), database, last=2) == [11, 12]
    assert begun(EventFeed(), database, last=9) == [10, 11, 12]
    assert begun(EventFeed(), database, last=0) == []


def test_it_begins_with_a_moment_however_long_ago(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "AT_ONCE", 2)
    write(database, 10, 11, 12, 13)
    feed = EventFeed()
    with database.reading() as session:
        since = RECEIVED_AT + timedelta(minutes=11)
        assert feed.begin(session, now=NOW, since=since) == ()
    write(database, 14)

    goes: list[list[int]] = []
    while feed.is_behind:
        goes.append(polled(feed, database))

    assert goes == [[11, 12], [13], [14]]


def test_an_event_with_a_lower_id_that_appears_later_is_given_too(database: Database) -> None:
    feed = EventFeed()
    write(database, 10)
    begun(feed, database)
    write(database, 14)
    assert polled(feed, database) == [14]

    write(database, 12)
    write(database, 15)

    assert polled(feed, database) == [12, 15]
    assert polled(feed, database) == []
    write(database, 11)
    assert polled(feed, database) == [11]


def test_an_event_that_was_missing_when_it_began_is_given_when_it_appears(
    database: Database,
) -> None:
    feed = EventFeed()
    write(database, 10, 12)
    assert begun(feed, database, last=5) == [10, 12]

    write(database, 11)

    assert polled(feed, database) == [11]


def test_an_id_that_was_rolled_back_is_not_waited_for(database: Database) -> None:
    feed = EventFeed()
    write(database, 10, 12)
    begun(feed, database)
    assert polled(feed, database, after=MISSING_FOR) == []

    write(database, 11)

    assert polled(feed, database, after=MISSING_FOR) == []


def test_a_transaction_that_is_open_when_others_end_loses_no_event(
    postgresql_logs: PostgresqlLogs,
) -> None:
    with postgresql_logs.fresh() as url:
        database, other = Database(url), Database(url)
        write(database, 1)
        feed = EventFeed()
        begun(feed, database)

        with database.writing() as slow:
            slow.add(Event(study_id=1, at=NOW, event="slow", fields={}))
            slow.flush()
            with other.writing() as fast:
                fast.add(Event(study_id=1, at=NOW, event="fast", fields={}))
            with other.reading() as session:
                before = [event.event for event in feed.poll(session, now=NOW)]
        with other.reading() as session:
            after = [event.event for event in feed.poll(session, now=NOW)]
        database.close()
        other.close()

    assert (before, after) == (["fast"], ["slow"])


def test_only_the_events_that_are_meant_are_given(database: Database) -> None:
    write(database, 10, study=1)
    write(database, 11, study=2)
    write(database, 12, study=2, event="other")
    uid = study_entry(2).study_instance_uid
    feed = EventFeed(study_instance_uids=[uid], events=["told"])

    assert begun(feed, database, last=5) == [11]
    write(database, 13, study=1)
    write(database, 14, study=2)
    write(database, 15, study=2, event="other")
    assert polled(feed, database) == [14]


def test_what_is_more_than_one_go_is_given_in_several(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "AT_ONCE", 3)
    feed = EventFeed()
    begun(feed, database)
    write(database, *range(10, 17))

    goes = [polled(feed, database), polled(feed, database)]
    assert feed.is_behind
    goes.append(polled(feed, database))

    assert goes == [[10, 11, 12], [13, 14, 15], [16]]
    assert not feed.is_behind
