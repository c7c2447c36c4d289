"""What the SCP supports: SOP classes and transfer syntaxes, PS3.8 7.1.1.13."""

from collections.abc import Collection, Iterable, Sequence
from itertools import product
from typing import cast

from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import evt
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext

from node.delivery.commitment import STORAGE_COMMITMENT

_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
_LAST_CHOICES = (ImplicitVRLittleEndian, ExplicitVRBigEndian)

TRANSFER_SYNTAXES: tuple[UID, ...] = (
    ExplicitVRLittleEndian,
    *(s for s in AllTransferSyntaxes if s not in (ExplicitVRLittleEndian, *_LAST_CHOICES)),
    *_LAST_CHOICES,
)
"""All that pydicom lists, each stored as it comes; of several in one context the first is taken."""

STORAGE_SOP_CLASSES: tuple[UID, ...] = tuple(
    cast("UID", context.abstract_syntax) for context in AllStoragePresentationContexts
)
VERIFICATION_SOP_CLASSES: tuple[UID, ...] = (UID("1.2.840.10008.1.1"),)

PATIENT_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
QUERY_SOP_CLASSES: dict[evt.InterventionEvent, tuple[UID, ...]] = {
    evt.EVT_C_FIND: (PATIENT_ROOT_FIND, STUDY_ROOT_FIND),
    evt.EVT_C_MOVE: (UID("1.2.840.10008.5.1.4.1.2.1.2"), UID("1.2.840.10008.5.1.4.1.2.2.2")),
    evt.EVT_C_GET: (UID("1.2.840.10008.5.1.4.1.2.1.3"), UID("1.2.840.10008.5.1.4.1.2.2.3")),
}
"""Patient Root and Study Root (PS3.4 C.6.1, C.6.2), by the event whose handler serves them."""


class SupportedContexts:
    """The presentation contexts that a caller is offered; made once, never changed.

    Parameters
    ----------
    senders
        Calling AE titles that may store; empty: any.
    reporters
        Calling AE titles that may report on storage commitment.
    queriers
        Calling AE titles that may query and retrieve; None: any.
    served
        Of `QUERY_SOP_CLASSES`, those that there is a handler for.
    """

    def __init__(
        self,
        *,
        senders: Collection[str],
        reporters: Collection[str],
        queriers: Collection[str] | None = (),
        served: Collection[evt.InterventionEvent] = (),
    ) -> None:
        self._senders = frozenset(senders)
        self._reporters = frozenset(reporters)
        self._queriers = None if queriers is None else frozenset(queriers)
        self._query = [
            _context(uid, _UNCOMPRESSED)
            for event, sop_classes in QUERY_SOP_CLASSES.items()
            if event in served
            for uid in sop_classes
        ]
        verification = [_context(uid, _UNCOMPRESSED) for uid in VERIFICATION_SOP_CLASSES]
        storage = [_context(uid, TRANSFER_SYNTAXES) for uid in STORAGE_SOP_CLASSES]
        report = _context(STORAGE_COMMITMENT, _UNCOMPRESSED)
        # The archive is the SCP, though it asks for the association (PS3.4 J.3.3): it may propose
        # that role, and no other.
        report.scu_role, report.scp_role = False, True
        # C-GET brings objects over the association that it came by: there the caller is the SCP of
        # the storage contexts, and proposes that role (PS3.4 C.4.3.3).
        is_get_served = evt.EVT_C_GET in served
        brought_back = _with_roles(storage, scu=True, scp=True) if is_get_served else storage
        self._only_brought_back = {
            context.abstract_syntax: context
            for context in (_with_roles(storage, scu=False, scp=True) if is_get_served else ())
        }
        self._by_rights = {
            (may_store, may_report, may_query): [
                *((brought_back if may_query else storage) if may_store else ()),
                *verification,
                *((report,) if may_report else ()),
                *(self._query if may_query else ()),
            ]
            for may_store, may_report, may_query in product((True, False), repeat=3)
        }

    @property
    def callers(self) -> list[str]:
        """Calling AE titles that may associate; empty: any."""
        if not self._senders:
            return []
        return sorted(self._senders | self._reporters | (self._queriers or frozenset()))

    def offered_to(
        self, calling_ae_title: str, scp_roles: Iterable[str] = ()
    ) -> list[PresentationContext]:
        """Give what a caller may propose.

        Parameters
        ----------
        calling_ae_title
            Its AE title.
        scp_roles
            SOP classes that it proposes to be the SCP of. Who may query and not store is offered
            those Storage SOP classes and no other, to retrieve by C-GET.
        """
        may_store = not self._senders or calling_ae_title in self._senders
        may_query = self._may_query(calling_ae_title)
        offered = self._by_rights[may_store, calling_ae_title in self._reporters, may_query]
        if may_store or not may_query:
            return offered
        roles = (self._only_brought_back.get(UID(uid)) for uid in scp_roles)
        return [*offered, *(context for context in roles if context is not None)]

    def is_query(self, calling_ae_title: str, proposed: Iterable[PresentationContext]) -> bool:
        """Say whether a caller asks for an association by which it could query or retrieve."""
        served = {context.abstract_syntax for context in self._query}
        return self._may_query(calling_ae_title) and any(
            context.abstract_syntax in served for context in proposed
        )

    def _may_query(self, calling_ae_title: str) -> bool:
        return self._queriers is None or calling_ae_title in self._queriers


def _context(sop_class: UID, syntaxes: Sequence[UID]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = sop_class
    context.transfer_syntax = list(syntaxes)
    return context


def _with_roles(
    contexts: Iterable[PresentationContext], *, scu: bool, scp: bool
) -> list[PresentationContext]:
    """Let the caller propose to be the SCU, the SCP or both (PS3.7 D.3.3.4)."""
    copies = []
    for context in contexts:
        copy = _context(cast("UID", context.abstract_syntax), context.transfer_syntax)
        copy.scu_role, copy.scp_role = scu, scp
        copies.append(copy)
    return copies
