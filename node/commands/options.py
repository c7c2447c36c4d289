"""What the commands have in common: options, exit codes, and how an error ends a command."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.errors import ModelError, WeightsError
from node.commands import completion
from node.errors import NodeError, SettingsError, TransientError, UnknownStudy

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What Typer raises for a command line that it does not accept; it exports no name for it."""


class ExitCode(IntEnum):
    """How a command ends; 0 only if all that was asked for was done."""

    SUCCESS = 0
    """Done."""
    FAILURE = 1
    """Not done, or not wholly; standard error says why."""
    USAGE = 2
    """The command line or a setting is not accepted."""
    UNKNOWN_STUDY = 3
    """No study, or more than one, fits what was given."""
    WEIGHTS = 4
    """The weights or their manifest cannot be used."""
    TRY_AGAIN = 5
    """Something that may well work later: a full disk, a busy database, a PACS that is away."""
    INTERRUPTED = 130
    """Ended with Ctrl+C."""


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings file (TOML); without it the one that MAMMONODE_CONFIG names, else the "
        "defaults. MAMMONODE_ variables go before the file.",
    ),
]
JSONOption = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of a table; moments in UTC.")
]
StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Study Instance UID, or an ending of it that only one study has.",
        show_default=False,
        autocompletion=completion.studies,
    ),
]


ByOption = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who asks for it; stands in the log. Without it the user of this machine.",
        show_default=False,
    ),
]


ReasonOption = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="TEXT",
        help="Why; stays in the log for ever. Name no patient in it.",
        show_default=False,
    ),
]


def user_of_this_machine() -> str:
    """Name who runs the command; who came by ``sudo`` is named as who they were before."""
    import pwd  # late, as all that only some commands need

    came_as = os.environ.get("SUDO_USER", "")
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"user {os.getuid()}"
    return f"{came_as} as {name}" if came_as else name


def end_with(code: ExitCode, message: str = "") -> typer.Exit:
    """Print one line to standard error, if there is one, and give what ends the command."""
    if message:
        typer.echo(f"mammonode: {message}", err=True)
    return typer.Exit(code.value)


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """Turn an error that was raised on purpose into one line and an exit code.

    Raises
    ------
    SystemExit
        In place of the error.
    """
    try:
        yield
    except UsageError as error:
        if message := _message_of(error):
            typer.echo(f"mammonode: {message}", err=True)
        raise SystemExit(ExitCode.USAGE) from None
    except (NodeError, ModelError) as error:
        typer.echo(f"mammonode: {error}", err=True)
        raise SystemExit(exit_code_for(error)) from None
    except _database_errors() as error:
        # PostgreSQL puts the values of a row, a Patient ID too, into the lines that follow.
        what = str(getattr(error, "orig", error)).partition("\n")[0].strip()
        typer.echo(f"mammonode: The database does not answer as expected: {what}", err=True)
        raise SystemExit(ExitCode.TRY_AGAIN) from None
    except BrokenPipeError:
        stop_printing()
        raise SystemExit(ExitCode.FAILURE) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # What a command keeps is written by functions that say so themselves: this is its output.
        stop_printing()
        typer.echo(f"mammonode: The output cannot be written: {error.strerror}", err=True)
        raise SystemExit(ExitCode.TRY_AGAIN) from None
    except KeyboardInterrupt:
        raise SystemExit(ExitCode.INTERRUPTED) from None


def stop_printing() -> None:
    """Give up standard output: the reader, as in ``| head``, has enough, at exit too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _message_of(error: Any) -> str:
    """Say what is wrong with a command line, and which command explains itself.

    It is empty where nothing was asked and the help was printed instead.
    """
    message: str = error.format_message()
    if not message or error.ctx is None:
        return message
    stop = "" if message.endswith((".", "?")) else "."
    return f"{message}{stop} `{error.ctx.command_path} --help` tells more."


def _database_errors() -> tuple[type[Exception], ...]:
    """Give what a database driver raises; nothing as long as no command has asked for one."""
    module = sys.modules.get("sqlalchemy.exc")
    return () if module is None else (module.DBAPIError,)


def exit_code_for(error: NodeError | ModelError) -> ExitCode:
    """Say how a command ends that ran into `error`."""
    if isinstance(error, SettingsError):
        return ExitCode.USAGE
    if isinstance(error, UnknownStudy):
        return ExitCode.UNKNOWN_STUDY
    if isinstance(error, WeightsError):
        return ExitCode.WEIGHTS
    if isinstance(error, TransientError):
        return ExitCode.TRY_AGAIN
    return ExitCode.FAILURE


def print_json(answer: object) -> None:
    """Print frozen values as JSON, moments in ISO 8601, UTC."""
    typer.echo(json.dumps(answer, default=as_json_value, indent=2, ensure_ascii=False))


def as_json_value(value: object) -> Any:
    """Give a frozen value as what `json` can print; a moment in ISO 8601, UTC."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if hasattr(value, "model_dump"):  # of pydantic, which not every command needs to load
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def print_view(view: "Callable[[Console], RenderableType]") -> None:
    """Print what is laid out for a terminal; through a pipe without blanks at the ends of lines."""
    console = make_console()
    if console.is_terminal:
        console.print(view(console))
        return
    with console.capture() as captured:
        console.print(view(console))
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def make_console() -> "Console":
    """Give a console for tables: as wide as the terminal, and never folding where there is none.

    Nothing in a text is mark-up: an AE title is what a peer says it is, ``[/b]`` too.
    """
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 10_000
    return console


@contextmanager
def progress_bar(what: str, total: int, *, is_shown: bool) -> Iterator[Callable[[], None]]:
    """Show a bar on standard error while a person waits; give what moves it on by one."""
    if not is_shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
