"""Days of this machine, whatever its time zone and its clock changes, on either database."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from log_entries import study_entry
from node.study_log.database import Database
from node.study_log.moments import day_name, epoch_s, local_day
from node.study_log.tables import Study


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"])
def _time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_time_zone")
def test_every_moment_is_on_the_day_that_the_clock_of_this_machine_says(
    database: Database,
) -> None:
    # Around midnight, and around both clock changes of Europe and of North America.
    days = (
        datetime(2025, month, day, tzinfo=UTC)
        for month, day in ((1, 1), (3, 9), (3, 30), (6, 15), (10, 26), (11, 2), (12, 31))
    )
    moments = [
        day + timedelta(minutes=20 * step, microseconds=1)
        for day in days
        for step in range(-30, 120)
    ]
    with database.writing() as session:
        for number, moment in enumerate(moments):
            study = study_entry(10_000 + number)
            study.instances.clear()
            study.revisions.clear()
            study.last_received_at = moment
            session.add(study)

    day = local_day(Study.last_received_at, first=min(moments), last=max(moments))
    with database.reading() as session:
        rows = session.execute(select(Study.last_received_at, day)).all()

    found = {moment: day_name(number) for moment, number in rows}
    assert found == {moment: f"{moment.astimezone():%Y-%m-%d}" for moment in moments}


def test_seconds_are_told_to_a_tenth_of_a_millisecond(database: Database) -> None:
    moment = datetime(2026, 3, 29, 0, 59, 59, 987654, tzinfo=UTC)
    with database.writing() as session:
        study = study_entry(1)
        study.last_received_at = moment
        session.add(study)

    with database.reading() as session:
        seconds = session.scalar(select(epoch_s(Study.last_received_at)))

    assert seconds == pytest.approx(moment.timestamp(), abs=6e-4)
