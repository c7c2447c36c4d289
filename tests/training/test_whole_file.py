import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.errors import RunError
from training.whole_file import whole_file


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow beyond 1,000 bytes: the write fails in the middle.

    No fixture: pytest writes to its own output, which may be a file too, as soon as a test ends.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(file: Path, content: bytes, *, interrupted: bool = False) -> None:
    with whole_file(file) as unfinished:
        unfinished.write_bytes(content)
        if interrupted:
            raise KeyboardInterrupt


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "figures.json"

    with whole_file(file) as unfinished:
        unfinished.write_text("half")
        assert not file.exists()
        unfinished.write_text("whole")

    assert file.read_text() == "whole"
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_is_full_leaves_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "epoch-3.weights.h5"
    file.write_bytes(b"old")

    with (
        pytest.raises(RunError, match=r"epoch-3\.weights\.h5: expected room.*Make room"),
        full_disk(),
    ):
        write(file, bytes(5000))

    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text("old")

    with pytest.raises(KeyboardInterrupt):
        write(file, b"half", interrupted=True)

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
