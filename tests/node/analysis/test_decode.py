"""Decoders that crash, hang and swell in a real child process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless
from stand_in_decoders import misbehave

from node.analysis.decode import PixelReader
from node.analysis.decoding_process import read_pixels
from node.errors import PermanentError, TransientError, TriageReason, UnsuitableInstance
from phantoms import mammogram, write

TIMEOUT_S = 4.0
MEMORY_BYTES = 256 * 2**20


@pytest.fixture(scope="module")
def reader() -> Iterator[PixelReader]:
    with PixelReader(timeout_s=TIMEOUT_S, memory_bytes=MEMORY_BYTES, read=misbehave) as reader:
        yield reader


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write(mammogram(transfer_syntax=RLELossless), tmp_path)


def place(folder: Path, stem: str) -> Path:
    """Put a file there that makes the stand-in misbehave."""
    path = folder / f"{stem}.dcm"
    path.write_bytes(b"whatever")
    return path


def test_the_child_reads_what_this_process_would_read(reader: PixelReader, image: Path) -> None:
    np.testing.assert_array_equal(reader.read(image), read_pixels(image))


@pytest.mark.parametrize(
    ("stem", "detail"),
    [
        ("abort", "SIGABRT"),
        ("exit", "exit code 3"),
        ("raise", "exit code 1"),
        ("hang", "did not answer within 4 s"),
        ("swell", "more memory"),
    ],
)
def test_a_decoder_that_fails_costs_one_image(
    reader: PixelReader, tmp_path: Path, image: Path, stem: str, detail: str
) -> None:
    with pytest.raises(UnsuitableInstance, match=detail) as raised:
        reader.read(place(tmp_path, stem))

    assert raised.value.reason is TriageReason.UNDECODABLE_PIXELS
    np.testing.assert_array_equal(reader.read(image), read_pixels(image))


def test_a_child_that_was_killed_between_images_is_replaced(
    reader: PixelReader, tmp_path: Path, image: Path
) -> None:
    reader.read(image)
    for pid in children_of(os.getpid()):
        os.kill(pid, signal.SIGKILL)

    np.testing.assert_array_equal(reader.read(image), read_pixels(image))


def test_pixels_that_cannot_be_used_keep_their_reason(reader: PixelReader, tmp_path: Path) -> None:
    black = mammogram()
    black.PixelData = bytes(len(black.PixelData))

    with pytest.raises(UnsuitableInstance) as raised:
        reader.read(write(black, tmp_path))

    assert raised.value.reason is TriageReason.ALL_ZERO_PIXELS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"NumberOfFrames": 3}, TriageReason.MULTI_FRAME),
        ({"PhotometricInterpretation": "RGB"}, TriageReason.NOT_MAMMOGRAPHY),
        ({"Rows": 65535, "Columns": 32767}, TriageReason.UNDECODABLE_PIXELS),
    ],
)
def test_headers_that_promise_no_mammogram_are_triaged(
    reader: PixelReader, tmp_path: Path, changes: dict[str, int | str], reason: TriageReason
) -> None:
    ds = mammogram()
    for keyword, value in changes.items():
        setattr(ds, keyword, value)

    with pytest.raises(UnsuitableInstance) as raised:
        reader.read(write(ds, tmp_path))

    assert raised.value.reason is reason


def test_compressed_pixels_that_claim_a_thousand_times_their_bytes_are_triaged(
    reader: PixelReader, tmp_path: Path
) -> None:
    ds = mammogram(transfer_syntax=RLELossless)
    ds.Rows = ds.Columns = 11_000

    with pytest.raises(UnsuitableInstance, match="of at least 1/1000") as raised:
        reader.read(write(ds, tmp_path))

    assert raised.value.reason is TriageReason.UNDECODABLE_PIXELS


def test_a_file_that_is_not_dicom_is_triaged(reader: PixelReader, tmp_path: Path) -> None:
    path = tmp_path / "text.dcm"
    path.write_text("not DICOM, but longer than a preamble: " + "x" * 200)

    with pytest.raises(UnsuitableInstance, match="DICOM"):
        reader.read(path)


def test_half_of_a_deflated_file_is_triaged(reader: PixelReader, tmp_path: Path) -> None:
    path = write(mammogram(transfer_syntax=DeflatedExplicitVRLittleEndian), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(UnsuitableInstance) as raised:
        reader.read(path)

    assert raised.value.reason is TriageReason.UNDECODABLE_PIXELS


def test_a_file_that_cannot_be_read_is_worth_another_try(
    reader: PixelReader, tmp_path: Path
) -> None:
    with pytest.raises(TransientError, match="directory"):
        reader.read(tmp_path)


def test_a_missing_file_is_no_fault_of_the_image(reader: PixelReader, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="gone"):
        reader.read(tmp_path / "gone.dcm")


def test_several_threads_read_several_images(tmp_path: Path) -> None:
    images = [write(mammogram(seed=seed), tmp_path) for seed in range(6)]

    with (
        PixelReader(timeout_s=60, memory_bytes=MEMORY_BYTES, children=2) as reader,
        ThreadPoolExecutor(3) as pool,
    ):
        displays = list(pool.map(reader.read, images))

    for path, display in zip(images, displays, strict=True):
        np.testing.assert_array_equal(display, read_pixels(path))


def test_closing_leaves_no_process_behind(image: Path) -> None:
    before = children_of(os.getpid())
    reader = PixelReader(timeout_s=60, memory_bytes=MEMORY_BYTES)
    reader.read(image)
    assert len(children_of(os.getpid()) - before) == 1

    reader.close()

    assert children_of(os.getpid()) == before


def test_a_hung_decoder_ends_with_its_parent(tmp_path: Path) -> None:
    hung = place(tmp_path, "hang")
    program = (
        "import sys, pathlib; from node.analysis.decode import PixelReader; "
        "from stand_in_decoders import misbehave; "
        f"PixelReader(timeout_s=600, memory_bytes={MEMORY_BYTES}, read=misbehave)"
        ".read(pathlib.Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen([sys.executable, "-c", program, hung], env=environment)
    started = hung.with_suffix(".hanging")
    wait_until(started.exists, timeout_s=120)
    (child,) = children_of(parent.pid)

    parent.kill()
    parent.wait()

    wait_until(lambda: not is_running(child), timeout_s=10)


def children_of(pid: int) -> set[int]:
    """Process ids of the living children of a process."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = status.read_text().rpartition(")")
        except OSError:
            continue
        state, parent, *_ = rest.split()
        if int(parent) == pid and state != "Z":
            found.add(int(status.parent.name))
    return found


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return False
    return rest.split()[0] not in ("Z", "X")


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> None:
    """Wait for a condition, and fail when the deadline passes."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "deadline passed"
        time.sleep(0.02)
