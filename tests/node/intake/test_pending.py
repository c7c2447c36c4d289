"""Responses that are encoded in the shortest way."""

from io import BytesIO

import pytest
from pynetdicom import dimse_messages
from pynetdicom.dimse_primitives import C_FIND

from node.intake.pending import pending_response


def response(status: int = 0xFF00, identifier: bytes | None = b"an identifier ") -> C_FIND:
    made = C_FIND()
    made.MessageID = made.MessageIDBeingRespondedTo = 7
    made.AffectedSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    made.Status = status
    made.Identifier = None if identifier is None else BytesIO(identifier)
    return made


@pytest.mark.parametrize("status", [0xFF00, 0xFF01])
def test_a_pending_response_is_what_pynetdicom_would_send(status: int) -> None:
    message = dimse_messages.C_FIND_RSP()
    message.primitive_to_message(response(status))
    expected = [
        [tuple(item) for item in part.presentation_data_value_list]
        for part in message.encode_msg(3, 16382)
    ]

    made = pending_response(response(status), 3, 16382)

    assert [
        [tuple(item) for item in part.presentation_data_value_list] for part in made
    ] == expected


@pytest.mark.parametrize(
    "other, max_pdu_bytes",
    [
        (response(0x0000, None), 0),
        (response(0xA900, None), 0),
        (response(0xFF00, b"x" * 5_000), 4_096),
    ],
    ids=["the last one", "a refusal", "one of several PDUs"],
)
def test_other_responses_are_left_to_pynetdicom(other: C_FIND, max_pdu_bytes: int) -> None:
    assert pending_response(other, 3, max_pdu_bytes) == []
