"""The two databases of a study log for tests: SQLite, and a PostgreSQL of the run's own.

Making the tables takes seconds: each kind makes them once, both schemas, ours and that of the
durable engine. A SQLite file is copied for every test. A PostgreSQL database is emptied after the
test and lent again, which takes a twentieth of the time of making another one.
"""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from node.study_log.database import Database
from node.work_queue import WorkQueue
from validators import require_peer

_numbers = itertools.count(1)


class PostgresqlLogs:
    """Empty study logs in one PostgreSQL server, each a database of its own.

    Parameters
    ----------
    server_url
        SQLAlchemy URL of a database that its user may make others beside.
    """

    def __init__(self, server_url: str) -> None:
        self._server_url = make_url(server_url)
        self._server = create_engine(server_url, isolation_level="AUTOCOMMIT")
        self._free: list[str] = []

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        """Give the URL of an empty log, and empty it again afterwards."""
        if self._free:
            url = self._free.pop()
        else:
            url = self._create()
            make_tables(url)
        yield url
        self._end_connections(url)
        empty_tables(url)
        self._free.append(url)

    @contextlib.contextmanager
    def without_tables(self) -> Iterator[str]:
        """Give the URL of a database that nothing was ever written to, and drop it afterwards."""
        url = self._create()
        try:
            yield url
        finally:
            with self._server.connect() as connection:
                connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))

    def close(self) -> None:
        """Give the connections back."""
        self._server.dispose()

    def _create(self) -> str:
        name = f"log_{next(_numbers)}"
        with self._server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return self._server_url.set(database=name).render_as_string(hide_password=False)

    def _end_connections(self, url: str) -> None:
        """End what a thread that outlives its test would write."""
        with self._server.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
                ),
                {"name": make_url(url).database},
            )


def empty_tables(url: str) -> None:
    """Delete every row but those that making the tables leaves: versions and the two queues."""
    engine = create_engine(url)
    with engine.begin() as connection:
        # Foreign keys are triggers, which this sleeps through: no order has to be kept.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        tables = connection.scalars(
            text(
                "SELECT schemaname || '.' || tablename FROM pg_tables "
                "WHERE schemaname IN ('public', 'dbos') AND tablename NOT IN "
                "('study_log_version', 'dbos_migrations', 'queues')"
            )
        ).all()
        sequences = connection.scalars(
            text(
                "SELECT schemaname || '.' || sequencename FROM pg_sequences "
                "WHERE last_value IS NOT NULL AND schemaname = 'public'"
            )
        ).all()
        statements = [f"DELETE FROM {table}" for table in tables]
        statements += [f"ALTER SEQUENCE {sequence} RESTART" for sequence in sequences]
        connection.exec_driver_sql("; ".join(statements))
    engine.dispose()


class SqliteLogs:
    """Empty study logs as SQLite files.

    Parameters
    ----------
    folder
        For the one that the others are copies of.
    """

    def __init__(self, folder: Path) -> None:
        self._template = folder / "empty.sqlite"
        make_tables(f"sqlite:///{self._template}")

    def fresh(self, folder: Path) -> str:
        """Put an empty log into a folder, and give its URL."""
        path = folder / f"log-{next(_numbers)}.sqlite"
        shutil.copy(self._template, path)
        return f"sqlite:///{path}"


def make_tables(url: str) -> None:
    """Make both schemas in an empty database, as ``mammonode serve`` does."""
    database = Database(url)
    database.migrate()
    database.close()
    queue = WorkQueue(url)
    queue.migrate()
    queue.close()


@contextlib.contextmanager
def running_postgresql() -> Iterator[str]:
    """Start Debian's PostgreSQL on loopback with a data folder of its own, and end it.

    Yields
    ------
    url
        SQLAlchemy URL of its database ``postgres``, for a user who may do everything.
    """
    # Debian puts the server's programs where only the newest version is looked for.
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = folders[-1] if folders else require_peer("postgres").parent
    # PostgreSQL refuses to run as root, and another user cannot enter pytest's folders.
    is_root = os.geteuid() == 0
    as_user = ["runuser", "-u", "postgres", "--"] if is_root else []
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if is_root:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The locale decides how text is sorted; C sorts as SQLite does.
    layout = ["-U", "node", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(
        [*as_user, str(programs / "initdb"), "-D", str(data), *layout],
        check=True,
        capture_output=True,
        cwd="/",
    )
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
        "-c fsync=off -c max_connections=200"
    )
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    subprocess.run(
        [*control, "-l", str(folder / "log"), "-o", options, "start"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        yield f"postgresql+psycopg://node@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [*control, "-m", "immediate", "stop"],
            check=False,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
