"""A short run of the fuzzer; `reliability.fuzz` is the command for a long one."""

from pathlib import Path

import pytest

from reliability.fuzz import fuzz
from reliability.mutations import MUTATIONS, PDU_MUTATIONS

pytestmark = pytest.mark.integration


def test_broken_data_sets_and_pdus_are_answered_or_aborted_and_leave_nothing(
    tmp_path: Path,
) -> None:
    outcome = fuzz(tmp_path, data_sets=200, pdus=66, seed=20)

    assert outcome.findings == []
    tried = {mutation for mutation, _ in outcome.answers}
    assert set(MUTATIONS) <= tried
    assert {f"PDU: {name}" for name in PDU_MUTATIONS} <= tried
