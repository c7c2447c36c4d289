"""Commands: ``fit``, ``evaluate``, ``export``; parses, calls, prints."""

import argparse
import logging
import sys
from pathlib import Path

from training.datasets import rsna
from training.settings import read_settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        As on the command line; those of the process where it is None.

    Returns
    -------
    exit_code
        0 on success.
    """
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("command", choices=("fit", "evaluate", "export"))
    parser.add_argument("--config", type=Path, default=Path("config/training.toml"))
    parser.add_argument("--data", type=Path, help="folder of the data set")
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument("--start-weights", help="'imagenet' or a weights file")
    parser.add_argument("--to", type=Path, default=Path("model/weights"), help="export to here")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    settings = read_settings(
        options.config,
        data_folder=options.data,
        out_folder=options.out,
        start_weights=options.start_weights,
    )
    data_set = rsna.read(settings.data_folder)
    if options.command == "fit":
        from training.fit import fit

        choice = fit(data_set, settings)
        sys.stdout.write(
            f"{choice.candidate}: validation image AUC {choice.validation_image_auc:.3f}\n"
        )
    elif options.command == "evaluate":
        from training.evaluate import evaluate

        sys.stdout.write(evaluate(data_set, settings).figures.test.model_dump_json(indent=2) + "\n")
    else:
        from training.export import export

        manifest = export(data_set, settings, options.to)
        sys.stdout.write(f"{manifest.name} {manifest.version}: {manifest.sha256}\n")
    return 0
