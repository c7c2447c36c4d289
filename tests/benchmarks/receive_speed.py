"""How fast objects are received, beside DCMTK's ``storescp``: same sender, same files, same disk.

Both write every object to disk. The node moreover hashes it, reads its header, checks that it is
whole, flushes file, folders and log to the disk, and only then answers; ``storescp`` answers when
its writes have gone to the page cache. The node's time is therefore given twice: as it is, and with
the flushes left out, to tell the cost of durability from that of receiving.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

STORESCU, STORESCP = "/usr/bin/storescu", "/usr/bin/storescp"

NODE = """
import sys, threading
from pathlib import Path
from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
if sys.argv[3] == "unflushed":
    import os
    os.fsync = lambda descriptor: None
settings = Settings(
    data_dir=Path(sys.argv[1]),
    receive=ReceiveSettings(port=int(sys.argv[2]), low_watermark_bytes=0),
)
database = Database.open(settings)
database.migrate()
if sys.argv[3] == "unflushed":
    from sqlalchemy import event
    @event.listens_for(database.engine, "connect")
    def _off(connection, _entry):
        connection.execute("PRAGMA synchronous = OFF")
Receiver(settings, database, Store(settings.data_dir)).start()
threading.Event().wait()
"""


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=40, help="objects an association (default 40)")
    parser.add_argument("--rows", type=int, default=3328, help="rows of each image (default 3328)")
    parser.add_argument("--columns", type=int, default=2560, help="columns (default 2560)")
    parser.add_argument("--associations", type=int, default=1, help="at the same time (default 1)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    options = parser.parse_args()
    for tool in (STORESCU, STORESCP):
        if not Path(tool).exists():
            print(f"{tool} is not there: install dcmtk", file=sys.stderr)
            return 1
    sys.path.insert(0, str(Path(__file__).parents[1]))

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        sources = [Path(folder) / f"in{number}" for number in range(options.associations)]
        for number, source in enumerate(sources):
            _write_objects(source, options.count, options.rows, options.columns, seed=number)
        total_bytes = sum(f.stat().st_size for source in sources for f in source.iterdir())
        count = options.count * options.associations
        print(
            f"{count} objects of {total_bytes / count / 1e6:.1f} MB, "
            f"{options.associations} association(s), median of {options.repeats}"
        )
        figures: dict[str, list[tuple[float, float]]] = {}
        for _ in range(options.repeats):  # taken in turns, so that a busy moment hits all alike
            for name in ("node", "node, not flushed", "storescp"):
                out = Path(folder) / "out"
                out.mkdir()
                with _scp(name, out) as (port, pid):
                    cpu_begun_s = _cpu_s(pid)
                    taken_s = _send_all(port, sources)
                    figures.setdefault(name, []).append((taken_s, _cpu_s(pid) - cpu_begun_s))
                files = [p for p in out.rglob("*") if p.is_file() and p.stat().st_size > 10_000]
                received = sum(1 for p in files if "sqlite" not in p.name)
                if received != count:
                    print(f"{name}: expected {count} files, found {received}", file=sys.stderr)
                    return 1
                shutil.rmtree(out)
        for name, runs in figures.items():
            taken_s, cpu_s = (median(run[i] for run in runs) for i in (0, 1))
            each_run = ", ".join(f"{run[0]:.2f}" for run in runs)
            print(
                f"{name:>18}: {total_bytes / taken_s / 1e6:6.1f} MB/s {count / taken_s:6.1f} "
                f"objects/s, {taken_s / count * 1000:6.1f} ms an object, of it "
                f"{cpu_s / count * 1000:5.1f} ms processor  ({each_run} s)"
            )
    return 0


def _write_objects(folder: Path, count: int, rows: int, columns: int, *, seed: int) -> None:
    from pydicom.uid import UID

    from phantoms import mammogram, uid, write

    ds = mammogram(seed=seed, rows=rows, columns=columns)
    for number in range(count):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid(seed, number))
        ds.InstanceNumber = number + 1
        write(ds, folder)


@contextmanager
def _scp(name: str, out: Path) -> Iterator[tuple[int, int]]:
    """Run the node or storescp until the block ends; give its port and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    if name == "storescp":
        options = ["-pdu", "131072", "+xa", "-B", "--sort-on-study-uid", "s"]
        command = [STORESCP, *options, "-od", str(out), str(port)]
    else:
        flush = "flushed" if name == "node" else "unflushed"
        command = [sys.executable, "-c", NODE, str(out), str(port), flush]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _send_all(port: int, sources: list[Path]) -> float:
    """Send each folder over an association of its own, all at once; return the seconds."""
    statuses: list[int] = []

    def send(source: Path) -> None:
        command = [STORESCU, "-aec", "MAMMONODE", "-pdu", "131072", "127.0.0.1", str(port), "+sd"]
        statuses.append(subprocess.run([*command, str(source)], check=False).returncode)

    senders = [threading.Thread(target=send, args=(source,)) for source in sources]
    begun_at_s = time.monotonic()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    if any(statuses):
        message = f"storescu ended with {statuses}"
        raise RuntimeError(message)
    return time.monotonic() - begun_at_s


def _cpu_s(pid: int) -> float:
    """Give the processor time that a process has had: fields 14 and 15 of /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
