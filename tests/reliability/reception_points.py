"""Every fsync, rename and commit of a reception, made to fail there or to be the last thing.

A receiver runs in a process of its own in which one such call fails, or ends the process at once.
One image is sent to it; then a sound receiver runs on the same data folder and is sent the image
again. See `reliability.fault_points`, the command.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from peers import SUCCESS, association_to
from phantoms import mammogram
from reliability.fault import DIED, DIES, FAILS, Outcome
from reliability.faulty import Faulty
from reliability.faulty_receiver import run_receiver
from reliability.node_watch import faults, incoming, rows

IMAGE = mammogram(rows=64, columns=48, seed=41)


def received_once(data_dir: Path) -> list[str]:
    """Receive the image without a fault, and list the points on the way to the answer.

    What was received is deleted where it was received once the association has ended, if it is
    still there; whether that is seen before the receiver stops is a matter of chance.
    """
    _, process = send_to(data_dir, "", "")
    return [point for point in process.points if not point.startswith("deletion")]


def try_reception(folder: Path, point: str, way: str) -> Outcome:
    """Let one call of a reception fail or be the last."""
    data_dir = folder / "data"
    data_dir.mkdir(parents=True)
    first, process = send_to(data_dir, point, way)
    acknowledged = first == f"0x{SUCCESS:04X}"
    kept = _stored(data_dir)
    again, _ = send_to(data_dir, "", "")
    found = faults(data_dir, is_alone=True)
    if process.struck != point:
        found.append("the point was not met")
    if acknowledged and not kept:
        found.append("acknowledged, and not in the log")
    if again != f"0x{SUCCESS:04X}" or _stored(data_dir) != 1:
        found.append(f"sent again: {again}, {_stored(data_dir)} in the log")
    found += [f"left in incoming: {path.name}" for path in incoming(data_dir)]
    return Outcome(
        point=point,
        way=way,
        at_once=first,
        in_the_end=f"sent again: {again}",
        findings=tuple(found),
    )


def _stored(data_dir: Path) -> int:
    return int(rows(data_dir, "SELECT count(*) FROM instance")[0][0])


def send_to(data_dir: Path, point: str, way: str) -> tuple[str, Faulty]:
    """Send the image to a receiver with a fault; give the answer, and the points that were met."""
    log_file = data_dir.with_name("receiver.log")
    with Faulty(run_receiver, point, way, data_dir=data_dir, log_file=log_file) as process:
        port = int(process.hear())
        with association_to(port, [IMAGE]) as assoc:
            status = assoc.send_c_store(IMAGE).get("Status")
        code = process.stop()
    assert code in (0, DIED), log_file.read_text()
    return "no answer" if status is None else f"0x{status:04X}", process


def all_points_of_reception(
    folder: Path, is_wanted: Callable[[str], bool] = bool
) -> Iterator[Outcome]:
    """Try every point of a reception, or those whose names are wanted, in both ways."""
    (folder / "sound").mkdir(parents=True)
    for number, point in enumerate(filter(is_wanted, received_once(folder / "sound"))):
        for way in (FAILS, DIES):
            yield try_reception(folder / f"{way}-{number}", point, way)
