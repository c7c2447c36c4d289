"""Moments as numbers and days, so that either database can count them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, SQLColumnExpression, case
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

_DAY_S = 86_400
_STEP = timedelta(hours=12)
"""No time zone changes its clocks twice in it."""


class epoch_s(GenericFunction[float]):  # noqa: N801  # it is a function of SQL
    """Seconds since 1970 of a moment, to a tenth of a millisecond."""

    type = Double()
    inherit_cache = True


class whole_epoch_s(GenericFunction[int]):  # noqa: N801  # it is a function of SQL
    """Whole seconds since 1970 of a moment."""

    type = BigInteger()
    inherit_cache = True


def local_day(
    moment: SQLColumnExpression[datetime], *, first: datetime, last: datetime
) -> ColumnElement[int]:
    """Say on which day a moment is, in the time zone of this machine, which no database knows.

    Parameters
    ----------
    moment
        A column.
    first, last
        Between which all its values lie, aware.

    Returns
    -------
    day
        Days since 1970-01-01, for `day_name`.
    """
    (_, offset_s), *changes = _offsets(first, last)
    whens = [(moment >= at, changed_s) for at, changed_s in reversed(changes)]
    shift: Any = case(*whens, else_=offset_s) if whens else offset_s
    day: ColumnElement[int] = (whole_epoch_s(moment) + shift) // _DAY_S
    return day


def day_name(day: int) -> str:
    """Write a day of `local_day` as YYYY-MM-DD."""
    return f"{datetime.fromtimestamp(day * _DAY_S, UTC):%Y-%m-%d}"


def _offsets(first: datetime, last: datetime) -> list[tuple[datetime, int]]:
    """List from when on the clocks of this machine are how many seconds ahead of UTC."""
    offsets = [(first, _offset_s(first))]
    at = first
    while at < last:
        following = at + _STEP
        if _offset_s(following) != offsets[-1][1]:
            offsets.append((_change_between(at, following), _offset_s(following)))
        at = following
    return offsets


def _change_between(before: datetime, after: datetime) -> datetime:
    """Find the second from which the offset is that of `after`."""
    low, high = int(before.timestamp()), int(after.timestamp())
    offset_s = _offset_s(after)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_s(datetime.fromtimestamp(middle, UTC)) == offset_s:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


def _offset_s(moment: datetime) -> int:
    offset = moment.astimezone().utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _argument(element: GenericFunction[Any], compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(next(iter(element.clauses)), **options)


@compiles(epoch_s, "sqlite")
def _epoch_of_sqlite(element: epoch_s, compiler: SQLCompiler, **options: Any) -> str:
    # 1970 began at Julian day 2440587.5.
    return f"((julianday({_argument(element, compiler, **options)}) - 2440587.5) * {_DAY_S}.0)"


@compiles(epoch_s, "postgresql")
def _epoch_of_postgresql(element: epoch_s, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(extract(epoch FROM {_argument(element, compiler, **options)}) AS float8)"


@compiles(whole_epoch_s, "sqlite")
def _whole_of_sqlite(element: whole_epoch_s, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(strftime('%s', {_argument(element, compiler, **options)}) AS INTEGER)"


@compiles(whole_epoch_s, "postgresql")
def _whole_of_postgresql(element: whole_epoch_s, compiler: SQLCompiler, **options: Any) -> str:
    moment = _argument(element, compiler, **options)
    return f"CAST(floor(extract(epoch FROM {moment})) AS bigint)"
