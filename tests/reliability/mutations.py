"""Broken data sets and broken PDUs, made from good ones; the same seed makes the same ones."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom.dsutils import encode

from phantoms import mammogram, uid

TRANSFER_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT")
VRS = (
    *LONG_VRS,
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"),
    *(b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US", b"??", b"\0\0", b"ZZ"),
)
SEQUENCES = ((0x0054, 0x0220), (0x0008, 0x1140), (0x0040, 0x0555), (0x0009, 0x1001))
"""View Code, Referenced Image and Acquisition Context Sequence, and a private one."""
LENGTHS = (0, 1, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """An encoded data set, without file meta information.

    Attributes
    ----------
    mutation
        What was done to it; empty if it is good.
    sop_instance_uid
        That the C-STORE request is to name.
    """

    mutation: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: bytes


@cache
def good_data_sets() -> tuple[DataSet, ...]:
    """Make a small mammogram in each of some transfer syntaxes."""
    return tuple(
        _encoded(mammogram(rows=64, columns=48, seed=seed, transfer_syntax=syntax))
        for seed, syntax in enumerate(TRANSFER_SYNTAXES, start=900)
    )


def mutated_data_sets(seed: int, count: int) -> Iterator[DataSet]:
    """Break good data sets, one or two mutations each.

    Half of them have a SOP Instance UID of their own, half contradict one that came before.
    """
    rng = random.Random(seed)
    good = good_data_sets()
    names = sorted(MUTATIONS)
    for number in range(count):
        original = rng.choice(good)
        is_deflated = original.transfer_syntax_uid == DeflatedExplicitVRLittleEndian
        data = original.data
        is_inside = is_deflated and rng.random() < 0.7
        if is_inside:
            data = zlib.decompress(data, -zlib.MAX_WBITS)
        sop_instance_uid = original.sop_instance_uid
        if rng.random() < 0.5:
            sop_instance_uid = uid("fuzz", seed, number).ljust(len(sop_instance_uid), "0")
            sop_instance_uid = sop_instance_uid[: len(original.sop_instance_uid)]
            data = data.replace(original.sop_instance_uid.encode(), sop_instance_uid.encode())
        chosen = [names[number % len(names)], *rng.sample(names, rng.choice((0, 0, 0, 1)))]
        big_endian = original.transfer_syntax_uid == ExplicitVRBigEndian
        for name in chosen:
            data = MUTATIONS[name](rng, data, ">" if big_endian else "<")
        if is_inside:
            deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            data = deflater.compress(data) + deflater.flush()
        yield DataSet(
            mutation=" and ".join(chosen),
            sop_class_uid=original.sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=original.transfer_syntax_uid,
            data=data + b"\0" * (len(data) % 2),
        )


def nested(
    depth: int,
    *,
    order: str = "<",
    is_defined: bool = False,
    tag: int = 0x00540220,
    vr: bytes = b"SQ",
    content: bytes = b"",
) -> bytes:
    """Encode sequences within sequences.

    Parameters
    ----------
    depth
        How many.
    order
        ``<`` for little, ``>`` for big endian.
    is_defined
        Whether their lengths are given.
    tag
        Of all of them.
    vr
        Of all of them; empty for Implicit VR. What is within one of VR UN is in Implicit VR.
    content
        Of the innermost item.
    """
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    inner = head if vr == b"UN" else head + vr + b"\0\0" * bool(vr)
    head += vr + b"\0\0" * bool(vr)
    if not is_defined:
        opening = struct.pack(f"{order}LHHL", 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
        closing = struct.pack(f"{order}HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        heads = (head + opening + (inner + opening) * (depth - 1)) if depth else b""
        return heads + content + closing * depth
    for level in range(depth, 0, -1):
        item = struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(content)) + content
        content = (head if level == 1 else inner) + struct.pack(f"{order}L", len(item)) + item
    return content


def mutated_sessions(
    seed: int, recorded: Sequence[bytes], count: int
) -> Iterator[tuple[str, list[bytes]]]:
    """Break what a sender said on one association; give each session's name and PDUs.

    Parameters
    ----------
    recorded
        The PDUs of a good session, in order, the A-ASSOCIATE-RQ first.
    """
    rng = random.Random(seed)
    names = sorted(PDU_MUTATIONS)
    for number in range(count):
        name = names[number % len(names)]
        pdus = list(recorded)
        for _ in range(rng.choice((1, 1, 1, 3))):
            # The first PDU opens the door to all others: often, it is left as it is.
            index = 0 if rng.random() < 0.4 else rng.randrange(len(pdus))
            PDU_MUTATIONS[name](rng, pdus, min(index, len(pdus) - 1))
        yield name, pdus


def _encoded(ds: Dataset) -> DataSet:
    transfer_syntax = UID(ds.file_meta.TransferSyntaxUID)
    data = encode(
        ds,
        transfer_syntax.is_implicit_VR,
        transfer_syntax.is_little_endian,
        transfer_syntax.is_deflated,
    )
    assert data is not None
    return DataSet(
        mutation="",
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        transfer_syntax_uid=str(transfer_syntax),
        data=data,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """Where an element of Explicit VR stands: its head, its value, its end."""

    begin: int
    value: int
    end: int


def _elements(data: bytes, order: str) -> list[_Element]:
    """Find the elements of the first level; those that can be, if the data set is broken."""
    found, position = [], 0
    while position + 8 <= len(data):
        vr = data[position + 4 : position + 6]
        if vr in LONG_VRS:
            value = position + 12
            if value > len(data):
                break
            (length,) = struct.unpack_from(f"{order}L", data, position + 8)
        elif vr.isalpha() and vr.isupper():
            value = position + 8
            (length,) = struct.unpack_from(f"{order}H", data, position + 6)
        else:  # implicit VR
            value = position + 8
            (length,) = struct.unpack_from(f"{order}L", data, position + 4)
        if value + length > len(data):
            break
        found.append(_Element(begin=position, value=value, end=value + length))
        position = value + length
    return found or [_Element(begin=0, value=0, end=len(data))]


def _truncated(rng: random.Random, data: bytes, _order: str) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _bits_flipped(rng: random.Random, data: bytes, _order: str) -> bytes:
    flipped = bytearray(data)
    # The header is where it hurts; the pixels are most of the bytes.
    end = len(data) if rng.random() < 0.3 else min(len(data), 1500)
    for _ in range(rng.randint(1, 16) if end else 0):
        flipped[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _wrong_length(rng: random.Random, data: bytes, order: str) -> bytes:
    element = rng.choice(_elements(data, order))
    changed = bytearray(data)
    width = 4 if element.value - element.begin == 12 else 2
    at = element.value - width
    if at < 0:
        return data
    length = rng.choice((*LENGTHS, rng.randrange(2**16), element.end - element.value + 1))
    kind = "L" if width == 4 else "H"
    struct.pack_into(f"{order}{kind}", changed, at, length & (2 ** (8 * width) - 1))
    return bytes(changed)


def _wrong_vr(rng: random.Random, data: bytes, order: str) -> bytes:
    element = rng.choice(_elements(data, order))
    at = element.begin + 4
    return data[:at] + rng.choice(VRS) + data[at + 2 :]


def _wrong_value(rng: random.Random, data: bytes, order: str) -> bytes:
    element = rng.choice(_elements(data, order))
    length = element.end - element.value
    alphabet = rng.choice((b"\\", b"\0", b"9", b"-1.e+999\\", bytes(range(256)), b"\x1b$B\x1b(J"))
    value = bytes(rng.choice(alphabet) for _ in range(min(length, 4096)))
    return data[: element.value] + value + data[element.value + len(value) :]


def _nested(rng: random.Random, data: bytes, order: str) -> bytes:
    group, number = rng.choice(SEQUENCES)
    inserted = nested(
        rng.choice((1, 31, 32, 33, 40, 500, 3000)),
        order=order,
        is_defined=rng.random() < 0.5,
        tag=group << 16 | number,
    )
    if rng.random() < 0.3:  # undefined within defined
        item = struct.pack(f"{order}HHL", 0xFFFE, 0xE000, len(inserted)) + inserted
        head = struct.pack(f"{order}HH2s2xL", group, number, b"SQ", len(item))
        inserted = head + item
    at = _place_of(data, order, (group, number))
    return data[:at] + inserted + data[at:]


def _place_of(data: bytes, order: str, tag: tuple[int, int]) -> int:
    for element in _elements(data, order):
        is_head = element.begin + 4 <= len(data)
        if is_head and struct.unpack_from(f"{order}HH", data, element.begin) >= tag:
            return element.begin
    return len(data)


def _element_gone(rng: random.Random, data: bytes, order: str) -> bytes:
    element = rng.choice(_elements(data, order))
    return data[: element.begin] + data[element.end :]


def _element_again(rng: random.Random, data: bytes, order: str) -> bytes:
    elements = _elements(data, order)
    element, place = rng.choice(elements), rng.choice(elements).begin
    return data[:place] + data[element.begin : element.end] * rng.choice((1, 2, 50)) + data[place:]


def _spliced(rng: random.Random, data: bytes, _order: str) -> bytes:
    if not data:
        return data
    one, other = rng.randrange(len(data)), rng.randrange(len(data))
    return data[:one] + data[other:]


def _noise(rng: random.Random, data: bytes, _order: str) -> bytes:
    begin = rng.randrange(len(data) + 1)
    noise = rng.randbytes(rng.choice((1, 8, 100, 3000)))
    return data[:begin] + noise + data[begin + len(noise) * rng.randrange(2) :]


MUTATIONS: dict[str, Callable[[random.Random, bytes, str], bytes]] = {
    "truncated": _truncated,
    "bits flipped": _bits_flipped,
    "wrong length": _wrong_length,
    "wrong VR": _wrong_vr,
    "wrong value": _wrong_value,
    "nested": _nested,
    "element gone": _element_gone,
    "element again": _element_again,
    "spliced": _spliced,
    "noise": _noise,
}
"""What can be done to a data set, given its byte order."""


def _pdu_truncated(rng: random.Random, pdus: list[bytes], index: int) -> None:
    del pdus[index + 1 :]
    pdus[index] = pdus[index][: rng.randrange(len(pdus[index]) + 1)]


def _pdu_bits_flipped(rng: random.Random, pdus: list[bytes], index: int) -> None:
    pdus[index] = _bits_flipped(rng, pdus[index], "")


def _pdu_body_flipped(rng: random.Random, pdus: list[bytes], index: int) -> None:
    """Leave type and length of the PDU as they are: what is inside is to be read."""
    pdus[index] = pdus[index][:6] + _bits_flipped(rng, pdus[index][6:], "")


def _pdu_wrong_length(rng: random.Random, pdus: list[bytes], index: int) -> None:
    length = rng.choice((*LENGTHS, 4, len(pdus[index]), 2**20, 2**20 + 1)) & 0xFFFFFFFF
    pdus[index] = pdus[index][:2] + struct.pack(">L", length) + pdus[index][6:]


def _pdu_wrong_type(rng: random.Random, pdus: list[bytes], index: int) -> None:
    pdus[index] = bytes([rng.choice((*range(9), 0x16, 0xFF))]) + pdus[index][1:]


def _pdu_item_length(rng: random.Random, pdus: list[bytes], index: int) -> None:
    """Change two bytes anywhere inside: most numbers in there are lengths."""
    pdu = pdus[index]
    if len(pdu) > 8:
        at = rng.randrange(6, len(pdu) - 1)
        pdus[index] = pdu[:at] + struct.pack(">H", rng.choice(LENGTHS) & 0xFFFF) + pdu[at + 2 :]


def _pdu_gone(rng: random.Random, pdus: list[bytes], index: int) -> None:
    if len(pdus) > 1:
        del pdus[index]


def _pdu_again(rng: random.Random, pdus: list[bytes], index: int) -> None:
    pdus[index : index + 1] = [pdus[index]] * rng.choice((2, 3, 20))


def _pdus_shuffled(rng: random.Random, pdus: list[bytes], index: int) -> None:
    rest = pdus[1:]
    rng.shuffle(rest)
    pdus[1:] = rest


def _pdu_noise(rng: random.Random, pdus: list[bytes], index: int) -> None:
    pdus.insert(index, rng.randbytes(rng.choice((1, 6, 7, 500, 70_000))))


def _pdu_values(rng: random.Random, pdus: list[bytes], index: int) -> None:
    """Put characters where AE titles and UIDs stand in an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    pdu = pdus[0]
    if len(pdu) < 80:
        return
    at = rng.choice((10, 26, rng.randrange(74, len(pdu) - 4)))
    characters = rng.choice((b"\\\0\xff\x1b", b"\xc3\x28\xa0", b"   ", b"../\n", b"1.."))
    width = 16 if at < 42 else rng.randint(1, 64)
    value = bytes(rng.choice(characters) for _ in range(width))
    pdus[0] = (pdu[:at] + value + pdu[at + width :])[: len(pdu)]


PDU_MUTATIONS: dict[str, Callable[[random.Random, list[bytes], int], None]] = {
    "truncated": _pdu_truncated,
    "bits flipped": _pdu_bits_flipped,
    "bits of the body flipped": _pdu_body_flipped,
    "wrong PDU length": _pdu_wrong_length,
    "wrong PDU type": _pdu_wrong_type,
    "wrong length inside": _pdu_item_length,
    "a PDU gone": _pdu_gone,
    "a PDU again": _pdu_again,
    "PDUs in another order": _pdus_shuffled,
    "noise": _pdu_noise,
    "wrong characters": _pdu_values,
}
"""What can be done to a session: to one of its PDUs, by index."""
