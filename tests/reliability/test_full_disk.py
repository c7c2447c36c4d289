"""A disk that is really full: a tmpfs of 64 MiB holds database, store and spool.

Needs root, to mount it; runs on any Linux.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select, text

from node.check import Verdict, run_checks
from node.intake.receive import Receiver
from node.keeping.whole import Examiner, Finding
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Instance
from peers import association_to, echo, send, wait_until
from phantoms import mammogram
from validators import require_root

MIB = 1024**2
SIZE_BYTES = 64 * MIB
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
NO_ANSWER = -1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 MiB."""
    require_root("to mount a tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", folder], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", folder], check=True)


class Node:
    """A receiver whose whole data folder is on the small disk."""

    def __init__(self, disk: Path, *, low_watermark_bytes: int) -> None:
        receive = ReceiveSettings(port=0, low_watermark_bytes=low_watermark_bytes)
        self.settings = Settings(data_dir=disk / "data", receive=receive)
        self.store = Store(self.settings.data_dir)
        self.database = Database.open(self.settings)
        self.database.migrate()
        self.receiver = Receiver(self.settings, self.database, self.store)
        self.receiver.start()

    def close(self) -> None:
        self.receiver.stop(deadline_s=5)
        self.database.close()

    def acknowledged(self) -> set[str]:
        """SOP Instance UIDs that the log has."""
        with self.database.reading() as session:
            return set(session.scalars(select(Instance.sop_instance_uid)))

    def findings(self) -> list[Finding]:
        """Compare log and files, with nobody at work."""
        examiner = Examiner(self.database, self.store, now=lambda: datetime.now(UTC), is_alone=True)
        return list(examiner.examine())

    def is_sound(self) -> bool:
        with self.database.reading() as session:
            return bool(session.scalar(text("PRAGMA integrity_check")) == "ok")

    def check_of_the_disk(self) -> Verdict:
        return next(c.verdict for c in run_checks(self.settings) if c.name == "disk")


def image(number: int) -> Dataset:
    """Make an image of 1.5 MiB."""
    return mammogram(rows=1024, columns=768, seed=number)


def send_until_refused(node: Node) -> tuple[list[str], int]:
    """Send images one by one; give those that were acknowledged, and the first other status."""
    kept: list[str] = []
    for number in range(SIZE_BYTES // MIB):
        ds = image(number)
        with association_to(node.receiver.port, [ds]) as assoc:
            if not assoc.is_established:
                return kept, NO_ANSWER
            status = int(assoc.send_c_store(ds).get("Status", NO_ANSWER))
        if status != SUCCESS:
            return kept, status
        kept.append(str(ds.SOPInstanceUID))
    message = "the disk did not fill up"
    raise AssertionError(message)


def fill(disk: Path, *, leave_bytes: int) -> Path:
    """Take the room of a disk, but for some bytes."""
    usage = os.statvfs(disk)
    filler = disk / "filler"
    with filler.open("ab") as file:
        file.write(bytes(max(0, usage.f_bavail * usage.f_frsize - leave_bytes)))
    return filler


def test_a_disk_that_fills_up_costs_what_was_not_acknowledged_and_nothing_else(
    disk: Path,
) -> None:
    node = Node(disk, low_watermark_bytes=0)
    try:
        kept, status = send_until_refused(node)
        wait_until(lambda: not list(node.store.incoming.iterdir()), "nothing is left behind")

        assert len(kept) > 20
        assert status in (OUT_OF_RESOURCES, NO_ANSWER)
        assert node.acknowledged() == set(kept)
        assert node.findings() == []
        assert node.is_sound()
    finally:
        node.close()


def test_with_space_back_receiving_goes_on_by_itself(disk: Path) -> None:
    node = Node(disk, low_watermark_bytes=0)
    try:
        filler = fill(disk, leave_bytes=MIB)
        while_full = send(node.receiver.port, [image(1)])
        filler.unlink()
        afterwards = send(node.receiver.port, [image(1), image(2)])

        assert while_full in ([OUT_OF_RESOURCES], [NO_ANSWER])
        assert afterwards == [SUCCESS, SUCCESS]
        assert node.findings() == []
        assert node.is_sound()
    finally:
        node.close()


def test_many_senders_at_the_moment_that_the_disk_fills_up(disk: Path) -> None:
    node = Node(disk, low_watermark_bytes=0)
    kept: list[str] = []

    def send_some(first: int) -> None:
        for number in range(first, first + 12):
            ds = image(number)
            with association_to(node.receiver.port, [ds]) as assoc:
                if assoc.is_established and assoc.send_c_store(ds).get("Status") == SUCCESS:
                    kept.append(str(ds.SOPInstanceUID))

    threads = [threading.Thread(target=send_some, args=(100 * n,)) for n in range(6)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: not list(node.store.incoming.iterdir()), "nothing is left behind")

        assert 20 < len(kept) < 72
        # The answer may be lost where its association is; what was answered is there.
        assert set(kept) <= node.acknowledged()
        assert node.findings() == []
        assert node.is_sound()
    finally:
        node.close()


def test_below_the_watermark_nothing_is_taken_in_and_the_check_says_so(disk: Path) -> None:
    node = Node(disk, low_watermark_bytes=16 * MIB)
    try:
        with association_to(node.receiver.port, [image(1)]) as assoc:
            first = assoc.send_c_store(image(1)).Status
            filler = fill(disk, leave_bytes=15 * MIB)
            in_the_open_one = assoc.send_c_store(image(2)).Status
        verdict_while_low = node.check_of_the_disk()
        with association_to(node.receiver.port, [image(2)]) as assoc:
            is_rejected = assoc.is_rejected
        filler.unlink()

        assert (first, in_the_open_one, is_rejected) == (SUCCESS, OUT_OF_RESOURCES, True)
        assert verdict_while_low is Verdict.FAIL
        assert node.check_of_the_disk() is Verdict.OK
        assert send(node.receiver.port, [image(2)]) == [SUCCESS]
        assert node.findings() == []
    finally:
        node.close()


def test_the_node_starts_on_a_full_disk_and_answers(disk: Path) -> None:
    node = Node(disk, low_watermark_bytes=16 * MIB)
    send(node.receiver.port, [image(1)])
    node.close()
    fill(disk, leave_bytes=MIB // 2)

    node = Node(disk, low_watermark_bytes=16 * MIB)
    try:
        with association_to(node.receiver.port, [image(2)]) as assoc:
            assert assoc.is_rejected
        assert len(node.acknowledged()) == 1
        (disk / "filler").unlink()
        assert echo(node.receiver.port)
    finally:
        node.close()
