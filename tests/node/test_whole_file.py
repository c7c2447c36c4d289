"""Files that a command leaves: whole, or as they were before."""

from pathlib import Path

import pytest

from node.errors import PermanentError, TransientError
from node.whole_file import make_folder, write_whole


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    file = tmp_path / "a" / "b" / "c.txt"

    write_whole(file, b"one")
    write_whole(file, b"two")

    assert file.read_bytes() == b"two"
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    (taken / "full").mkdir(parents=True)

    with pytest.raises(TransientError, match="cannot be written"):
        write_whole(taken, b"content")

    assert list(tmp_path.iterdir()) == [taken]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(PermanentError, match="file/below"):
        make_folder(tmp_path / "file" / "below")
