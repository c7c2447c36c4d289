"""Ranges as a person types them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import typer

from node.commands.ranges import read_days, read_period, read_scores

NOW = datetime(2026, 3, 31, 10, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours before Greenwich since 29 March, one till then."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-03-01", "2026-02-28T23:00", "2026-03-01T22:59:59.999999"),
        ("2026-03-29", "2026-03-28T23:00", "2026-03-29T21:59:59.999999"),
        ("2026-03", "2026-02-28T23:00", "2026-03-31T21:59:59.999999"),
        ("2025-12", "2025-11-30T23:00", "2025-12-31T22:59:59.999999"),
        ("2025", "2024-12-31T23:00", "2025-12-31T22:59:59.999999"),
        ("today", "2026-03-30T22:00", "2026-03-31T21:59:59.999999"),
        ("yesterday", "2026-03-29T22:00", "2026-03-30T21:59:59.999999"),
        ("90min", "2026-03-31T08:45", "2026-03-31T10:15"),
        ("12h", "2026-03-30T22:15", "2026-03-31T10:15"),
        ("7d", "2026-03-24T10:15", "2026-03-31T10:15"),
        ("4w..1w", "2026-03-03T10:15", "2026-03-24T10:15"),
        ("2026-03-31T09:30", "2026-03-31T07:30", "2026-03-31T07:30:59.999999"),
        ("2026-03-31T09:30:15Z", "2026-03-31T09:30:15", "2026-03-31T09:30:15.999999"),
        ("2026-03-31T09:30+05:00", "2026-03-31T04:30", "2026-03-31T04:30:59.999999"),
        ("2026-03-01..2026-03-02", "2026-02-28T23:00", "2026-03-02T22:59:59.999999"),
        ("2026-03..", "2026-02-28T23:00", None),
        ("..yesterday", None, "2026-03-30T21:59:59.999999"),
    ],
)
def test_a_period_begins_and_ends_where_its_words_do(
    text: str, first: str | None, last: str | None
) -> None:
    period = read_period(text, option="--received", now=NOW)

    ends = [
        at and at.astimezone(UTC).replace(tzinfo=None).isoformat()
        for at in (period.first, period.last)
    ]
    assert ends == [end and datetime.fromisoformat(end).isoformat() for end in (first, last)]


@pytest.mark.parametrize(
    "text",
    ["", "..", "2026-13", "2026-02-30", "0000", "20260301", "last week", "7", "7y", "2026-3-1",
     "2026-03-01T25:00", "99999w", "١٢h", "2026-03-01 .. 2026-03-02", "9999"],
)  # fmt: skip
def test_what_is_no_period_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="Expected a year, month or day") as refusal:
        read_period(text, option="--received", now=NOW)

    assert refusal.value.param_hint == "--received"


@pytest.mark.parametrize("text", ["2026-03-02..2026-03-01", "today..yesterday", "1d..2d"])
def test_a_period_that_ends_before_it_begins_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="ends before it begins"):
        read_period(text, option="--received", now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03", ("20260301", "20260331")),
        ("today", ("20260331", "20260331")),
        ("7d", ("20260324", "20260331")),
        ("2025..", ("20250101", "")),
        ("..2025", ("", "20251231")),
    ],
)
def test_days_are_those_of_dicom(text: str, expected: tuple[str, str]) -> None:
    assert read_days(text, option="--study-date", now=NOW) == expected


@pytest.mark.parametrize("text", ["12h", "2026-03-01T14:30", "2026-03-01..1h"])
def test_days_have_no_time_of_day(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="a time of day"):
        read_days(text, option="--study-date", now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.5..", (0.5, None)), ("..0.1", (None, 0.1)), ("0.2..0.4", (0.2, 0.4)), ("0..1", (0, 1))],
)
def test_scores_are_a_range(text: str, expected: tuple[float | None, float | None]) -> None:
    assert read_scores(text, option="--score") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5", "Expected FIRST..LAST, as in 0.5.."),
        ("..", "Expected FIRST..LAST"),
        ("high..", "Expected FIRST..LAST"),
        ("nan..", r"Expected scores in \[0, 1\]"),
        ("..1.2", r"Expected scores in \[0, 1\], found '..1.2'"),
        ("-1..", r"Expected scores in \[0, 1\]"),
        ("0.4..0.2", "ends before it begins"),
    ],
)
def test_what_is_no_range_of_scores_is_refused(text: str, message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        read_scores(text, option="--score")
