"""What the SCP supports: SOP classes and transfer syntaxes, PS3.8 7.1.1.13."""

from typing import cast

from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext

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


def supported_contexts() -> list[PresentationContext]:
    """Make the supported presentation contexts; shared by all associations, never changed."""
    contexts = []
    for sop_class, syntaxes in (
        *((uid, TRANSFER_SYNTAXES) for uid in STORAGE_SOP_CLASSES),
        *((uid, _UNCOMPRESSED) for uid in VERIFICATION_SOP_CLASSES),
    ):
        context = PresentationContext()
        context.abstract_syntax = sop_class
        context.transfer_syntax = list(syntaxes)
        contexts.append(context)
    return contexts
