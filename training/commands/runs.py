"""``preview``, ``fit``: what the network will be shown, and the run that makes weights."""

from pathlib import Path
from typing import Annotated

import typer

from training.commands.options import (
    ConfigOption,
    DataOption,
    DataSetOption,
    ExitCode,
    OutOption,
    SetOption,
    StartWeightsOption,
    load_keras,
    settings_of,
)
from training.run_data import data_set_of


def fit(
    config: ConfigOption = None,
    data_set: DataSetOption = None,
    data: DataOption = None,
    out: OutOption = None,
    start_weights: StartWeightsOption = None,
    changes: SetOption = None,
) -> None:
    """Train, and leave the weights that validation chose in the folder of the run.

    The same command again goes on from the last whole epoch of a run that was interrupted.
    """
    settings = settings_of(
        config, changes, data_set=data_set, data=data, out=out, start_weights=start_weights
    )
    table = data_set_of(settings)
    load_keras()
    from training.fit import fit as run

    try:
        choice = run(table, settings)
    except KeyboardInterrupt:
        typer.echo(
            f"training: interrupted; the whole epochs are kept in {settings.out_folder}, and the "
            "same command goes on from there",
            err=True,
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    typer.echo(f"{choice.candidate}: validation image AUC {choice.validation_image_auc:.3f}")


def preview(
    to: Annotated[Path, typer.Option("--to", metavar="PNG", help="Where the sheet goes.")] = Path(
        "preview.png"
    ),
    images: Annotated[int, typer.Option("--images", min=1, max=50, help="Rows.")] = 6,
    twins: Annotated[
        int, typer.Option("--twins", min=1, max=20, help="Bent copies of each image.")
    ] = 6,
    config: ConfigOption = None,
    data_set: DataSetOption = None,
    data: DataOption = None,
    changes: SetOption = None,
) -> None:
    """Draw training images beside copies bent by the augmentation of the settings."""
    settings = settings_of(config, changes, data_set=data_set, data=data)
    table = data_set_of(settings)
    load_keras()
    from training.preview import write_preview

    write_preview(table, settings, to, images=images, twins=twins)
    typer.echo(f"{to}: {images} images and {twins} twins of each")
