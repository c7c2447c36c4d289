from typing import Any

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from node.report import codes

ALL_CODES = sorted(
    {
        code
        for value in vars(codes).values()
        for code in (value.values() if isinstance(value, dict) else [value])
        if isinstance(code, Code)
    },
    key=lambda code: (code.scheme_designator, code.value),
)


@pytest.mark.parametrize("code", ALL_CODES, ids=lambda code: f"{code.meaning}")
def test_a_code_fits_its_value_representations(code: Code) -> None:
    assert 0 < len(code.value) <= 16
    assert 0 < len(code.scheme_designator) <= 16
    assert 0 < len(code.meaning) <= 64


@pytest.mark.parametrize(
    "code", [c for c in ALL_CODES if c.scheme_designator == "DCM"], ids=lambda code: code.meaning
)
def test_a_dicom_code_has_the_meaning_that_the_standard_gives_it(code: Code) -> None:
    by_keyword: Any = concepts["DCM"]
    known = {
        value: meaning
        for by_value in by_keyword.values()
        for value, (meaning, _) in by_value.items()
    }

    # Where a line may break, the tables that pydicom was made from hold a space of no width.
    assert known[code.value].replace("\u200b", "") == code.meaning


def test_private_codes_have_different_values_and_meanings() -> None:
    private = [c for c in ALL_CODES if c.scheme_designator == codes.PRIVATE_SCHEME]

    assert len({c.value for c in private}) == len({c.meaning for c in private}) == len(private)
