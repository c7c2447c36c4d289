"""How long ``mammonode studies list`` and ``stats`` take as whole processes, on 100,000 studies.

The log is made by `large_logs.fill_log` on SQLite. Each question is asked in a process of its own,
from its start to its end, several times; the questions take turns, so that a busy moment of the
machine hits all alike. With ``--plans`` it also prints by which indices SQLite finds the answers.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

QUESTIONS = (
    "",
    "--page 4000",
    "--state failed",
    "--state completed --page 3000",
    "--received 2025-06",
    "--study-date 2025-06-01..2025-06-15 --sort study-date",
    "--patient-id P0020000",
    "--patient-id P00200*",
    "--patient-name zhang^z*",
    "--accession A000050000",
    "--ae-title MOBILE1",
    "--score 0.8..",
    "--call suspicious",
    "--call suspicious --sort score --page 300",
    "--model-version 9.*",
    "--sort score",
    "--sort score --reverse --page 4000",
    "--sort ae-title",
    "--sort state --csv",
    "--limit 200 --json",
)
TARGET_S = 0.7
"""Of a list."""
SUMS = ("stats --received 2026-01-30..2026-02-28", "stats --received 2000..")
"""A month and everything: seconds, not tenths of one."""


def main() -> int:
    """Run the benchmark and print its figures; 1 if a median is above the target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=100_000, help="in the log (default 100000)")
    parser.add_argument("--repeats", type=int, default=5, help="of each question (default 5)")
    parser.add_argument("--plans", action="store_true", help="print SQLite's query plans too")
    parser.add_argument(
        "--folder", type=Path, help="data folder: made if it is not there, else asked as it is"
    )
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1]))

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not (folder / "mammonode.sqlite").exists():
            _make_log(folder, options.studies)
        if options.plans:
            _print_plans(folder)
        lists = [f"studies list {question}" for question in QUESTIONS]
        taken: dict[str, list[tuple[float, float]]] = {asked: [] for asked in (*lists, *SUMS)}
        for _ in range(options.repeats):
            for question in taken:
                taken[question].append(_ask(folder, question))
    load = ", ".join(f"{figure:.1f}" for figure in os.getloadavg())
    print(f"median of {options.repeats} (fastest, slowest; processor); load {load}")
    for question, runs in taken.items():
        wall_s = sorted(run[0] for run in runs)
        cpu_s = median(run[1] for run in runs)
        print(
            f"{median(wall_s):6.2f} s  ({wall_s[0]:.2f}, {wall_s[-1]:.2f}; {cpu_s:.2f})  {question}"
        )
    slowest = max(median(run[0] for run in taken[question]) for question in lists)
    print(f"slowest median of a list {slowest:.2f} s, target {TARGET_S} s")
    return int(slowest > TARGET_S)


def _make_log(folder: Path, studies: int) -> None:
    from large_logs import fill_log
    from node.settings import Settings
    from node.study_log.database import Database

    begun_at_s = time.monotonic()
    database = Database.open(Settings(data_dir=folder))
    database.migrate()
    fill_log(database, studies)
    database.close()
    size = (folder / "mammonode.sqlite").stat().st_size / 1e6
    print(f"{studies} studies made in {time.monotonic() - begun_at_s:.0f} s, {size:.0f} MB")


def _ask(folder: Path, question: str) -> tuple[float, float]:
    """Ask once; give the seconds of the clock and of the processor."""
    command = [sys.executable, "-m", "node", *question.split()]
    environment = {
        **os.environ,
        "MAMMONODE_DATA_DIR": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun_at_s = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    taken_s = time.monotonic() - begun_at_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _print_plans(folder: Path) -> None:
    """Print the plan of every statement behind some questions, as SQLite explains it."""
    from sqlalchemy import event

    from node.settings import Settings
    from node.study_log import queries
    from node.study_log.database import Database
    from node.study_log.study_filter import StudyFilter, StudyOrder
    from node.study_log.tables import StudyState

    database = Database.open(Settings(data_dir=folder))
    statements: list[tuple[str, object]] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def _note(
        _connection: object, _cursor: object, statement: str, parameters: object, *_: object
    ) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    for name, which, order in (
        ("all", StudyFilter(), StudyOrder.RECEIVED),
        ("by state", StudyFilter(states=[StudyState.FAILED]), StudyOrder.RECEIVED),
        ("by study date", StudyFilter(study_date_from="20250601"), StudyOrder.STUDY_DATE),
        ("by patient", StudyFilter(patient_id="P0020000"), StudyOrder.RECEIVED),
        ("by AE title", StudyFilter(calling_ae_title="MOBILE1"), StudyOrder.RECEIVED),
        ("suspicious", StudyFilter(is_suspicious=True), StudyOrder.RECEIVED),
        ("sorted by score", StudyFilter(), StudyOrder.SCORE),
    ):
        with database.reading() as session:
            statements.clear()
            queries.list_studies(session, which, order=order, limit=20)
            queries.count_studies(session, which)
            print(name)
            for statement, parameters in tuple(statements):
                explained = session.connection().exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}",
                    parameters,  # type: ignore[arg-type]
                )
                print("".join(f"    {row[3]}\n" for row in explained))
    database.close()


if __name__ == "__main__":
    sys.exit(main())
