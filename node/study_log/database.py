"""The database of the study log: its engine, its transactions and its migrations.

SQLite in the data folder is the default, PostgreSQL the choice for several machines. On both, a
writing transaction sees no row that another one is about to change: on SQLite it takes the one
write lock before its first statement (``BEGIN IMMEDIATE``: by default SQLAlchemy takes none for a
SELECT, and a study was closed with four of its five instances that way), on PostgreSQL it locks the
study's row (`lock_study`).
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from node.errors import PermanentError
from node.settings import Settings
from node.study_log.tables import Study

if TYPE_CHECKING:
    from alembic.config import Config

logger = logging.getLogger(__name__)

SQLITE_FILE = "mammonode.sqlite"
BUSY_TIMEOUT_S = 30
CHECKPOINT_WAIT_S = 2
"""For those who read the write-ahead log; nobody else writes meanwhile."""
CONNECT_TIMEOUT_S = 10
"""For a PostgreSQL server to answer; by default a silent one would be waited for over minutes."""
MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "study_log_version"
"""Ours; the durable engine keeps its own tables and versions in the same database."""

_WRITES = "mammonode_writes"


def database_url(settings: Settings) -> str:
    """Give the SQLAlchemy URL that the settings mean, with its password in it.

    Parameters
    ----------
    settings
        `[database] url`; empty: a SQLite file in `data_dir`.
    """
    if settings.database.url:
        return settings.database.url
    return sqlite_url(settings.data_dir.resolve() / SQLITE_FILE)


def sqlite_url(path: Path) -> str:
    """Give the SQLAlchemy URL of a SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def has_database(settings: Settings) -> bool:
    """Say whether there is a database to open: one on a server, or a SQLite file."""
    return bool(settings.database.url) or (settings.data_dir / SQLITE_FILE).exists()


class Database:
    """The study log's database: sessions to read, sessions to write, migrations.

    Parameters
    ----------
    url
        SQLAlchemy URL of a SQLite file or a PostgreSQL database (psycopg).

    Attributes
    ----------
    engine
        For readers and for the durable engine's own use.
    """

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(url, **_engine_options(url))
        self._is_sqlite = self.engine.dialect.name == "sqlite"
        if self._is_sqlite:
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        self._write = sessionmaker(
            self.engine.execution_options(**{_WRITES: True}), expire_on_commit=False
        )
        # SQLite's busy handler polls with growing waits and serves nobody in turn. Inside one
        # process a lock does, and the busy time-out is left for other processes.
        self._turn = threading.Lock() if self._is_sqlite else nullcontext()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the database that the settings name; makes `data_dir` if it is not there."""
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return cls(database_url(settings))

    @property
    def has_one_writer(self) -> bool:
        """Whether a writing transaction keeps all others away, and not from its study alone."""
        return self._is_sqlite

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that sees one moment of the log and changes nothing.

        What was loaded can be read afterwards too; what was not loaded by then cannot.
        """
        with self._read() as session:
            yield session
            session.expunge_all()  # the end of the transaction would empty them

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session whose transaction is committed at the end, or rolled back on an error.

        When the block has ended without an error, what it wrote is on the disk.

        Raises
        ------
        sqlalchemy.exc.OperationalError
            If another process holds the write lock for longer than ``BUSY_TIMEOUT_S``.
        """
        with self._turn, self._write.begin() as session:
            yield session

    def migrate(self) -> None:
        """Bring the tables to the newest version; does nothing if they are there already.

        Raises
        ------
        PermanentError
            If the database was last written by a newer version of the node.
        """
        # Imported late, here and below: who only looks at the log need not wait for it.
        from alembic import command
        from alembic.script.revision import ResolutionError
        from alembic.util import CommandError

        config = _alembic_config()
        options = {_WRITES: True}
        with self._turn, self.engine.execution_options(**options).begin() as connection:
            _lock_for_migration(connection)
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except (CommandError, ResolutionError) as error:
                raise PermanentError(
                    reason="The database was written by a newer version of mammonode "
                    f"({error}). Install that version, or name another database."
                ) from error
        logger.info(
            "Database is up to date",
            extra={"event": "database_migrated", "version": newest_version()},
        )

    def version(self) -> str | None:
        """Give the version of the tables that are there; None if there are none.

        Raises
        ------
        sqlalchemy.exc.DBAPIError
            If the database does not answer.
        """
        with self.engine.connect() as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return None
            statement = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608  # a constant
            version = connection.scalar(statement)
            return None if version is None else str(version)

    def empty_write_ahead_log(self) -> bool:
        """Leave nothing of older values beside the SQLite file; PostgreSQL sees to that itself.

        Returns
        -------
        is_empty
            False if others read or wrote for longer than ``CHECKPOINT_WAIT_S``: then what they read
            stays there until it is written over.
        """
        if not self._is_sqlite:
            return True
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {CHECKPOINT_WAIT_S * 1000}")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            row = cursor.fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
        finally:
            connection.close()
        return row is not None and row[0] == 0

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()


def newest_version() -> str:
    """Give the version of the tables that this code writes; its migrations are counted."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def lock_study(session: Session, study_instance_uid: str) -> Study | None:
    """Find a study and keep every other writing transaction away from it until the end of this one.

    Parameters
    ----------
    session
        Of `Database.writing`.
    study_instance_uid
        Study Instance UID (0020,000D).
    """
    statement = (
        select(Study)
        .where(Study.study_instance_uid == study_instance_uid)
        .with_for_update()  # left out on SQLite, where the transaction has the database to itself
        .execution_options(populate_existing=True)
    )
    return session.scalars(statement).one_or_none()


def _engine_options(url: str) -> dict[str, Any]:
    # An error's text quotes the statement; the values in it may be a patient's.
    options: dict[str, Any] = {"hide_parameters": True}
    if url.startswith("sqlite"):
        # Readers never wait for a connection; writers take turns before they ask for one.
        return options | {"connect_args": {"timeout": BUSY_TIMEOUT_S}, "max_overflow": -1}
    return options | {
        "connect_args": {"connect_timeout": CONNECT_TIMEOUT_S},
        "pool_pre_ping": True,
        "max_overflow": 20,
    }


def _set_up_sqlite(dbapi_connection: Any, _entry: ConnectionPoolEntry) -> None:
    """Prepare a new SQLite connection: the driver must never begin a transaction by itself."""
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What a row said of a patient is overwritten with zeros where it is deleted or replaced.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _lock_for_migration(connection: Connection) -> None:
    """Let one process migrate at a time; on SQLite the transaction alone sees to that."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7093002001)")


def _alembic_config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
