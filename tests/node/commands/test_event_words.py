"""Events in words."""

from typing import Any

import pytest

from node.commands.event_words import details_of, ending_of, what_happened

UID = "1.2.826.0.1.3680043.8.498.12345678901234567890.1"
ENDING = f"…{UID[-24:]}"


def test_an_event_has_words_and_an_unknown_one_its_name() -> None:
    assert what_happened("study_closed") == "complete"
    assert what_happened("something_new") == "something new"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ""),
        ({"revision": 2, "attempt": 1}, "revision 2"),
        ({"revision": 2, "attempt": 2, "reason": "disk full"}, "revision 2, attempt 2, disk full"),
        ({"destination": "pacs", "interruptions": 0, "reason": ""}, "to pacs"),
        (
            {"keywords": ["PatientID", "PatientName"], "by": "root"},
            "PatientID PatientName, by root",
        ),
        ({"destinations": ["pacs", "viewer"]}, "to pacs viewer"),
        ({"sop_instance_uid": UID, "size_bytes": 9, "kind": "image"}, ENDING),
        ({"committed": 4, "failed": {UID: "0x0110"}}, f"4 committed, failed {ENDING}: 0x0110"),
        ({"images": 5, "close_reason": "{quiet}"}, "5 images, {quiet}"),
    ],
)
def test_what_an_event_says_beside_is_put_in_words(fields: dict[str, Any], expected: str) -> None:
    assert details_of(fields) == expected


def test_the_end_of_a_uid_is_marked_as_such() -> None:
    assert ending_of(UID, 10) == f"…{UID[-10:]}"
    assert ending_of("1.2.3") == "1.2.3"
    assert not ending_of(UID, 3).startswith("….")
