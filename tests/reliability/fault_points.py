"""Every fsync, rename and commit of a reception, made to fail there or to be the last thing.

    PYTHONPATH=tests python -m reliability.fault_points

A receiver runs in a process of its own in which the n-th such call raises OSError, or ends the
process at once. One image is sent to it; then a sound receiver runs on the same data folder and is
sent the image again. A finding is: an image that was acknowledged and is not there in full, one
that is not taken the second time, a file left in ``incoming/``, or something that ``mammonode
fsck`` finds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from peers import SUCCESS, association_to
from phantoms import mammogram
from reliability.node_watch import faults, incoming, rows

IMAGE = mammogram(rows=64, columns=48, seed=41)
NO_ANSWER = -1
DIED = 9
MAX_POINTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one fault.

    Attributes
    ----------
    point
        Which call: its number, its name and what it was called on.
    way
        ``fails`` or ``dies``.
    first, again
        Statuses of the two sendings.
    """

    point: str
    way: str
    first: int
    again: int
    findings: tuple[str, ...]


def try_point(folder: Path, number: int, way: str) -> Outcome | None:
    """Let the n-th call fail or be the last; None if there are not so many."""
    data_dir = folder / "data"
    first, point = _send_to(data_dir, number, way)
    if not point:
        return None
    acknowledged = first == SUCCESS
    kept = _stored(data_dir)
    again, _ = _send_to(data_dir, 0, "")
    found = faults(data_dir, is_alone=True)
    if acknowledged and not kept:
        found.append("acknowledged, and not in the log")
    if again != SUCCESS or _stored(data_dir) != 1:
        found.append(f"sent again: {again}, {_stored(data_dir)} in the log")
    found += [f"left in incoming: {path.name}" for path in incoming(data_dir)]
    return Outcome(point=point, way=way, first=first, again=again, findings=tuple(found))


def _stored(data_dir: Path) -> int:
    return int(rows(data_dir, "SELECT count(*) FROM instance")[0][0])


def _send_to(data_dir: Path, number: int, way: str) -> tuple[int, str]:
    """Send the image to a receiver with a fault; give the status, and the point that was met."""
    with subprocess.Popen(
        [sys.executable, "-m", "reliability.faulty_receiver", str(data_dir), str(number), way],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with association_to(port, [IMAGE]) as assoc:
            status = int(assoc.send_c_store(IMAGE).get("Status", NO_ANSWER))
        process.stdin.close()
        point = process.stdout.read().strip()
    assert process.returncode in (0, DIED), process.returncode
    return status, point


def all_points(folder: Path) -> list[Outcome]:
    """Try every point in both ways."""
    outcomes = []
    for way in ("fails", "dies"):
        for number in range(1, MAX_POINTS):
            outcome = try_point(folder / f"{way}-{number}", number, way)
            if outcome is None:
                break
            outcomes.append(outcome)
    return outcomes


def main() -> int:
    """Try every point, print the table, and end with 1 on a finding."""
    argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = all_points(Path(folder))
    for each in outcomes:
        first = "no answer" if each.first == NO_ANSWER else f"0x{each.first:04X}"
        print(f"{each.point:44} {each.way:6} {first:10} again 0x{each.again & 0xFFFF:04X}")
        for finding in each.findings:
            print(f"FINDING {finding}")
    return 1 if any(each.findings for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
