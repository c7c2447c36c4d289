"""The study log from one database into another, row by row and whole or not at all."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Table, func, insert, inspect, select, text
from sqlalchemy.orm import Session

from node.errors import PermanentError
from node.study_log.database import Database
from node.study_log.tables import Base, Worker

ROWS_AT_ONCE = 1000


def copied_tables() -> list[Table]:
    """List what makes up the log, each table after those that it refers to.

    The signs of life of workers stay behind: their processes belong to the database that they ran
    with.
    """
    return [table for table in Base.metadata.sorted_tables if table.name != Worker.__tablename__]


def tables_with_rows(database: Database) -> list[str]:
    """List the tables of a log that hold anything; none if the database has none of them."""
    with database.reading() as session:
        there = inspect(session.connection()).get_table_names()
        return [
            table.name
            for table in copied_tables()
            if table.name in there and _count(session, table) > 0
        ]


def copy_log(source: Database, target: Database) -> dict[str, int]:
    """Copy every row, in one transaction that is committed when both sides count the same.

    Parameters
    ----------
    source
        The log to copy; nobody writes to it.
    target
        A log with the same tables and no rows.

    Returns
    -------
    counts
        Rows by table.

    Raises
    ------
    PermanentError
        If the counts differ; nothing has been copied then.
    """
    counts = {}
    with source.reading() as reading, target.writing() as writing:
        for table in copied_tables():
            for rows in _batches(reading, table):
                writing.execute(insert(table), rows)
            counts[table.name] = _count(writing, table)
            _let_numbers_go_on(writing, table)
            expected = _count(reading, table)
            if counts[table.name] != expected:
                raise PermanentError(
                    reason=f"Expected {expected} rows of {table.name} to arrive, found "
                    f"{counts[table.name]}. Nothing was copied: does anything write to either?"
                )
    return counts


def _batches(session: Session, table: Table) -> Iterator[list[Mapping[str, Any]]]:
    order = list(table.primary_key.columns)
    rows = session.execute(select(table).order_by(*order).execution_options(yield_per=ROWS_AT_ONCE))
    for part in rows.mappings().partitions():
        yield [dict(row) for row in part]


def _count(session: Session, table: Table) -> int:
    return session.execute(select(func.count()).select_from(table)).scalar_one()


def _let_numbers_go_on(session: Session, table: Table) -> None:
    """Let the next row get the number after the last one; SQLite sees to that by itself."""
    if session.get_bind().dialect.name != "postgresql":
        return
    last = session.scalar(select(func.max(table.c.id)))
    if last is not None:
        statement = text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :last)")
        session.execute(statement, {"table": table.name, "last": last})
