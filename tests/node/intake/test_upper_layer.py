"""Peers that keep to nothing: they are let go, and nothing of them stays."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association

from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from peers import association_to, send, wait_until
from phantoms import mammogram

SUCCESS = 0x0000
P_DATA, A_ABORT, A_ABORT_BYTES = 0x04, 0x07, 10
IMAGE = mammogram(rows=64, columns=48)


@contextmanager
def receiver_in(folder: Path, **options: Any) -> Iterator[Receiver]:
    receive = ReceiveSettings(
        port=0, **{"low_watermark_bytes": 0, "network_timeout_s": 10, **options}
    )
    settings = Settings(data_dir=folder / "data", receive=receive)
    database = Database.open(settings)
    database.migrate()
    receiver = Receiver(settings, database, Store(settings.data_dir))
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop(deadline_s=5)
        database.close()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiver_in(tmp_path) as receiver:
        yield receiver


def recorded(port: int) -> list[bytes]:
    """Send an image, and give the PDUs that were sent: the request, the command, the data set."""
    pdus: list[bytes] = []
    ae = AE(ae_title="TESTSCU")
    ae.add_requested_context(IMAGE.SOPClassUID, ExplicitVRLittleEndian)
    assoc = ae.associate(
        "127.0.0.1",
        port,
        ae_title="MAMMONODE",
        evt_handlers=[(evt.EVT_DATA_SENT, lambda event: pdus.append(event.data))],
    )
    assert assoc.send_c_store(IMAGE).Status == SUCCESS
    assoc.release()
    return pdus


def hear_until_closed(connection: socket.socket) -> bytes:
    heard = b""
    try:
        while piece := connection.recv(65536):
            heard += piece
    except ConnectionResetError:
        pass
    return heard


def test_a_peer_that_does_not_wait_for_the_answer_to_its_request_is_let_go(
    receiver: Receiver,
) -> None:
    request, *others = recorded(receiver.port)

    for _ in range(5):  # the answer and the abort race each other
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
            connection.sendall(request + b"".join(others))
            hear_until_closed(connection)

    assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_an_object_in_a_context_that_was_not_accepted_ends_the_association(
    receiver: Receiver, tmp_path: Path
) -> None:
    request, command, *_ = recorded(receiver.port)
    # The identifier of the presentation context follows the lengths of PDU and item, PS3.8 9.3.5.
    elsewhere = command[:10] + b"\x63" + command[11:]

    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(request)
        connection.recv(65536)
        connection.sendall(elsewhere)
        heard = hear_until_closed(connection)

    assert heard[0] == A_ABORT
    assert list((tmp_path / "data" / "incoming").iterdir()) == []
    assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_a_request_with_an_impossible_context_is_aborted(receiver: Receiver) -> None:
    request, *_ = recorded(receiver.port)
    at = request.index(b"\x20\0", 74) + 4  # PS3.8 9.3.2.2: identifiers are odd

    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(request[:at] + b"\x02" + request[at + 1 :])
        heard = hear_until_closed(connection)

    assert heard[0] == A_ABORT
    assert send(receiver.port, [IMAGE]) == [SUCCESS]


@pytest.mark.parametrize(
    "ae_title",
    [
        bytes(16),
        b" " * 16,
        b"A\0B",
        b"A\x1b[31mB",
        b"A\nB",
        b"A\\B",
        "\u00c4\u00d6".encode("latin-1"),
    ],
)
def test_a_request_under_an_impossible_ae_title_is_aborted(
    receiver: Receiver, ae_title: bytes
) -> None:
    """PS3.5 6.2, AE: no control character, no backslash, not spaces alone."""
    request, *_ = recorded(receiver.port)
    # Calling AE title, PS3.8 table 9-11.
    broken = request[:26] + ae_title.ljust(16) + request[42:]

    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(broken)
        heard = hear_until_closed(connection)

    assert heard[0] == A_ABORT
    assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_a_command_set_that_is_none_ends_the_association(
    receiver: Receiver, tmp_path: Path
) -> None:
    request, command, *_ = recorded(receiver.port)
    # Presentation context, control header, then nothing that could be a command.
    none = command[:12] + bytes(len(command) - 12)

    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(request)
        connection.recv(65536)
        connection.sendall(none)
        heard = hear_until_closed(connection)

    assert heard[0] == A_ABORT
    assert list((tmp_path / "data" / "incoming").iterdir()) == []
    assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_what_comes_after_an_abort_is_not_answered_piece_by_piece(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
        connection.sendall(b" " * 60_000)
        connection.shutdown(socket.SHUT_WR)
        heard = hear_until_closed(connection)

    assert len(heard) <= 2 * A_ABORT_BYTES
    assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_a_connection_that_begins_with_nonsense_is_forgotten_at_once(receiver: Receiver) -> None:
    before = threading.active_count()

    for _ in range(5):
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            hear_until_closed(connection)

    # Well before the time in which a request has to come.
    wait_until(lambda: threading.active_count() <= before, "its threads to end", deadline_s=15)


def test_connections_that_ask_for_nothing_take_nobody_s_place(tmp_path: Path) -> None:
    with receiver_in(tmp_path, max_associations=2) as receiver, ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))

        statuses = send(receiver.port, [IMAGE])

    assert statuses == [SUCCESS]


def test_a_connection_too_many_is_closed_unheard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.intake.receive.MAX_WAITING_CONNECTIONS", 1)
    with receiver_in(tmp_path, max_associations=1) as receiver, ExitStack() as silent:
        for _ in range(2):
            silent.enter_context(socket.create_connection(("127.0.0.1", receiver.port)))
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as one_too_many:
            heard = hear_until_closed(one_too_many)
        silent.close()

        wait_until(lambda: can_associate(receiver.port), "the others to be forgotten")

    assert heard == b""


def can_associate(port: int) -> bool:
    ae = AE(ae_title="TESTSCU")
    ae.add_requested_context(IMAGE.SOPClassUID, ExplicitVRLittleEndian)
    assoc = ae.associate("127.0.0.1", port, ae_title="MAMMONODE")
    if assoc.is_established:
        assoc.release()
    return bool(assoc.is_released)


def test_a_rejected_request_takes_nobody_s_place(tmp_path: Path) -> None:
    with receiver_in(tmp_path, max_associations=1) as receiver:
        ae = AE(ae_title="TESTSCU")
        ae.add_requested_context(IMAGE.SOPClassUID, ExplicitVRLittleEndian)
        for _ in range(3):
            assert ae.associate("127.0.0.1", receiver.port, ae_title="SOMEBODY").is_rejected
        wait_until(
            lambda: ae.associate("127.0.0.1", receiver.port, ae_title="MAMMONODE").is_established,
            "the place to be free",
        )
        while_taken = ae.associate("127.0.0.1", receiver.port, ae_title="MAMMONODE")

        assert while_taken.is_rejected
        ae.shutdown()


def associate_from(address: str, port: int, *, ae_title: str = "TESTSCU") -> Association:
    ae = AE(ae_title=ae_title)
    ae.add_requested_context(IMAGE.SOPClassUID, ExplicitVRLittleEndian)
    return ae.associate("127.0.0.1", port, ae_title="MAMMONODE", bind_address=(address, 0))


LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
"""Transient, by the service provider: PS3.8 table 9-21."""


def rejection_of(assoc: Association) -> tuple[int | None, ...]:
    answer: Any = assoc.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"max_associations": 4}, 3),
        ({"max_associations": 4, "max_associations_per_peer": 2}, 2),
        ({"max_associations": 2}, 1),
    ],
)
def test_one_address_does_not_take_all_places_under_whatever_names(
    tmp_path: Path, options: dict[str, int], places: int, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver_in(tmp_path, **options) as receiver, ExitStack() as open_ones:

        def associate(address: str, ae_title: str) -> Association:
            assoc = associate_from(address, receiver.port, ae_title=ae_title)
            open_ones.callback(lambda: assoc.abort() if assoc.is_established else None)
            return assoc

        greedy = [associate("127.0.0.2", f"NAME{number}") for number in range(places)]
        too_many = associate("127.0.0.2", "ANOTHER")
        other = associate("127.0.0.3", "NAME0")

        assert all(assoc.is_established for assoc in greedy)
        assert rejection_of(too_many) == LOCAL_LIMIT_EXCEEDED
        assert f"this address has {places} open, as many as one may have" in [
            getattr(record, "reason", "") for record in caplog.records
        ]
        assert other.is_established

        greedy[0].release()
        wait_until(
            lambda: associate("127.0.0.2", "NAME0").is_established, "the place that was given back"
        )


def test_one_address_does_not_take_all_connections_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.intake.receive.MAX_WAITING_CONNECTIONS_OF_ONE_PEER", 2)
    with (
        receiver_in(tmp_path, max_associations_per_peer=1) as receiver,
        ExitStack() as silent,
    ):
        there = ("127.0.0.1", receiver.port)
        for _ in range(3):
            silent.enter_context(socket.create_connection(there, source_address=("127.0.0.2", 0)))
        with socket.create_connection(there, 20, source_address=("127.0.0.2", 0)) as one_too_many:
            heard = hear_until_closed(one_too_many)

        assert heard == b""
        assert send(receiver.port, [IMAGE]) == [SUCCESS]


def trickle(connection: socket.socket, pieces: Iterator[bytes], *, every_s: float) -> bytes:
    """Send piece after piece until the other side has had enough; give what it said."""
    is_over = threading.Event()

    def send_all() -> None:
        for piece in pieces:
            if is_over.wait(every_s):
                return
            try:
                connection.sendall(piece)
            except OSError:
                return

    sender = threading.Thread(target=send_all)
    sender.start()
    try:
        return hear_until_closed(connection)
    finally:
        is_over.set()
        sender.join()


def bytes_of(pdu: bytes) -> Iterator[bytes]:
    return (pdu[index : index + 1] for index in range(len(pdu)))


@pytest.mark.parametrize("said", ["nothing", "half a request", "a request byte by byte"])
def test_a_connection_that_does_not_ask_in_time_is_closed_and_blocks_nobody(
    tmp_path: Path, said: str
) -> None:
    with receiver_in(tmp_path, acse_timeout_s=1) as receiver:
        request, *_ = recorded(receiver.port)
        before = threading.active_count()
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
            if said == "half a request":
                connection.sendall(request[: len(request) // 2])
            meanwhile = send(receiver.port, [IMAGE])
            is_byte_by_byte = said == "a request byte by byte"
            heard = trickle(connection, bytes_of(request if is_byte_by_byte else b""), every_s=0.05)

        assert meanwhile == [SUCCESS]
        assert heard == b""
        wait_until(lambda: threading.active_count() <= before, "its threads to end")


def test_a_peer_that_takes_for_ever_over_one_pdu_is_let_go(tmp_path: Path) -> None:
    with receiver_in(tmp_path, network_timeout_s=1) as receiver:
        request, command, *_ = recorded(receiver.port)
        before = threading.active_count()
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
            connection.sendall(request)
            connection.recv(65536)

            trickle(connection, bytes_of(command + bytes(1000)), every_s=0.1)

        wait_until(lambda: threading.active_count() <= before, "its threads to end")
        assert list((tmp_path / "data" / "incoming").iterdir()) == []
        assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_a_peer_that_stops_between_two_pieces_of_a_message_is_aborted(tmp_path: Path) -> None:
    with receiver_in(tmp_path, network_timeout_s=1) as receiver:
        request, command, data, *_ = recorded(receiver.port)
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
            connection.sendall(request)
            connection.recv(65536)
            connection.sendall(command + one_fragment(data[12:100], is_last=False))
            meanwhile = send(receiver.port, [IMAGE])
            heard = hear_until_closed(connection)

        assert meanwhile == [SUCCESS]
        assert heard[0] == A_ABORT
        wait_until(
            lambda: list((tmp_path / "data" / "incoming").iterdir()) == [], "the half to be deleted"
        )


def one_fragment(fragment: bytes, *, is_last: bool) -> bytes:
    """Wrap a piece of a data set into a P-DATA-TF PDU of the presentation context 1."""
    item = struct.pack(">LBB", len(fragment) + 2, 1, 0x02 * is_last) + fragment
    return struct.pack(">BBL", P_DATA, 0, len(item)) + item


def test_a_message_that_trickles_in_without_end_is_aborted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver_in(tmp_path, dimse_timeout_s=1) as receiver:
        request, command, *_ = recorded(receiver.port)
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as connection:
            connection.sendall(request)
            connection.recv(65536)
            connection.sendall(command)

            heard = trickle(
                connection, (one_fragment(b"12", is_last=False) for _ in range(400)), every_s=0.05
            )

        assert heard[0] == A_ABORT
        assert "a message that is not whole after 1 s" in [
            getattr(record, "reason", "") for record in caplog.records
        ]
        wait_until(
            lambda: list((tmp_path / "data" / "incoming").iterdir()) == [], "the rest to be deleted"
        )
        assert send(receiver.port, [IMAGE]) == [SUCCESS]


def test_many_messages_take_longer_together_than_one_may(tmp_path: Path) -> None:
    with (
        receiver_in(tmp_path, dimse_timeout_s=0.5) as receiver,
        association_to(receiver.port, [IMAGE]) as assoc,
    ):
        begun_at_s = time.monotonic()
        statuses = set()
        while time.monotonic() - begun_at_s < 1.5:
            statuses.add(assoc.send_c_store(IMAGE).Status)

        assert statuses == {SUCCESS}


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_system_clock_that_is_set_ends_no_association_and_prolongs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    system_clock = time.time
    with (
        receiver_in(tmp_path, acse_timeout_s=1) as receiver,
        associated_by_hand(receiver.port) as connection,
        socket.create_connection(("127.0.0.1", receiver.port), timeout=20) as silent,
    ):
        _, command, *data = recorded(receiver.port)
        monkeypatch.setattr(time, "time", lambda: system_clock() + hours * 3600)

        assert hear_until_closed(silent) == b""
        connection.sendall(b"".join((command, *data[:-1])))
        assert connection.recv(6)[0] == P_DATA


@contextmanager
def associated_by_hand(port: int) -> Iterator[socket.socket]:
    request, *_ = recorded(port)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        connection.recv(65536)
        yield connection
