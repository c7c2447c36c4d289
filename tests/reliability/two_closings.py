"""1,000 times on each database: the last view arrives at the very moment of close-out.

Ends with 1 if a study was closed without an instance that had been acknowledged before, if a view
is in no revision, or if a revision was queued never or twice. PostgreSQL: Debian's package.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import Bench
from closings import ClosingRace, Figures
from databases import PostgresqlLogs, running_postgresql


def main() -> int:
    """Run the rounds and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000, help="on each database (default 1000)")
    parser.add_argument("--seed", type=int, default=5, help="of the moments (default 5)")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = [_run("SQLite", Bench(folder, data="sqlite"), options)]
        with running_postgresql() as server_url:
            logs = PostgresqlLogs(server_url)
            with logs.fresh() as url:
                bench = Bench(folder, url=url, data="postgresql")
                found.append(_run("PostgreSQL", bench, options))
            logs.close()
    return 1 if any(figures.violations for figures in found) else 0


def _run(name: str, bench: Bench, options: argparse.Namespace) -> Figures:
    race = ClosingRace(bench, seed=options.seed)
    begun_s = time.perf_counter()
    figures = race.run(
        options.rounds,
        told=lambda number: number % 100 == 0 and print(f"  {name}: {number}", flush=True),
    )
    took_s = time.perf_counter() - begun_s
    race.close()
    bench.close()
    print(
        f"{name}: {figures.rounds} rounds in {took_s:.0f} s; closed with the last view "
        f"{figures.with_last_view}, closed before it {figures.before_last_view}; close-outs that "
        f"met {figures.close_outs_met}; violations {len(figures.violations or ())}",
        flush=True,
    )
    for violation in figures.violations or ():
        print(f"  {violation}", flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
