"""Deliveries over TLS, with certificates made here; and to peers that fall silent."""

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom.uid import UID
from pynetdicom import build_context, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time
from sqlalchemy import select, update

from delivering import DeliveringNode, delivering_node
from half_dead import FallsSilent, half_dead_peer
from node.check import Verdict, run_checks
from node.delivery.association import associated
from node.errors import TransientError
from node.result_kinds import ResultKind
from node.settings import DeliverySettings, DestinationSettings
from node.study_log.tables import DeliveryObject, DeliveryState, Result
from peers import LoopbackPACS, loopback_pacs
from phantoms import mammogram, to_bytes

GIVEN_UP_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A certificate authority, what it gave the node, and one that nobody trusts."""

    ca_file: str
    other_ca_file: str
    node_file: str
    node_key_file: str
    stranger_file: str
    for_pacs: ssl.SSLContext
    for_another_host: ssl.SSLContext


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    ca, other_ca = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    other_ca.cert_pem.write_to_path(str(folder / "other_ca.pem"))
    own = ca.issue_cert("node.hospital.example")
    own.cert_chain_pems[0].write_to_path(str(folder / "node.pem"))
    own.private_key_pem.write_to_path(str(folder / "node.key"))
    stranger = other_ca.issue_cert("stranger.example")
    stranger.private_key_and_cert_chain_pem.write_to_path(str(folder / "stranger.pem"))

    def server(host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
        ca.issue_cert(host).configure_cert(context)
        return context

    return Certificates(
        ca_file=str(folder / "ca.pem"),
        other_ca_file=str(folder / "other_ca.pem"),
        node_file=str(folder / "node.pem"),
        node_key_file=str(folder / "node.key"),
        stranger_file=str(folder / "stranger.pem"),
        for_pacs=server("127.0.0.1"),
        for_another_host=server("192.0.2.1"),
    )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[DeliveringNode]:
    with delivering_node(tmp_path) as node:
        yield node


@pytest.fixture
def pacs(certificates: Certificates) -> Iterator[LoopbackPACS]:
    """A PACS that speaks TLS, and only to those whom its certificate authority knows."""
    with loopback_pacs(tls=certificates.for_pacs) as pacs:
        yield pacs


def test_results_go_over_tls_between_peers_that_know_each_other(
    node: DeliveringNode, pacs: LoopbackPACS, certificates: Certificates
) -> None:
    node.attempt(
        node.deliverer(
            pacs.port,
            tls=True,
            tls_ca_file=certificates.ca_file,
            tls_certificate_file=certificates.node_file,
            tls_key_file=certificates.node_key_file,
            confirm="query",
        )
    )

    assert node.delivery().state == DeliveryState.COMPLETED
    assert len(pacs.received) == len(node.uids)


@pytest.mark.parametrize("shows", ["nothing", "a stranger's certificate"])
def test_a_pacs_that_does_not_know_the_node_gets_nothing(
    node: DeliveringNode, pacs: LoopbackPACS, certificates: Certificates, shows: str
) -> None:
    own: dict[str, Any] = (
        {} if shows == "nothing" else {"tls_certificate_file": certificates.stranger_file}
    )

    node.attempt(
        node.deliverer(
            pacs.port, tls=True, tls_ca_file=certificates.ca_file, acse_timeout_s=5, **own
        )
    )

    assert pacs.received == []
    assert node.delivery().state == DeliveryState.PENDING
    assert "no TLS agreed" in node.delivery().reason


def test_a_pacs_that_the_node_does_not_know_gets_nothing(
    node: DeliveringNode, pacs: LoopbackPACS, certificates: Certificates
) -> None:
    node.attempt(
        node.deliverer(
            pacs.port,
            tls=True,
            tls_ca_file=certificates.other_ca_file,
            tls_certificate_file=certificates.node_file,
            tls_key_file=certificates.node_key_file,
        )
    )

    assert pacs.received == []
    assert "no TLS agreed" in node.delivery().reason


def test_a_certificate_that_names_another_host_is_not_trusted(
    node: DeliveringNode, certificates: Certificates
) -> None:
    with loopback_pacs(tls=certificates.for_another_host) as pacs:
        node.attempt(
            node.deliverer(
                pacs.port,
                tls=True,
                tls_ca_file=certificates.ca_file,
                tls_certificate_file=certificates.node_file,
                tls_key_file=certificates.node_key_file,
            )
        )

    assert pacs.received == []
    assert node.delivery().state == DeliveryState.PENDING


def test_files_that_cannot_be_used_fail_the_delivery_and_are_named(
    node: DeliveringNode, pacs: LoopbackPACS, tmp_path: Path
) -> None:
    node.attempt(node.deliverer(pacs.port, tls=True, tls_ca_file=str(tmp_path / "none.pem")))

    assert node.delivery().state == DeliveryState.FAILED
    assert "tls_ca_file" in node.delivery().reason
    assert "No such file" in node.delivery().reason


def test_the_check_of_a_destination_speaks_tls(
    node: DeliveringNode, pacs: LoopbackPACS, certificates: Certificates
) -> None:
    def verdict(**tls: Any) -> Verdict:
        settings = node.settings(pacs.port, tls=True, **tls)
        checks = {check.name: check for check in run_checks(settings)}
        return checks["destination pacs"].verdict

    known = {
        "tls_certificate_file": certificates.node_file,
        "tls_key_file": certificates.node_key_file,
    }

    assert verdict(tls_ca_file=certificates.ca_file, **known) is Verdict.OK
    assert verdict(tls_ca_file=certificates.other_ca_file, **known) is Verdict.FAIL
    assert verdict(tls_ca_file="/nowhere/ca.pem", **known) is Verdict.FAIL


@pytest.mark.parametrize("confirm", ["none", "commitment", "query"])
@pytest.mark.parametrize("falls_silent", FallsSilent)
def test_a_peer_that_falls_silent_is_waited_for_no_longer_than_agreed(
    tmp_path: Path, falls_silent: FallsSilent, confirm: str
) -> None:
    """Be it a C-STORE, an N-ACTION or a C-FIND that is under way; and no thread is left waiting."""
    time_outs: dict[str, Any] = dict.fromkeys(
        ("connection_timeout_s", "acse_timeout_s", "dimse_timeout_s", "network_timeout_s"), 0.5
    )
    with (
        delivering_node(tmp_path) as node,
        loopback_pacs() as pacs,
        half_dead_peer(pacs.port, falls_silent) as port,
    ):
        if confirm == "none":
            make_large(node)
        else:
            acknowledge_all(node)
        deliverer = node.deliverer(port, confirm=confirm, **time_outs)
        trying = threading.Thread(target=node.attempt, args=(deliverer,), daemon=True)
        trying.start()
        trying.join(GIVEN_UP_S)

        assert not trying.is_alive()
        assert node.delivery().state == DeliveryState.PENDING
        left = [t.name for t in threading.enumerate() if t.name.startswith("RequestorThread")]
        assert left == []


def make_large(node: DeliveringNode) -> None:
    """Let the first object be one that no socket takes in at once."""
    with node.database.reading() as session:
        result = session.scalars(select(Result).order_by(Result.id)).first()
        assert result is not None
    ds = mammogram(rows=3000, columns=2000, study_instance_uid=node.study_instance_uid)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(result.sop_instance_uid)
    node.store.keep_bytes(to_bytes(ds), result.path)


def acknowledge_all(node: DeliveringNode) -> None:
    """Let nothing be left to send, only to be asked for."""
    with node.database.writing() as session:
        session.execute(update(DeliveryObject).values(acknowledged_at=node.now))


def test_a_rejection_is_told_though_the_connection_is_gone_before_anybody_looks() -> None:
    is_closed = threading.Event()
    with loopback_pacs() as pacs:
        destination = DestinationSettings(
            name="other",
            ae_title="OTHER",
            host="127.0.0.1",
            port=pacs.port,
            results=(ResultKind.SCORE_REPORT,),
        )
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, lambda _event: is_closed.wait(GIVEN_UP_S)),
            (evt.EVT_CONN_CLOSE, lambda _event: is_closed.set()),
        ]

        with (
            pytest.raises(TransientError, match="rejected the association: Called AE title"),
            associated(
                destination,
                [build_context(Verification)],
                calling_ae_title="MAMMONODE",
                delivery=DeliverySettings(),
                evt_handlers=handlers,
            ),
        ):
            pass

    assert is_closed.is_set()
