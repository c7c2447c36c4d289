"""Files that survive, and places that stay inside the data folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import PermanentError
from node.store import Store, is_uid

SHA256 = "0123456789abcdef" * 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "data")
    store.prepare()
    return store


@pytest.mark.parametrize(
    "value",
    ["1", "1.2.840.10008.1.2", "2.25." + "9" * 38, "1." * 31 + "12", "0.0", "1.02.3"],
)
def test_what_can_be_a_uid_is_let_through(value: str) -> None:
    assert is_uid(value)


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "1..2", "1.2.", ".1", "1/2", "1.2/../..", "1.2\n", "1.2 ", "1.a", "1" * 65,
     "１.２", "1.2\x00", "-1"],
)  # fmt: skip
def test_what_cannot_be_a_uid_is_not(value: str) -> None:
    assert not is_uid(value)


def test_a_kept_file_has_left_the_incoming_folder_and_is_whole(store: Store) -> None:
    source = store.incoming / "received"
    source.write_bytes(b"content")
    place = store.instance_place(
        study_instance_uid="1.2", sop_instance_uid="1.3", dataset_sha256=SHA256
    )

    path = store.keep(source, place)

    assert place == "studies/1.2/instances/1.3.0123456789abcdef.dcm"
    assert path.read_bytes() == b"content"
    assert list(store.incoming.iterdir()) == []


def test_two_data_sets_under_one_uid_have_places_of_their_own(store: Store) -> None:
    places = {
        store.instance_place(
            study_instance_uid="1.2", sop_instance_uid="1.3", dataset_sha256=sha256
        )
        for sha256 in (SHA256, "f" * 64)
    }

    assert len(places) == 2


@pytest.mark.parametrize("value", ["../../etc", "1/2", "", "a"])
def test_no_place_is_made_of_what_is_no_uid(store: Store, value: str) -> None:
    with pytest.raises(PermanentError, match="UID"):
        store.instance_place(
            study_instance_uid=value, sop_instance_uid="1.3", dataset_sha256=SHA256
        )
    with pytest.raises(PermanentError, match="UID"):
        store.result_place(study_instance_uid="1.2", revision=1, sop_instance_uid=value)


@pytest.mark.parametrize("place", ["../outside", "/etc/passwd", "studies/../../outside", ""])
def test_no_place_leads_out_of_the_data_folder(store: Store, place: str) -> None:
    with pytest.raises(PermanentError, match="inside the data folder"):
        store.path(place)


def test_writing_bytes_again_ends_in_the_same_state(store: Store) -> None:
    place = store.result_place(study_instance_uid="1.2", revision=3, sop_instance_uid="1.4")

    store.keep_bytes(b"first", place)
    path = store.keep_bytes(b"second", place)

    assert path.read_bytes() == b"second"
    assert [p.name for p in path.parent.iterdir()] == ["1.4.dcm"]


def test_only_what_was_never_acknowledged_is_deleted_at_start(store: Store) -> None:
    kept = store.keep_bytes(
        b"kept", store.result_place(study_instance_uid="1.2", revision=1, sop_instance_uid="1.4")
    )
    (store.incoming / "half").write_bytes(b"half an object")

    count = store.empty_incoming()

    assert count == 1
    assert list(store.incoming.iterdir()) == []
    assert kept.exists()


def test_moving_takes_the_file_along(store: Store) -> None:
    store.keep_bytes(b"content", "studies/1.2/instances/a.dcm")

    store.move("studies/1.2/instances/a.dcm", "studies/1.2/conflicts/a.dcm")

    assert store.path("studies/1.2/conflicts/a.dcm").read_bytes() == b"content"
    assert not store.path("studies/1.2/instances/a.dcm").exists()


def test_a_file_that_is_gone_can_be_removed_again(store: Store) -> None:
    store.keep_bytes(b"content", "studies/1.2/instances/a.dcm")

    store.remove("studies/1.2/instances/a.dcm")
    store.remove("studies/1.2/instances/a.dcm")

    assert not store.path("studies/1.2/instances/a.dcm").exists()


def test_a_data_folder_belongs_to_one_node_at_a_time(store: Store, tmp_path: Path) -> None:
    """Asked from another process, as a second node would ask."""
    code = (
        "import sys; from pathlib import Path; from node.store import Store\n"
        "with Store(Path(sys.argv[1])).owned(): print('owned')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data")]

    with store.owned():
        while_owned = subprocess.run(command, capture_output=True, text=True, check=False)
    afterwards = subprocess.run(command, capture_output=True, text=True, check=False)

    assert while_owned.returncode != 0
    assert "belongs to another running node" in while_owned.stderr
    assert afterwards.stdout == "owned\n"


def test_a_store_that_runs_for_years_does_not_remember_every_folder_that_it_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store._FLUSHED_KNOWN", 5)

    for number in range(20):
        store.keep_bytes(b"content", f"studies/1.{number}/results/1/1.3.dcm")

    assert len(store._flushed) <= 5
    assert len(store.study_places()) == 20


def test_whoever_must_be_alone_waits_for_no_worker_and_lets_none_start(store: Store) -> None:
    with store.worked_on(), store.worked_on():
        with pytest.raises(PermanentError, match="A worker still runs"), store.alone():
            pass
        with store.owned():
            pass
    with (
        store.alone(),
        pytest.raises(PermanentError, match="a command that wants it for itself"),
        store.worked_on(),
    ):
        pass
    with store.worked_on():
        pass
