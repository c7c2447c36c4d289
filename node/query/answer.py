"""What was found becomes a data set: PS3.4 C.4.1.1.3.2."""

import re
from datetime import UTC, datetime

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from node.query import private
from node.query.identifier import Query
from node.study_log.entities import Found

_LATIN_1 = "ISO_IR 100"
_UTF_8 = "ISO_IR 192"
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,11}")


def answer_of(found: Found, query: Query, *, ae_title: str) -> Dataset:
    """Make the identifier of one response.

    Its Specific Character Set (0008,0005) is left out where ASCII will do, is ISO_IR 100 where that
    will, and ISO_IR 192 otherwise, whatever that of the request.

    Parameters
    ----------
    found
        One entity of the level that was asked for.
    query
        What was asked.
    ae_title
        Of this node: it is retrieved from here.
    """
    ds = Dataset()
    ds.QueryRetrieveLevel = query.level.name
    ds.RetrieveAETitle = ae_title
    texts = []
    for key in query.keys:
        value = _value(found, key.source, key.vr)
        ds.add(DataElement(key.tag, key.vr, value))
        texts.append(value)
    if query.block is not None:
        block = private.GROUP << 16 | query.block
        ds.add(DataElement(block, "LO", private.CREATOR))
        for private_key in query.private_keys:
            tag = private.GROUP << 16 | query.block << 8 | private_key.element
            value = _value(found, private_key.source, private_key.vr)
            ds.add(DataElement(tag, private_key.vr, value))
            texts.append(value)
    character_set = _character_set("".join(text for text in texts if isinstance(text, str)))
    if character_set:
        ds.SpecificCharacterSet = character_set
    return ds


def _value(found: Found, source: str, vr: str) -> str | list[str] | None:
    """Fetch a value, and write it as its VR has it (PS3.5 6.2)."""
    value: object = found
    for name in source.split("."):
        value = None if value is None else getattr(value, name)
    if value is None:
        return None
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float):
        return format_number_as_ds(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y%m%d%H%M%S.%f}+0000"
    text = str(value)
    if vr == "IS" and not _WHOLE_NUMBER.fullmatch(text):
        return None  # some equipment writes what is no number
    return text


def _character_set(text: str) -> str:
    if text.isascii():
        return ""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return _UTF_8
    return _LATIN_1
