"""A peer that is there and says no more: its connections stay open, in the middle of things."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class FallsSilent(StrEnum):
    """When a peer does.

    IN ITS ACCEPTANCE: in the middle of the A-ASSOCIATE-AC. BEFORE AN ANSWER: it reads all that it
    is sent. IN AN ANSWER: in the middle of a P-DATA-TF. AND DEAF: once the association is accepted
    it does not read either.
    """

    IN_ITS_ACCEPTANCE = "in its acceptance"
    BEFORE_AN_ANSWER = "before an answer"
    IN_AN_ANSWER = "in an answer"
    AND_DEAF = "and deaf"


@contextmanager
def half_dead_peer(scp_port: int, falls_silent: FallsSilent) -> Iterator[int]:
    """Listen as long as the block lasts; associations are accepted as the SCP at a port does.

    Parameters
    ----------
    scp_port
        Whose A-ASSOCIATE-AC is passed on, as far as that goes.
    falls_silent
        When no more of it is.
    """
    with socket.socket() as listener, contextlib.ExitStack() as connections:
        # Little room, so that who is deaf is noticed soon.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def take_connections() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = connections.enter_context(listener.accept()[0])
                    scp = connections.enter_context(
                        socket.create_connection(("127.0.0.1", scp_port))
                    )
                    threading.Thread(
                        target=_fall_silent, args=(connection, scp, falls_silent), daemon=True
                    ).start()

        threading.Thread(target=take_connections, daemon=True).start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for the next connection


def _fall_silent(connection: socket.socket, scp: socket.socket, when: FallsSilent) -> None:
    with contextlib.suppress(OSError):
        scp.sendall(_read_pdu(connection))
        acceptance = _read_pdu(scp)
        if when is FallsSilent.IN_ITS_ACCEPTANCE:
            acceptance = acceptance[: len(acceptance) // 2]
        connection.sendall(acceptance)
        if when is FallsSilent.AND_DEAF:
            return
        if when is FallsSilent.IN_AN_ANSWER:
            connection.recv(1)
            connection.sendall(struct.pack(">BxL", 0x04, 100) + b"half")
        while connection.recv(65536):
            pass


def _read_pdu(connection: socket.socket) -> bytes:
    """Read one PDU (PS3.8 9.3.1)."""
    head = connection.recv(6, socket.MSG_WAITALL)
    (length,) = struct.unpack(">xxL", head)
    return head + connection.recv(length, socket.MSG_WAITALL)
