"""Ranges as a person types them: of moments, of days, of scores. One grammar wherever one is asked.

``FIRST..LAST``, both included and either end open, or one of these alone:

- ``2026``, ``2026-03``, ``2026-03-01``: that year, month or day; ``today``, ``yesterday``
- ``2026-03-01T14:30``: that minute; with seconds that second; ``Z`` or an offset for other clocks
- ``90min``, ``12h``, ``7d``, ``4w``: so long ago; alone, from then until now

Days begin and end by the clock of this machine, as the tables show them.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import typer

PERIOD_HELP = (
    "a year, month or day (2026-03-01), today, yesterday, so long ago (12h, 7d, 4w), or "
    "FIRST..LAST of these"
)
_INSTANT = timedelta(microseconds=1)
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_UNITS = {"min": _MINUTE, "h": timedelta(hours=1), "d": _DAY, "w": timedelta(weeks=1)}
_AGO = re.compile(rf"(\d{{1,4}})({'|'.join(_UNITS)})", re.ASCII)
_DAYS = re.compile(r"([1-9]\d{3})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From when until when, both included and aware; None: open.

    Attributes
    ----------
    is_of_days
        Whether no time of day was named.
    """

    first: datetime | None = None
    last: datetime | None = None
    is_of_days: bool = True


def read_period(text: str, *, option: str, now: datetime) -> Period:
    """Read a range of moments.

    Parameters
    ----------
    text
        As typed.
    option
        By which it was given; an error names it.
    now
        Aware.

    Raises
    ------
    typer.BadParameter
        If it is none, or ends before it begins.
    """
    first_text, is_range, last_text = text.partition("..")
    if not is_range:
        alone = _point(text, option=option, now=now)
        is_ago = _AGO.fullmatch(text) is not None
        return Period(first=alone.first, last=now, is_of_days=alone.is_of_days) if is_ago else alone
    if not first_text and not last_text:
        raise _not_understood(text, option=option)
    first = _point(first_text, option=option, now=now) if first_text else Period()
    last = _point(last_text, option=option, now=now) if last_text else Period()
    if first.first is not None and last.last is not None and first.first > last.last:
        raise typer.BadParameter(f"{text!r} ends before it begins", param_hint=option)
    return Period(
        first=first.first, last=last.last, is_of_days=first.is_of_days and last.is_of_days
    )


def read_beginning(text: str, *, option: str, now: datetime) -> datetime | None:
    """Read from when on: what has no end, for what goes on.

    Raises
    ------
    typer.BadParameter
        As `read_period`, and for a range that has an end, or no beginning.
    """
    first_text, is_range, last_text = text.partition("..")
    period = read_period(text, option=option, now=now)
    if is_range and (last_text or not first_text):
        raise typer.BadParameter(
            f"Expected a day, a moment, or so long ago; found {text!r}, a range that ends",
            param_hint=option,
        )
    return period.first


def read_days(text: str, *, option: str, now: datetime) -> tuple[str, str]:
    """Read a range of days; give the first and the last as YYYYMMDD, empty where it is open.

    Raises
    ------
    typer.BadParameter
        As `read_period`, and for a time of day.
    """
    period = read_period(text, option=option, now=now)
    if not period.is_of_days:
        raise typer.BadParameter(f"Expected days, found {text!r}, a time of day", param_hint=option)
    first, last = (
        "" if at is None else f"{at.astimezone():%Y%m%d}" for at in (period.first, period.last)
    )
    return first, last


def read_scores(text: str, *, option: str) -> tuple[float | None, float | None]:
    """Read a range of scores, as in ``0.5..``; give both ends, None where it is open.

    Raises
    ------
    typer.BadParameter
        If it is none, leaves [0, 1], or ends before it begins.
    """
    first_text, is_range, last_text = text.partition("..")
    try:
        first = float(first_text) if first_text else None
        last = float(last_text) if last_text else None
    except ValueError:
        first = last = None
    if not is_range or (first is None and last is None):
        expected = f"Expected FIRST..LAST, as in 0.5.. or 0.2..0.4, found {text!r}"
        raise typer.BadParameter(expected, param_hint=option)
    for end in (first, last):
        if end is not None and not 0 <= end <= 1:
            raise typer.BadParameter(
                f"Expected scores in [0, 1], found {text!r}", param_hint=option
            )
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"{text!r} ends before it begins", param_hint=option)
    return first, last


def _point(text: str, *, option: str, now: datetime) -> Period:
    """Read what may stand alone or at either end; it has a length of its own."""
    try:
        if ago := _AGO.fullmatch(text):
            at = now - int(ago[1]) * _UNITS[ago[2]]
            return Period(first=at, last=at, is_of_days=ago[2] in "dw")
        if moment := _MOMENT.fullmatch(text):
            begin = datetime.fromisoformat(text)
            length = timedelta(seconds=1) if moment[1] else _MINUTE
            return _span(begin, begin + length, is_of_days=False)
        today = now.astimezone().replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
        if text in ("today", "yesterday"):
            begin = today if text == "today" else today - _DAY
            return _span(begin, begin + _DAY)
        if named := _DAYS.fullmatch(text):
            return _named_days(*(int(part) for part in named.groups() if part is not None))
    except (ValueError, OverflowError):
        pass
    raise _not_understood(text, option=option)


def _named_days(year: int, month: int | None = None, day: int | None = None) -> Period:
    begin = datetime(year, month or 1, day or 1)  # noqa: DTZ001  # `_span` gives it its zone
    if day is not None:
        return _span(begin, begin + _DAY)
    if month is not None and month < 12:
        return _span(begin, begin.replace(month=month + 1))
    return _span(begin, begin.replace(year=year + 1, month=1))


def _span(begin: datetime, end: datetime, *, is_of_days: bool = True) -> Period:
    """Take moments without a zone for those of this machine's clock; `end` is not included."""
    return Period(first=begin.astimezone(), last=end.astimezone() - _INSTANT, is_of_days=is_of_days)


def _not_understood(text: str, *, option: str) -> typer.BadParameter:
    return typer.BadParameter(f"Expected {PERIOD_HELP}; found {text!r}", param_hint=option)
