"""Responses of a long answer, encoded without what they all have in common.

pynetdicom makes three data sets of each response, which is most of the time that one takes; beside
long answers to queries what is received would wait for that.
"""

import struct
from typing import cast

from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.pdu_primitives import P_DATA

C_FIND_RSP = 0x8020
WITH_DATA_SET = 0x0001
"""Command Data Set Type (0000,0800), PS3.7 table E.1-1: any value but 0101."""

_PENDING = (0xFF00, 0xFF01)
_LAST_OF_COMMAND, _LAST_OF_DATA_SET = b"\x03", b"\x02"
"""Message Control Header, PS3.8 E.2."""
_PDU_OVERHEAD_BYTES = 12
"""Heads of a P-DATA-TF PDU and its one item, PS3.8 9.3.5, and the Message Control Header."""


def pending_response(response: C_FIND, context_id: int, max_pdu_bytes: int) -> list[P_DATA]:
    """Encode a C-FIND response with an identifier, PS3.7 9.3.2.2.

    Parameters
    ----------
    response
        Of any status.
    context_id
        Presentation context that it goes by.
    max_pdu_bytes
        What the peer takes; 0: anything.

    Returns
    -------
    primitives
        Of command set and identifier; none if it is no pending response, or one of several PDUs.
    """
    if response.Status not in _PENDING or response.Identifier is None:
        return []
    identifier = response.Identifier.getvalue()
    if max_pdu_bytes and len(identifier) + _PDU_OVERHEAD_BYTES > max_pdu_bytes:
        return []
    sop_class = cast("str", response.AffectedSOPClassUID).encode("ascii")
    command = b"".join(
        (
            _element(0x0002, sop_class + b"\x00" * (len(sop_class) % 2)),
            _element(0x0100, struct.pack("<H", C_FIND_RSP)),
            _element(0x0120, struct.pack("<H", response.MessageIDBeingRespondedTo)),
            _element(0x0800, struct.pack("<H", WITH_DATA_SET)),
            _element(0x0900, struct.pack("<H", response.Status)),
        )
    )
    length = _element(0x0000, struct.pack("<L", len(command)))
    return [
        _primitive(context_id, _LAST_OF_COMMAND + length + command),
        _primitive(context_id, _LAST_OF_DATA_SET + identifier),
    ]


def _element(element: int, value: bytes) -> bytes:
    """Encode an element of a command set: always Implicit VR Little Endian, PS3.7 6.3.1."""
    return struct.pack("<HHL", 0x0000, element, len(value)) + value


def _primitive(context_id: int, fragment: bytes) -> P_DATA:
    primitive = P_DATA()
    primitive.presentation_data_value_list.append((context_id, fragment))
    return primitive
