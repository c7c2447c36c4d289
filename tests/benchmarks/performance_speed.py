"""How long ``mammonode outcomes import`` and ``performance`` take, as whole processes.

``PYTHONPATH=tests python tests/benchmarks/performance_speed.py``
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from databases import make_tables
from node.settings import Settings
from node.study_log.database import Database, database_url
from simulated_year import STUDIES, draw_year, write_outcomes, write_studies

RUNS = 3


def main() -> None:
    """Write a simulated year into a log, import its outcomes, measure, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "data"
        folder.mkdir()
        settings = Settings(data_dir=folder)
        make_tables(database_url(settings))
        database = Database(database_url(settings))
        year = draw_year(studies=arguments.studies)
        write_studies(year, database)
        database.close()
        file = Path(scratch) / "outcomes.csv"
        print(f"{arguments.studies:,} studies, {write_outcomes(year, file):,} rows of outcomes")
        for name, runs, command in (
            ("import", 1, ("outcomes", "import", str(file))),
            ("import of the same", RUNS, ("outcomes", "import", str(file))),
            ("performance", RUNS, ("performance",)),
        ):
            times = [_run(folder, command) for _ in range(runs)]
            clock, processor = (statistics.median(kind) for kind in zip(*times, strict=True))
            print(f"{name}: {clock:.1f} s, {processor:.1f} s of processor time, median of {runs}")


def _run(folder: Path, command: tuple[str, ...]) -> tuple[float, float]:
    """Run a command; gives its time by the clock and its processor time, in seconds."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "node", *command],
        check=True,
        env=os.environ | {"MAMMONODE_DATA_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, processor


if __name__ == "__main__":
    main()
