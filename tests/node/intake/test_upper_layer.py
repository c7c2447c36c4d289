"""Peers that keep to nothing: they are let go, and nothing of them stays."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from peers import send, wait_until
from phantoms import mammogram

SUCCESS = 0x0000
A_ABORT, A_ABORT_BYTES = 0x07, 10
IMAGE = mammogram(rows=64, columns=48)


@contextmanager
def receiver_in(folder: Path, **options: int) -> Iterator[Receiver]:
    receive = ReceiveSettings(port=0, low_watermark_bytes=0, network_timeout_s=10, **options)
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
