"""Identifiers that no client would send."""

import random
import warnings
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from node.errors import RefusedQuery, RejectedInstance
from node.header import read_message
from node.query.identifier import read_query
from node.query.levels import Root
from querying import keys, with_private

MUTATIONS = 1_000
SYNTAXES = {"1.2.840.10008.1.2": (True, True), "1.2.840.10008.1.2.1": (False, True)}


def whole() -> Dataset:
    return with_private(
        keys(
            SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientID="1*", PatientName="A^B=山^田",
            StudyDate="20260101-20260102", StudyTime="10-11", ModalitiesInStudy=["MG", "SR"],
            StudyInstanceUID=["1.2.3", "1.2.4"], NumberOfStudyRelatedInstances=None,
        ),
        e01="FAILED", e0C="20260101-", e0D="0.5",
    )  # fmt: skip


def mutated(encoded: bytes, chance: random.Random) -> bytes:
    """Flip bits, cut, repeat or leave out a part of it."""
    data = bytearray(encoded)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.randrange(256)
        elif kind == 2:
            del data[at : at + chance.randint(1, 12)]
        else:
            data[at:at] = data[at : at + chance.randint(1, 24)]
        if not data:
            return b""
    return bytes(data)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_broken_identifier_is_read_or_refused_and_nothing_else(syntax: str) -> None:
    encoded = encode(whole(), *SYNTAXES[syntax])
    assert encoded is not None
    chance = random.Random(20260302)
    read, refused = 0, []

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about what is sent on purpose
        for _ in range(MUTATIONS):
            broken = BytesIO(mutated(encoded, chance))
            try:
                read_query(read_message(broken, transfer_syntax_uid=syntax), Root.STUDY)
                read += 1
            except RejectedInstance:
                pass  # no data set: `read_identifier` makes a refusal of it
            except RefusedQuery as error:
                refused.append(error)

    assert {error.status for error in refused} == {0xA900, 0xC000}
    assert max(len(error.reason) for error in refused) <= 64  # PS3.7 E.2: Error Comment is LO
    assert read > MUTATIONS // 20
