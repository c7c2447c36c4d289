"""Ranges of dates and times, PS3.4 C.2.2.2.5."""

import re
from datetime import UTC, datetime

_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_MOMENT = re.compile(r"(\d{8}(?:\d\d){0,3})(?:(?<=\d{14})\.(\d{1,6}))?(?:\+0000)?")
_LATEST_TIME = "235959.999999"
_LATEST_MOMENT = "235959999999"


def date_range(text: str) -> tuple[str, str]:
    """Give first and last date, YYYYMMDD, of a value of VR DA; empty where it is open.

    Raises
    ------
    ValueError
        If it is neither a date nor a range of dates, or ends before it begins.
    """
    first, last = _bounds(text)
    for bound in (first, last):
        if bound:
            _check_date(bound)
    return _in_order(first, last)


def time_range(text: str) -> tuple[str, str]:
    """Give first and last time, HHMMSS.FFFFFF, of a value of VR TM; empty where it is open.

    A time without seconds, or without minutes, is all of that minute or hour.

    Raises
    ------
    ValueError
        If it is neither a time nor a range of times, or ends before it begins.
    """
    first, last = _bounds(text)
    for bound in (first, last):
        if bound and _TIME.fullmatch(bound) is None:
            message = "expected HHMMSS or a part of it"
            raise ValueError(message)
    return _in_order(first, last and last + _LATEST_TIME[len(last) :])


def moment_range(text: str) -> tuple[datetime | None, datetime | None]:
    """Give first and last moment, aware UTC, of a value of VR DT in UTC; None where it is open.

    Raises
    ------
    ValueError
        If it is neither a moment, YYYYMMDD with what follows of HHMMSS.FFFFFF, nor a range of
        moments. An offset other than +0000 is none that is understood.
    """
    first, last = _bounds(text)
    begin = _digits(first, "000000000000")
    end = _digits(last, _LATEST_MOMENT)
    _in_order(begin, end)
    return _moment(begin), _moment(end)


def _bounds(text: str) -> tuple[str, str]:
    first, dash, last = text.partition("-")
    first, last = (first.strip(), last.strip()) if dash else (text, text)
    if not first and not last:
        message = "expected a value, or one on a side of the hyphen"
        raise ValueError(message)
    return first, last


def _check_date(text: str) -> None:
    if not re.fullmatch(r"\d{8}", text):
        message = "expected YYYYMMDD"
        raise ValueError(message)
    datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)  # of the calendar


def _in_order(first: str, last: str) -> tuple[str, str]:
    if first and last and first > last:
        message = "ends before it begins"
        raise ValueError(message)
    return first, last


def _digits(text: str, rest: str) -> str:
    """Give the digits of a moment down to its microsecond; what is not said is taken from `rest`.

    Empty for an open end.
    """
    if not text:
        return ""
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        message = "expected YYYYMMDDHHMMSS.FFFFFF or the beginning of it"
        raise ValueError(message)
    said = parts[1] + (parts[2] or "")
    return said + rest[len(said) - 8 :]


def _moment(digits: str) -> datetime | None:
    return datetime.strptime(digits, "%Y%m%d%H%M%S%f").replace(tzinfo=UTC) if digits else None
