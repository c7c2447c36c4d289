"""``mammonode database``: its tables to this version, and the study log into another database."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.options import ConfigOption, ExitCode, JSONOption, end_with, print_json

if TYPE_CHECKING:
    from node.settings import DatabaseSettings
    from node.upgrade import Schemas

app = typer.Typer(
    help="Bring the database up to date, or copy the study log into another one.",
    no_args_is_help=True,
)


@app.command(
    epilog="Examples:\n\nmammonode database upgrade --check\n\n"
    "mammonode database upgrade --config /etc/mammonode/node.toml"
)
def upgrade(
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; end with 1 if there is anything to do."),
    ] = False,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Bring the tables of the study log and of the queue to this version.

    Work that an older version queued is carried over. `mammonode serve` does the same at every
    start. It needs a node that is stopped; make a backup before.
    """
    from node.settings_loading import load_settings
    from node.store import Store
    from node.upgrade import look, migrate

    settings = load_settings(config)
    before = look(settings)
    after = before
    if not check:
        with Store(settings.data_dir).alone():
            migrate(settings)
        after = look(settings)
    is_newest = after is not None and after.is_newest
    if as_json:
        print_json({"is_newest": is_newest, "before": before, "after": after})
    else:
        typer.echo("\n".join(_lines(before, is_checked_only=check)))
    if not is_newest:
        raise end_with(ExitCode.FAILURE)


@app.command(
    epilog="Example:\n\nmammonode database copy --to postgresql+psycopg://mammonode@db1/mammonode"
)
def copy(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="URL",
            help="An empty PostgreSQL database, as postgresql+psycopg://user@host/name. Put the "
            "password into PGPASSWORD or a .pgpass file: a command line can be read by others.",
            show_default=False,
        ),
    ],
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Copy the study log from the SQLite file of the data folder into a PostgreSQL database.

    It needs a node that is stopped, a queue that is drained and a database that is empty, and
    copies all or nothing. Images and results stay where they are. Then set [database] url and
    start the node: it goes on where it was.
    """
    from node.relocate import copy_to_postgresql
    from node.settings_loading import load_settings

    settings = load_settings(config)
    copied = copy_to_postgresql(settings, _target(to))
    if as_json:
        print_json(copied)
        return
    for table, count in copied.rows.items():
        typer.echo(f"{table}: {count} rows")
    typer.echo(f"Copied. Set [database] url to {copied.target}, with its password, and start.")


def _target(url: str) -> "DatabaseSettings":
    """Check the URL as the settings do; what was given may hold a password and is not repeated."""
    from pydantic import ValidationError

    from node.errors import SettingsError
    from node.settings import DatabaseSettings

    try:
        target = DatabaseSettings(url=url)
    except ValidationError:
        target = DatabaseSettings()
    if not target.url:
        raise SettingsError(
            key="--to", found="another URL", accepted="postgresql+psycopg://user@host/name"
        )
    return target


def _lines(schemas: "Schemas | None", *, is_checked_only: bool) -> list[str]:
    """Say what there is or was to do."""
    if schemas is None:
        return ["There is no database yet." if is_checked_only else "The tables have been made."]
    lines = [
        f"study log: {schemas.study_log or 'no tables'} -> {schemas.newest_study_log}"
        if schemas.study_log != schemas.newest_study_log
        else f"study log: {schemas.study_log} is the newest version",
        f"queue: {schemas.queue or 'no tables'} -> {schemas.newest_queue}"
        if schemas.queue < schemas.newest_queue
        else f"queue: {schemas.queue} is the newest version",
    ]
    if schemas.older_work:
        to_be = "to be " if is_checked_only else ""
        lines.append(f"work of another version: {schemas.older_work} {to_be}carried over")
    return lines
