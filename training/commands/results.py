"""``evaluate``, ``compare``: what weights reach; ``export``, ``reference``: what a node loads."""

from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from model.manifest import Interval, read_manifest
from training.commands.options import (
    ConfigOption,
    DataOption,
    DataSetOption,
    OutOption,
    SetOption,
    load_keras,
    settings_of,
)
from training.datasets import Split
from training.run_data import data_set_of


class SplitChoice(StrEnum):
    """Which images of a data set are evaluated."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    ALL = "all"


def evaluate(
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="DIR",
            help="Evaluate these weights, exported or of an evaluated run, on any data set. "
            "Without it, those of the run.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        SplitChoice,
        typer.Option("--split", help="With --weights: which images of the data set."),
    ] = SplitChoice.TEST,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="With --weights: folder for the report, the figures and the scores.",
            show_default="evaluations/WEIGHTS-VERSION-on-DATA-SET-SPLIT",
        ),
    ] = None,
    config: ConfigOption = None,
    data_set: DataSetOption = None,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
) -> None:
    """Measure a run on its held-out splits, or any weights on any data set, and write a report.

    Of a run, validation chooses calibration and operating point, and the test split is scored once.
    """
    settings = settings_of(config, changes, data_set=data_set, data=data, out=out)
    table = data_set_of(settings)
    load_keras()
    from training import evaluate as evaluating

    if weights is None:
        evaluating.evaluate(table, settings)
        folders = [
            settings.out_folder / evaluating.EVALUATION_FOLDER / name
            for name in evaluating.HELD_OUT
        ]
    else:
        manifest = read_manifest(weights)
        name = f"{manifest.name}-{manifest.version}"
        folder = to or Path("evaluations") / f"{name}-on-{settings.data_set}-{split}"
        evaluating.evaluate_weights(
            weights,
            table,
            data_folder=settings.data_folder,
            split=None if split is SplitChoice.ALL else Split(split),
            to=folder,
        )
        folders = [folder]
    for folder in folders:
        _print_evaluation(folder)


def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="Folder of an evaluation.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another, of the same images.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how far two evaluations of the same images differ, B less A, with intervals."""
    load_keras()
    from training.evaluation.compare import compare as differences
    from training.evaluation.figures import TITLES

    found = differences(one, other)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    typer.echo(f"A: {found.one}\nB: {found.other}\n{found.patients} patients")
    table = Table("", "by", "A", "B", "B − A, 95 % interval", box=SIMPLE)
    for row in found.differences:
        if row.difference is not None:
            table.add_row(
                TITLES[row.figure],
                row.level,
                f"{row.one:.3f}",
                f"{row.other:.3f}",
                in_words(row.difference, signed=True),
            )
    Console().print(table)


def export(
    to: Annotated[
        Path,
        typer.Option("--to", metavar="DIR", help="Folder for weights, manifest, card and licence."),
    ] = Path("model/weights"),
    config: ConfigOption = None,
    data_set: DataSetOption = None,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
) -> None:
    """Write the folder that a node loads: weights, manifest, model card and licence."""
    settings = settings_of(config, changes, data_set=data_set, data=data, out=out)
    table = data_set_of(settings)
    load_keras()
    from training.export import export as write

    manifest = write(table, settings, to)
    typer.echo(f"{manifest.name} {manifest.version}: {manifest.sha256}")


def reference(
    weights: Annotated[
        Path, typer.Option("--weights", metavar="DIR", help="Folder of exported weights.")
    ] = Path("model/weights"),
    config: ConfigOption = None,
    data_set: DataSetOption = None,
    data: DataOption = None,
    changes: SetOption = None,
) -> None:
    """Add to exported weights what a node tells drift by; new exports have it already.

    The data set is the one they were trained on: its validation split is scored again.
    """
    settings = settings_of(config, changes, data_set=data_set, data=data)
    table = data_set_of(settings)
    load_keras()
    from training.reference import add_reference

    with TemporaryDirectory(prefix="reference-") as cache:
        manifest = add_reference(weights, table, Path(cache))
    found = manifest.reference
    if found is not None:
        typer.echo(
            f"{manifest.name} {manifest.version}: {found.images} images of {found.patients} "
            f"patients, {1 + len(found.image_statistics)} distributions"
        )


def in_words(interval: Interval | None, *, signed: bool = False) -> str:
    """Write a value with its interval."""
    if interval is None:
        return "not defined"
    sign = "+" if signed else ""
    return f"{interval.value:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"


def _print_evaluation(folder: Path) -> None:
    """Print the few figures that are looked for first, and where the others are."""
    from training.evaluation.report import REPORT_FILE, read_evaluation

    evaluation = read_evaluation(folder)
    measured = evaluation.measured
    typer.echo(f"{evaluation.data_set}, {evaluation.split}: {measured.patients} patients")
    for level in measured.levels:
        typer.echo(f"  AUC by {level.level}: {in_words(level.figures['auc'])}")
    typer.echo(f"  control, AUC by image: {in_words(measured.control_auc)}")
    if evaluation.pointing_game is not None:
        game = evaluation.pointing_game
        typer.echo(f"  pointing game: {in_words(game.hit_rate)}; chance {game.chance.value:.3f}")
    for caution in evaluation.cautions:
        typer.echo(f"  {caution}")
    typer.echo(f"  {folder / REPORT_FILE}")
