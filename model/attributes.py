"""Attributes of data sets that anybody may have written: what cannot be read is not there."""

import struct
from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

VALUE_ERRORS = (
    BytesLengthException,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom raises on the value of one element that is not what its VR says.

OSError where a sequence ends too soon, though the value is in memory; RecursionError where one is
nested without end.
"""


def value_of(ds: Dataset, keyword: str) -> object:
    """Give the value of an attribute; None if it is missing or cannot be read."""
    try:
        value: object = ds.get(keyword)
    except VALUE_ERRORS:
        return None
    return value


def items_of(ds: Dataset, keyword: str) -> list[Dataset]:
    """Give the items of a sequence; none if it is missing or is no sequence."""
    value = value_of(ds, keyword)
    if not isinstance(value, Iterable) or isinstance(value, str):
        return []
    return [item for item in value if isinstance(item, Dataset)]
