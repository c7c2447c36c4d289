"""How much memory the receiver takes for one large object, above what it takes idle.

The object is written to disk piece by piece and sent by DCMTK's ``storescu``, so that only the
receiver's own process is measured: its resident memory when idle, and its highest ever (VmHWM).
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STORESCU = "/usr/bin/storescu"

NODE = """
import sys, threading
from pathlib import Path
from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
settings = Settings(
    data_dir=Path(sys.argv[1]),
    receive=ReceiveSettings(port=int(sys.argv[2]), low_watermark_bytes=0),
)
database = Database.open(settings)
database.migrate()
Receiver(settings, database, Store(settings.data_dir)).start()
print("listens", flush=True)
threading.Event().wait()
"""


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=500, help="of pixel data (default 500)")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    options = parser.parse_args()
    if not Path(STORESCU).exists():
        print(f"{STORESCU} is not there: install dcmtk", file=sys.stderr)
        return 1
    sys.path.insert(0, str(Path(__file__).parents[1]))

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        small, large = Path(folder) / "small.dcm", Path(folder) / "large.dcm"
        _write_object(small, 1)
        _write_object(large, options.megabytes)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        node = subprocess.Popen(
            [sys.executable, "-c", NODE, str(Path(folder) / "data"), str(port)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
        )
        try:
            assert node.stdout is not None
            node.stdout.readline()
            idle = _memory_mb(node.pid, "VmRSS")
            _send(port, small)
            after_small = _memory_mb(node.pid, "VmHWM")
            begun_at_s = time.monotonic()
            _send(port, large)
            seconds = time.monotonic() - begun_at_s
            highest = _memory_mb(node.pid, "VmHWM")
        finally:
            node.terminate()
            node.wait()
        size_mb = large.stat().st_size / 1e6
    print(f"idle:                       {idle:7.1f} MB")
    print(f"highest, object of 1 MB:    {after_small:7.1f} MB ({after_small - idle:+.1f} MB)")
    print(
        f"highest, object of {size_mb:.0f} MB:  {highest:7.1f} MB ({highest - idle:+.1f} MB), "
        f"{size_mb / seconds:.0f} MB/s"
    )
    return 0


def _write_object(path: Path, megabytes: int) -> None:
    """Write a tomosynthesis-sized mammogram without holding its pixels in memory."""
    import struct

    from pydicom.uid import UID

    from phantoms import mammogram, to_bytes, uid

    ds = mammogram(rows=1024, columns=1024, seed=megabytes)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(uid("memory", megabytes))
    frame_count = megabytes * 1_000_000 // len(ds.PixelData) or 1
    ds.NumberOfFrames = str(frame_count)
    frame = ds.PixelData
    ds.PixelData = b""
    head = to_bytes(ds)
    value_length_at = len(head) - 4  # Pixel Data is the last element, and empty
    with path.open("wb") as file:
        file.write(head[:value_length_at] + struct.pack("<L", len(frame) * frame_count))
        for _ in range(frame_count):
            file.write(frame)


def _send(port: int, path: Path) -> None:
    command = [STORESCU, "-aec", "MAMMONODE", "-pdu", "131072", "127.0.0.1", str(port), str(path)]
    subprocess.run(command, check=True)


def _memory_mb(pid: int, field: str) -> float:
    """Read a field of /proc/PID/status, which is in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    message = f"no {field} in /proc/{pid}/status"
    raise RuntimeError(message)


if __name__ == "__main__":
    sys.exit(main())
