"""The receiver over real associations, and over sockets that do not keep to the standard."""

import hashlib
import logging
import os
import resource
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from sqlalchemy import select, text

from node.errors import PermanentError
from node.header import dataset_offset
from node.intake.receive import Receiver
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Conflict, Instance, Study
from peers import association_to, echo, files_below, send, wait_until
from phantoms import mammogram, screening_study, write
from validators import require_peer

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
P_DATA_TF = 0x04
ABORTED = (b"\x07", b"")
"""An A-ABORT; or nothing, where the kernel reset the connection over what was not read."""
VERIFICATION = "1.2.840.10008.1.1"


class Node:
    """A receiver of its own data folder, in this process."""

    def __init__(self, folder: Path, **options: Any) -> None:
        receive = ReceiveSettings(port=0, **{"low_watermark_bytes": 0, **options})
        self.settings = Settings(data_dir=folder / "data", receive=receive)
        self.store = Store(self.settings.data_dir)
        self.database = Database.open(self.settings)
        self.database.migrate()
        self.receiver = Receiver(self.settings, self.database, self.store)
        self.receiver.start()
        self.port = self.receiver.port

    def instances(self) -> dict[str, Instance]:
        with self.database.reading() as session:
            return {row.sop_instance_uid: row for row in session.scalars(select(Instance))}

    def incoming(self) -> list[Path]:
        return list(self.store.incoming.iterdir())


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Node]:
    node = Node(folder, **options)
    try:
        yield node
    finally:
        node.receiver.stop(deadline_s=5)
        node.database.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running(tmp_path) as node:
        yield node


def small(**options: Any) -> Dataset:
    return mammogram(rows=64, columns=48, **options)


def test_what_is_acknowledged_is_on_the_disk_with_the_hash_of_what_was_sent(
    node: Node, tmp_path: Path
) -> None:
    ds = small()
    sent = write(ds, tmp_path / "sent")

    statuses = send(node.port, [ds])

    row = node.instances()[ds.SOPInstanceUID]
    stored = node.store.path(row.path)
    dataset = stored.read_bytes()[dataset_offset(stored) :]
    assert statuses == [SUCCESS]
    assert dataset == sent.read_bytes()[dataset_offset(sent) :]
    assert row.dataset_sha256 == hashlib.sha256(dataset).hexdigest()
    assert row.size_bytes == len(dataset)
    assert node.incoming() == []


def test_every_view_of_a_study_is_logged_with_what_it_shows(node: Node) -> None:
    study = screening_study(rows=64, columns=48)

    send(node.port, study, calling_ae_title="MODALITY")

    rows = node.instances()
    assert [
        (rows[ds.SOPInstanceUID].laterality, rows[ds.SOPInstanceUID].view_position) for ds in study
    ] == [(ds.ImageLaterality, ds.ViewPosition) for ds in study]
    assert {row.calling_ae_title for row in rows.values()} == {"MODALITY"}
    with node.database.reading() as session:
        logged = session.scalars(select(Study)).one()
        assert logged.patient_id == study[0].PatientID
        assert logged.called_ae_title == "MAMMONODE"


def test_a_study_counts_as_open_until_its_association_has_ended(node: Node) -> None:
    ds = small()

    with association_to(node.port, [ds]) as assoc:
        before = node.receiver.open_studies()
        assoc.send_c_store(ds)
        while_open = node.receiver.open_studies()
    wait_until(lambda: not node.receiver.open_studies(), "the association to end")

    assert before == frozenset()
    assert while_open == {ds.StudyInstanceUID}


def test_a_study_is_open_no_more_when_its_association_broke(node: Node) -> None:
    ds = small()
    with association_to(node.port, [ds]) as assoc:
        assoc.send_c_store(ds)

        assoc.abort()

    wait_until(lambda: not node.receiver.open_studies(), "the association to end")
    assert list(node.instances()) == [ds.SOPInstanceUID]


def test_many_associations_at_once_lose_nothing(node: Node) -> None:
    studies = [screening_study(seed=seed, rows=64, columns=48) for seed in range(6)]
    statuses: list[int] = []

    senders = [
        threading.Thread(target=lambda s=study: statuses.extend(send(node.port, s)))
        for study in studies
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert statuses == [SUCCESS] * 24
    rows = node.instances()
    assert set(rows) == {ds.SOPInstanceUID for study in studies for ds in study}
    assert all(node.store.path(row.path).exists() for row in rows.values())


def test_two_data_sets_that_race_under_one_uid_are_both_kept(node: Node) -> None:
    pair = [small(PatientComments=text) for text in ("one", "the other")]
    statuses: list[int] = []

    senders = [
        threading.Thread(target=lambda d=ds: statuses.extend(send(node.port, [d]))) for ds in pair
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    with node.database.reading() as session:
        conflict = session.scalars(select(Conflict)).one()
        places = [conflict.instance.path, conflict.path]
    texts = {b"the other" in node.store.path(place).read_bytes() for place in places}
    assert statuses == [SUCCESS, SUCCESS]
    assert texts == {True, False}
    assert conflict.differing_keywords == "PatientComments"


def test_of_two_transfer_syntaxes_the_explicit_one_is_taken(node: Node) -> None:
    ae = AE()
    ae.add_requested_context(small().SOPClassUID, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])

    assoc = ae.associate("127.0.0.1", node.port, ae_title="MAMMONODE")
    assoc.release()

    assert assoc.accepted_contexts[0].transfer_syntax == [ExplicitVRLittleEndian]


def test_dcmtk_sends_a_study(node: Node, tmp_path: Path) -> None:
    storescu = require_peer("/usr/bin/storescu")
    for ds in screening_study(rows=64, columns=48):
        write(ds, tmp_path / "sent")

    command = [str(storescu), "-aec", "MAMMONODE", "127.0.0.1", str(node.port), "+sd"]
    result = subprocess.run([*command, str(tmp_path / "sent")], capture_output=True, check=False)

    assert result.returncode == 0, result.stderr
    assert len(node.instances()) == 4


def test_an_object_whose_association_breaks_halfway_leaves_nothing_behind(node: Node) -> None:
    with associated_socket(node.port) as connection:
        connection.sendall(c_store_command())
        connection.sendall(p_data(b"\x00" + b"half an object"))
        wait_until(lambda: len(node.incoming()) == 1, "the object to begin")

    wait_until(lambda: node.incoming() == [], "the half object to be deleted")
    assert node.instances() == {}
    assert echo(node.port)


def test_a_disk_that_fills_up_within_an_object_costs_that_object_alone(node: Node) -> None:
    """The kernel refuses to let a file grow, as it does when the disk is full."""
    ds = mammogram(rows=1500, columns=1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = Records()

    with log.of("node.intake"), association_to(node.port, [ds]) as assoc:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            response = assoc.send_c_store(ds)
            wait_until(lambda: assoc.is_aborted, "the association to be aborted")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "Status" not in response
    wait_until(lambda: node.incoming() == [], "what was written to be deleted")
    assert log.events("association_aborted")[0].reason.startswith("the object could not be written")
    assert send(node.port, [ds]) == [SUCCESS]


def test_an_instance_that_the_store_cannot_take_is_not_acknowledged(node: Node) -> None:
    studies = node.settings.data_dir / "studies"
    studies.rmdir()
    studies.write_text("a file where the folder should be")

    statuses = send(node.port, [small()])
    studies.unlink()
    again = send(node.port, [small()])

    assert statuses == [OUT_OF_RESOURCES]
    assert again == [SUCCESS]
    assert node.incoming() == []


def test_an_instance_that_the_log_cannot_take_is_not_acknowledged(node: Node) -> None:
    with node.database.writing() as session:
        session.execute(text("ALTER TABLE instance RENAME TO instance_elsewhere"))

    statuses = send(node.port, [small()])
    with node.database.writing() as session:
        session.execute(text("ALTER TABLE instance_elsewhere RENAME TO instance"))
    again = send(node.port, [small()])

    assert statuses == [OUT_OF_RESOURCES]
    assert again == [SUCCESS]
    assert len(node.instances()) == 1


def test_an_instance_is_durable_when_it_is_acknowledged(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order in which the disk is told: content, folder, then the log's own flush."""
    flushed: list[str] = []
    fsync = os.fsync

    def noting_fsync(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    with association_to(node.port, [small()]) as assoc:
        response = assoc.send_c_store(small())
        flushed_by_then = list(flushed)

    (row,) = node.instances().values()
    folder = node.store.path(row.path).parent
    assert response.Status == SUCCESS
    assert Path(flushed_by_then[0]).parent == node.store.incoming
    assert flushed_by_then[-1] == str(folder)
    assert {str(folder.parent), str(folder.parent.parent)} <= set(flushed_by_then)


def test_a_pdu_that_claims_gigabytes_is_not_read(node: Node) -> None:
    with associated_socket(node.port) as connection:
        connection.sendall(struct.pack(">BBL", P_DATA_TF, 0, 0xFFFFFFF0) + bytes(1000))

        assert read_until_closed(connection)[:1] in ABORTED
    assert echo(node.port)


def test_a_command_without_end_is_cut_off(node: Node) -> None:
    log = Records()

    with log.of("node.intake"), associated_socket(node.port) as connection:
        for _ in range(20):
            connection.sendall(p_data(b"\x01" + bytes(10_000)))
        answer = read_until_closed(connection)

    assert answer[:1] in ABORTED
    assert log.events("association_aborted")[0].reason.startswith("a command set of more than")


def test_a_query_as_long_as_an_image_is_cut_off(node: Node) -> None:
    """pynetdicom keeps the identifier of a C-FIND in memory, whatever its length."""
    log = Records()

    with log.of("node.intake"), associated_socket(node.port) as connection:
        connection.sendall(c_store_command(command_field=0x0020))
        for _ in range(20):
            connection.sendall(p_data(b"\x00" + bytes(100_000)))
        answer = read_until_closed(connection)

    assert answer[:1] in ABORTED
    assert log.events("association_aborted")[0].reason.startswith("a message of more than")


def test_a_peer_that_falls_silent_within_a_pdu_is_let_go(tmp_path: Path) -> None:
    with running(tmp_path, network_timeout_s=0.3) as node:
        with associated_socket(node.port) as connection:
            connection.sendall(struct.pack(">BBL", P_DATA_TF, 0, 1000) + bytes(10))

            read_until_closed(connection)

        assert echo(node.port)


def test_a_connection_that_asks_for_nothing_does_not_keep_the_receiver(tmp_path: Path) -> None:
    with running(tmp_path) as node:
        connection = socket.create_connection(("127.0.0.1", node.port))

        node.receiver.stop(deadline_s=1)

        connection.close()


def test_stopping_lets_an_open_association_end(node: Node) -> None:
    ds = small()
    with association_to(node.port, [ds]) as assoc:
        stopping = threading.Thread(target=node.receiver.stop)
        stopping.start()
        wait_until(lambda: not can_connect(node.port), "the receiver to take no more connections")

        status = assoc.send_c_store(ds).Status
    stopping.join()

    assert status == SUCCESS
    assert assoc.is_released
    assert list(node.instances()) == [ds.SOPInstanceUID]


def test_stopping_aborts_an_association_that_does_not_end(node: Node) -> None:
    with association_to(node.port, [small()]) as assoc:
        node.receiver.stop(deadline_s=0.2)

        wait_until(lambda: assoc.is_aborted, "the association to be aborted")


def test_a_port_that_is_taken_is_said_so(node: Node, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "other", receive=ReceiveSettings(port=node.port))
    other = Receiver(settings, node.database, Store(settings.data_dir))

    with pytest.raises(PermanentError, match=f"port {node.port}"):
        other.start()


def test_what_was_being_received_when_the_node_died_is_thrown_away(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    store.prepare()
    (store.incoming / "half.dcm").write_bytes(b"half an object")

    with running(tmp_path) as node:
        assert files_below(node.store.incoming) == []


class Records(logging.Handler):
    """Keeps log records."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def events(self, name: str) -> list[Any]:
        return [record for record in self.records if record.event == name]

    @contextmanager
    def of(self, logger_name: str) -> Iterator[None]:
        logger = logging.getLogger(logger_name)
        level = logger.level
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(level)


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def associated_socket(port: int) -> Iterator[socket.socket]:
    """Negotiate one mammography context (id 1) by hand; then anything can be sent."""
    sop_class = str(small().SOPClassUID).encode()

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    contexts = item(
        0x20,
        struct.pack(">BBBB", 1, 0, 0, 0)
        + item(0x30, sop_class)
        + item(0x40, ExplicitVRLittleEndian.encode()),
    )
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3"))
    titles = b"MAMMONODE".ljust(16) + b"TESTSCU".ljust(16) + bytes(32)
    body = struct.pack(">HH", 1, 0) + titles + item(0x10, b"1.2.840.10008.3.1.1.1")
    body += contexts + user
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(struct.pack(">BBL", 1, 0, len(body)) + body)
        head = connection.recv(6)
        assert head[0] == 0x02, "expected an A-ASSOCIATE-AC"
        connection.recv(struct.unpack(">L", head[2:])[0], socket.MSG_WAITALL)
        yield connection


def p_data(fragment: bytes) -> bytes:
    """Wrap one fragment, its control header first, into a P-DATA-TF PDU."""
    item = struct.pack(">LB", len(fragment) + 1, 1) + fragment
    return struct.pack(">BBL", P_DATA_TF, 0, len(item)) + item


def c_store_command(command_field: int = 0x0001) -> bytes:
    """Make the command set of a C-STORE-RQ (or of another request with a data set)."""
    ds = small()

    def element(number: int, value: bytes) -> bytes:
        padded = value + b"\x00" * (len(value) % 2)
        return struct.pack("<HHL", 0, number, len(padded)) + padded

    body = b"".join(
        (
            element(0x0002, str(ds.SOPClassUID).encode()),
            element(0x0100, struct.pack("<H", command_field)),
            element(0x0110, struct.pack("<H", 1)),
            element(0x0700, struct.pack("<H", 0)),
            element(0x0800, struct.pack("<H", 0x0001)),
            element(0x1000, str(ds.SOPInstanceUID).encode()),
        )
    )
    return p_data(b"\x03" + element(0x0000, struct.pack("<L", len(body))) + body)


def read_until_closed(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(4096):
            received += piece
    except ConnectionResetError:
        pass
    return received
