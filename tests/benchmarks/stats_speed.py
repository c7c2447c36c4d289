"""How long ``mammonode stats`` takes as a whole process, in a log of many studies.

``PYTHONPATH=tests python tests/benchmarks/stats_speed.py``
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from large_logs import NEWEST_AT, fill_log
from node.settings import Settings
from node.study_log.database import Database

RUNS = 3


def main() -> None:
    """Fill a log, or use the one of an earlier run, and print the median of each range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--data-dir", type=Path, help="keep the log here, and use it again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder: Path = arguments.data_dir or Path(scratch)
        is_filled = folder.is_dir() and any(folder.iterdir())
        database = Database.open(Settings(data_dir=folder))
        if not is_filled:
            database.migrate()
            fill_log(database, arguments.studies)
        database.close()
        month_ago = f"{NEWEST_AT - timedelta(days=30):%Y-%m-%d}"
        for name, received in (("30 days", f"{month_ago}.."), ("all", "2000..")):
            times = [_run(folder, received) for _ in range(RUNS)]
            spread = f"{min(times):.1f} to {max(times):.1f}"
            print(f"{name}: {statistics.median(times):.1f} s, median of {RUNS} ({spread})")


def _run(folder: Path, received: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "node", "stats", "--received", received],
        check=True,
        env=os.environ | {"MAMMONODE_DATA_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
