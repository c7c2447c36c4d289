"""How long C-FIND takes with 100,000 studies in the log, and what a long answer costs the receiver.

Times are those of the client, over an association that is open already, from the request to the
last response; median and longest of several questions, each about another study. The receiver is a
process of its own: its resident memory before, at its highest while every study is streamed, and
after. ``--folder`` keeps the log for the next time.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NODE = """
import sys, threading
from pathlib import Path
from querying import asked_node
from node.study_log.database import Database
data_dir = Path(sys.argv[1])
with asked_node(Database(f"sqlite:///{data_dir / 'mammonode.sqlite'}"), data_dir) as receiver:
    print(receiver.port, flush=True)
    threading.Event().wait()
"""
QUESTIONS = 20
CANCELLED_AFTER = 10
IMAGES = 50
FINDSCU = "/usr/bin/findscu"


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=100_000, help="in the log (default 100,000)")
    parser.add_argument("--folder", type=Path, help="where the log is kept (default: nowhere)")
    parser.add_argument("--short", action="store_true", help="without the answer of all studies")
    options = parser.parse_args()
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests), str(tests.parent)]
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = options.folder or Path(temporary)
        _fill(data_dir, options.studies)
        node = subprocess.Popen(
            [sys.executable, "-c", NODE, str(data_dir)],
            cwd=tests,
            env={"PYTHONPATH": f"{tests}:{tests.parent}"},
            stdout=subprocess.PIPE,
        )
        try:
            assert node.stdout is not None
            port = int(node.stdout.readline())
            _measure(port, options.studies)
            if not options.short:
                _stream(port, node.pid)
            _cancel(port)
            _store_meanwhile(port)
        finally:
            node.terminate()
            node.wait()
    return 0


def _fill(data_dir: Path, studies: int) -> None:
    from large_logs import fill_log
    from node.study_log.database import Database

    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "mammonode.sqlite"
    if path.exists():
        return
    database = Database(f"sqlite:///{path}")
    database.migrate()
    fill_log(database, studies)
    database.close()


def _measure(port: int, studies: int) -> None:
    from large_logs import NEWEST_AT, patient_id, study_instance_uid
    from querying import find, keys, querying

    numbers = [1 + studies * each // QUESTIONS for each in range(QUESTIONS)]
    answered: dict[str, Any] = {
        "PatientName": None, "StudyInstanceUID": None, "StudyDate": None, "AccessionNumber": None,
        "StudyDescription": None, "ModalitiesInStudy": None, "NumberOfStudyRelatedInstances": None,
    }  # fmt: skip
    with querying(port) as assoc:

        def ask(what: str, **asked: Any) -> None:
            _report(
                what,
                lambda number: len(
                    find(
                        assoc,
                        keys(
                            asked.pop("level", "STUDY"),
                            **answered | {k: v(number) for k, v in asked.items()},
                        ),
                    ).pending
                ),
                numbers,
            )

        ask("by patient ID", PatientID=patient_id)
        ask("by study UID", StudyInstanceUID=study_instance_uid)
        ask("by accession number", AccessionNumber=lambda number: f"A{number:09d}")
        ask("by name, wild card", PatientName=lambda _: "DVORAKOVA^Z*")

        def day(number: int) -> str:
            from datetime import timedelta

            age = timedelta(days=730) * (1 - number / studies)
            return f"{NEWEST_AT - age:%Y%m%d}"

        ask("by date", StudyDate=day)
        ask("by a range of one day", StudyDate=lambda number: f"{day(number)}-{day(number)}")
        ask("by date and modality", StudyDate=day, ModalitiesInStudy=lambda _: "MG")


def _memory_mb(pid: int) -> float:
    """Read the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def _report(what: str, ask: Callable[[int], int], numbers: list[int]) -> None:
    ask(numbers[0])  # once for what is loaded late
    took_ms, answers = [], []
    for number in numbers:
        begun_at_s = time.perf_counter()
        answers.append(ask(number))
        took_ms.append(1000 * (time.perf_counter() - begun_at_s))
    print(
        f"{what + ':':28}{statistics.median(took_ms):7.1f} ms (shortest {min(took_ms):.1f}, "
        f"longest {max(took_ms):.1f}), {statistics.median(answers):g} answers"
    )


def _stream(port: int, pid: int) -> None:
    """Ask for everything, and watch the memory of the receiver meanwhile."""
    from node.intake.contexts import STUDY_ROOT_FIND
    from querying import keys, querying

    before = _memory_mb(pid)
    highest = before
    is_over = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not is_over.wait(0.2):
            highest = max(highest, _memory_mb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun_at_s = time.perf_counter()
    with querying(port) as assoc:
        identifier = keys(PatientName=None, StudyDate=None, NumberOfStudyRelatedInstances=None)
        count = sum(1 for _ in assoc.send_c_find(identifier, STUDY_ROOT_FIND)) - 1
    took_s = time.perf_counter() - begun_at_s
    is_over.set()
    watcher.join()
    after = _memory_mb(pid)
    print(f"{'all of them:':28}{took_s:7.1f} s,  {count} answers, {count / took_s:.0f} a second")
    print(
        f"{'memory of the receiver:':28}{before:7.1f} MB before, {highest:.1f} at its highest, "
        f"{after:.1f} after"
    )


def _cancel(port: int) -> None:
    """Ask for everything, and no more after the first answers."""
    from node.intake.contexts import STUDY_ROOT_FIND
    from querying import keys, querying

    with querying(port) as assoc:
        responses = assoc.send_c_find(keys(PatientName=None), STUDY_ROOT_FIND, msg_id=7)
        for _ in range(CANCELLED_AFTER):
            next(responses)
        begun_at_s = time.perf_counter()
        assoc.send_c_cancel(7, query_model=STUDY_ROOT_FIND)
        last = [status.Status for status, _ in responses]
        took_ms = 1000 * (time.perf_counter() - begun_at_s)
    print(
        f"{'cancelled:':28}{took_ms:7.1f} ms until 0x{last[-1]:04X}, {len(last) - 1} more answers"
    )


def _store_meanwhile(port: int) -> None:
    """Send images alone, and while as many long answers are streamed as may be at once."""
    from node.settings import QuerySettings
    from peers import association_to
    from phantoms import mammogram

    command = [FINDSCU, "-S", "-aec", "MAMMONODE", "127.0.0.1", str(port)]
    for streams in (0, QuerySettings().max_queries):
        askers = [
            subprocess.Popen(
                [*command, "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(streams)
        ]
        took_ms = []
        images = [
            mammogram(seed=time.time_ns() % 10**9, instance_number=n, rows=64, columns=48)
            for n in range(IMAGES)
        ]
        with association_to(port, images) as assoc:
            for ds in images:
                begun_at_s = time.perf_counter()
                assert assoc.send_c_store(ds).Status == 0
                took_ms.append(1000 * (time.perf_counter() - begun_at_s))
        assert all(asker.poll() is None for asker in askers)
        for asker in askers:
            asker.terminate()
            asker.wait()
        print(
            f"{f'C-STORE beside {streams} answers:':28}{statistics.median(took_ms):7.1f} ms, "
            f"longest {max(took_ms):7.1f} ms"
        )


if __name__ == "__main__":
    sys.exit(main())
