"""The conformance statement says what the code does."""

import re
from pathlib import Path

import pytest

from node import conformance
from node.conformance import data_dictionary, private_codes, statement, toolkits
from node.intake.answers import ANSWERS
from node.intake.contexts import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from node.query.keys import KEYS
from node.query.private import PRIVATE_KEYS
from node.query.statuses import FIND_ANSWERS, RETRIEVE_ANSWERS
from node.report.codes import PRIVATE_SCHEME
from node.report.object_profiles import OBJECT_PROFILES

WRITTEN = Path(__file__).parents[2] / "docs" / "conformance.md"


def without_lists_of_uids(text: str) -> str:
    """Leave out what changes with the version of pydicom alone."""
    return re.sub(
        r"^\|.*\| 1\.2\.840\.10008\.[\d.]+ \|.*\n|^.*Lists of UIDs:.*\n", "", text, flags=re.M
    )


def test_the_statement_in_the_documentation_is_the_one_that_the_code_makes() -> None:
    written, made = WRITTEN.read_text(encoding="utf-8"), statement()

    if toolkits() not in written:  # another pydicom has other lists; all else must be the same
        written, made = without_lists_of_uids(written), without_lists_of_uids(made)
    assert written == made, "run: python -m node.conformance docs/conformance.md"


def test_every_list_that_is_accepted_stands_in_the_statement() -> None:
    text = statement()

    for uid in (*STORAGE_SOP_CLASSES, *TRANSFER_SYNTAXES):
        assert f"| {uid} |" in text
    for answer in ANSWERS:
        assert f"| 0x{answer.status:04X} | {answer.meaning} |" in text


def test_every_code_that_a_kind_may_hold_stands_in_the_statement() -> None:
    text = statement()

    for profile in OBJECT_PROFILES.values():
        for used in profile.codes:
            for code in used.codes:
                assert f'({code.value}, {code.scheme_designator}, "{code.meaning}")' in text


def test_the_private_codes_are_all_there() -> None:
    values = [code.value for code in private_codes()]

    assert "MALIGNANCY_SCORE" in values
    assert values == sorted(set(values))
    assert {code.scheme_designator for code in private_codes()} == {PRIVATE_SCHEME}


def test_the_statement_is_written_to_the_file_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conformance.main([str(tmp_path / "c.md")])
    conformance.main([])

    assert (tmp_path / "c.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_the_data_dictionary_in_the_documentation_is_the_one_that_the_code_makes() -> None:
    written = WRITTEN.with_name("mammonode.dic").read_text(encoding="utf-8")

    assert written == data_dictionary(), "run: python -m node.conformance docs/mammonode.dic"


def test_every_key_and_every_status_of_a_query_stands_in_the_statement() -> None:
    text = statement()

    for key in KEYS:
        assert f"({key.tag >> 16:04X},{key.tag & 0xFFFF:04X}) | {key.matching.value} |" in text
    for private_key in PRIVATE_KEYS.values():
        assert f"| {private_key.name} | (4D4D,xx{private_key.element:02X}) |" in text
    for answer in (*FIND_ANSWERS, *RETRIEVE_ANSWERS):
        assert f"| 0x{answer.status:04X} | {answer.meaning} |" in text


def test_a_dictionary_is_written_to_a_file_that_ends_so(tmp_path: Path) -> None:
    conformance.main([str(tmp_path / "a.dic")])

    assert (tmp_path / "a.dic").read_text(encoding="utf-8") == data_dictionary()
