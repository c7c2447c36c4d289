"""Ranges of dates, times and moments."""

from datetime import UTC, datetime

import pytest

from node.query.ranges import date_range, moment_range, time_range


@pytest.mark.parametrize(
    "text, bounds",
    [
        ("20260102", ("20260102", "20260102")),
        ("20260102-", ("20260102", "")),
        ("-20260102", ("", "20260102")),
        ("20260102 - 20260103", ("20260102", "20260103")),
        ("20240229", ("20240229", "20240229")),
    ],
)
def test_a_range_of_dates_has_its_bounds(text: str, bounds: tuple[str, str]) -> None:
    assert date_range(text) == bounds


@pytest.mark.parametrize(
    "text", ["", "-", "2026", "202601021", "20260230", "2026.01.02", "20260103-20260102", "today"]
)
def test_what_is_no_range_of_dates_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|ends|does not match|day is out of range"):
        date_range(text)


@pytest.mark.parametrize(
    "text, bounds",
    [
        ("10", ("10", "105959.999999")),
        ("1045", ("1045", "104559.999999")),
        ("104500", ("104500", "104500.999999")),
        ("104500.5", ("104500.5", "104500.599999")),
        ("10-11", ("10", "115959.999999")),
        ("-2359", ("", "235959.999999")),
    ],
)
def test_a_time_is_as_long_as_it_is_said(text: str, bounds: tuple[str, str]) -> None:
    assert time_range(text) == bounds


@pytest.mark.parametrize("text", ["", "-", "24", "1060", "10:45", "1", "11-10", "104500."])
def test_what_is_no_range_of_times_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|ends"):
        time_range(text)


def test_a_range_of_moments_is_in_utc_and_holds_all_of_its_last_second() -> None:
    assert moment_range("20260102-2026010310") == (
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 1, 3, 10, 59, 59, 999_999, tzinfo=UTC),
    )
    assert moment_range("20260102103000-") == (datetime(2026, 1, 2, 10, 30, tzinfo=UTC), None)


@pytest.mark.parametrize("text", ["", "-", "2026", "202601021", "20260230", "20260103-20260102"])
def test_what_is_no_range_of_moments_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|ends|does not match|day is out of range"):
        moment_range(text)
