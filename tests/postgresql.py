"""A real PostgreSQL for tests: Debian's server on loopback, and a new database for each test."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

from validators import require_peer


@contextlib.contextmanager
def running_postgresql() -> Iterator[str]:
    """Run a PostgreSQL of the tests' own, and give the URL of its first database."""
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
    subprocess.run(
        [
            *as_user,
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "node",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ],
        check=True,
        capture_output=True,
        cwd="/",
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
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
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, cwd="/")
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def new_database(server_url: str) -> str:
    """Make an empty database on a server, and give its URL."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)
