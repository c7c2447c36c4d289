"""``fit``: the run that makes weights."""

import typer

from training.commands.options import (
    ConfigOption,
    DataOption,
    DataSetOption,
    OutOption,
    SetOption,
    StartWeightsOption,
    data_set_of,
    load_keras,
    settings_of,
)


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

    choice = run(table, settings)
    typer.echo(f"{choice.candidate}: validation image AUC {choice.validation_image_auc:.3f}")
