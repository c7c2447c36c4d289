"""An association with a destination: time-outs, TLS, and why there is none."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from node.delivery.checkpoint import give_checkpoint
from node.errors import PermanentError, TransientError
from node.settings import DeliverySettings, PeerSettings

REJECTED = (0x01, 0x02)
"""Permanently or for now, PS3.8 9.3.4."""


@contextmanager
def associated(
    destination: PeerSettings,
    contexts: Sequence[PresentationContext],
    *,
    calling_ae_title: str,
    delivery: DeliverySettings,
    evt_handlers: Sequence[EventHandlerType] = (),
) -> Iterator[Association]:
    """Hold an association as long as the block lasts, and release it.

    Where the peer accepts none of the contexts, the association that the block gets has no accepted
    context and has ended already.

    Parameters
    ----------
    destination, contexts, calling_ae_title, delivery, evt_handlers
        As for `request_association`.

    Raises
    ------
    TransientError
        If it is rejected, or nobody answers.
    PermanentError
        If the files for TLS cannot be used.
    """
    association = request_association(
        destination,
        contexts,
        calling_ae_title=calling_ae_title,
        delivery=delivery,
        evt_handlers=evt_handlers,
    )
    # An association that was accepted without any of its contexts pynetdicom ends by itself.
    if not association.is_established and not association.rejected_contexts:
        raise TransientError(reason=_why_not_established(association, destination))
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def request_association(
    destination: PeerSettings,
    contexts: Sequence[PresentationContext],
    *,
    calling_ae_title: str,
    delivery: DeliverySettings,
    evt_handlers: Sequence[EventHandlerType] = (),
) -> Association:
    """Request an association, over TLS where the destination has it, and return what came of it.

    Parameters
    ----------
    destination
        Whom to ask.
    contexts
        Presentation contexts to propose.
    calling_ae_title
        The node's own AE title.
    delivery
        Its time-outs count.
    evt_handlers
        For what the peer may ask in turn.

    Raises
    ------
    PermanentError
        If the files for TLS cannot be used.
    """
    ae = AE(ae_title=calling_ae_title)
    ae.connection_timeout = delivery.connection_timeout_s
    ae.acse_timeout = delivery.acse_timeout_s
    ae.dimse_timeout = delivery.dimse_timeout_s
    ae.network_timeout = delivery.network_timeout_s
    association = ae.associate(
        destination.host,
        destination.port,
        contexts=list(contexts),
        ae_title=destination.ae_title,
        tls_args=(_tls_context(destination), destination.host) if destination.tls else None,
        evt_handlers=[(evt.EVT_CONN_OPEN, _bound_its_waits), *evt_handlers],
    )
    give_checkpoint(association)
    return association


def _bound_its_waits(event: evt.Event) -> None:
    """Let no read or write wait without end for a peer that falls silent, or deaf, within a PDU.

    pynetdicom's own time-outs count between PDUs; the thread that is in the middle of one would
    wait for ever, and whoever ends the association would wait for that thread.
    """
    assoc = event.assoc
    connection = assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.settimeout(assoc.network_timeout)


def _tls_context(destination: PeerSettings) -> ssl.SSLContext:
    """Make what TLS needs: the peer must prove its name, and is shown ours if there is one.

    PS3.15 B.12 (BCP 195 TLS Profile): TLS 1.2 at the least.
    """
    try:
        context = ssl.create_default_context(cafile=destination.tls_ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if destination.tls_certificate_file:
            context.load_cert_chain(
                destination.tls_certificate_file, destination.tls_key_file or None
            )
    except OSError as error:  # ssl.SSLError is one
        raise PermanentError(
            reason=f"The files for TLS with {destination.ae_title} cannot be used: "
            f"{error.strerror}. "
            "Expected PEM files that this user can read: tls_ca_file, tls_certificate_file, "
            "tls_key_file"
        ) from error
    return context


def _why_not_established(association: Association, destination: PeerSettings) -> str:
    """Tell a refusal, with the peer's own words, from a peer that is not there."""
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    # Where the peer rejects it and closes the connection before pynetdicom's thread has looked,
    # that one takes it for a connection that never was, and leaves the answer where it came in.
    answer = association.acceptor.primitive or association.dul.peek_next_pdu()
    if isinstance(answer, A_ASSOCIATE) and answer.result in REJECTED:
        return f"{where} rejected the association: {answer.reason_str}"
    over_tls = " no TLS agreed (certificates, versions)," if destination.tls else ""
    return f"No association with {where}: unreachable,{over_tls} or it broke off"
