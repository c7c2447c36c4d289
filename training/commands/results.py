"""``evaluate``, ``export``: what weights reach, and the folder that a node loads."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import (
    ConfigOption,
    DataOption,
    DataSetOption,
    OutOption,
    SetOption,
    data_set_of,
    load_keras,
    settings_of,
)


def evaluate(
    config: ConfigOption = None,
    data_set: DataSetOption = None,
    data: DataOption = None,
    out: OutOption = None,
    changes: SetOption = None,
) -> None:
    """Choose calibration and operating point on validation, then score the test split once."""
    settings = settings_of(config, changes, data_set=data_set, data=data, out=out)
    table = data_set_of(settings)
    load_keras()
    from training.evaluate import evaluate as measure

    typer.echo(measure(table, settings).figures.test.model_dump_json(indent=2))


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
