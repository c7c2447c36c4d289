"""What the SCP supports: SOP classes and transfer syntaxes, PS3.8 7.1.1.13."""

from collections.abc import Collection, Sequence
from typing import cast

from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
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


class SupportedContexts:
    """The presentation contexts that a caller is offered; made once, never changed.

    Parameters
    ----------
    senders
        Calling AE titles that may store; empty: any.
    reporters
        Calling AE titles that may report on storage commitment.
    """

    def __init__(self, *, senders: Collection[str], reporters: Collection[str]) -> None:
        self._senders = frozenset(senders)
        self._reporters = frozenset(reporters)
        verification = [_context(uid, _UNCOMPRESSED) for uid in VERIFICATION_SOP_CLASSES]
        storage = [_context(uid, TRANSFER_SYNTAXES) for uid in STORAGE_SOP_CLASSES]
        report = _context(STORAGE_COMMITMENT, _UNCOMPRESSED)
        # The archive is the SCP, though it asks for the association (PS3.4 J.3.3): it may propose
        # that role, and no other.
        report.scu_role, report.scp_role = False, True
        self._by_rights = {
            (True, True): [*storage, *verification, report],
            (True, False): [*storage, *verification],
            (False, True): [*verification, report],
            (False, False): verification,
        }

    @property
    def callers(self) -> list[str]:
        """Calling AE titles that may associate; empty: any."""
        return sorted(self._senders | self._reporters) if self._senders else []

    def offered_to(self, calling_ae_title: str) -> list[PresentationContext]:
        """Give what a caller may propose."""
        may_store = not self._senders or calling_ae_title in self._senders
        return self._by_rights[may_store, calling_ae_title in self._reporters]


def _context(sop_class: UID, syntaxes: Sequence[UID]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = sop_class
    context.transfer_syntax = list(syntaxes)
    return context
