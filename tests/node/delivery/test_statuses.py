"""What the answer to a C-STORE request means."""

import pytest
from pynetdicom.status import GENERAL_STATUS, STORAGE_SERVICE_CLASS_STATUS

from node.delivery.statuses import STATUS_RULES, StatusClass, classify_status, meaning_of


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x0000, StatusClass.SUCCESS),
        (0xB000, StatusClass.WARNING),
        (0xB006, StatusClass.WARNING),
        (0xB007, StatusClass.WARNING),
        (0x0111, StatusClass.WARNING),
        (0xA700, StatusClass.TRANSIENT),
        (0xA7FF, StatusClass.TRANSIENT),
        (0x0110, StatusClass.TRANSIENT),
        (0x0122, StatusClass.PERMANENT),
        (0x0124, StatusClass.PERMANENT),
        (0xA900, StatusClass.PERMANENT),
        (0xC123, StatusClass.PERMANENT),
        (0x0212, StatusClass.PERMANENT),
    ],
)
def test_a_status_has_the_class_that_the_standard_gives_it(
    status: int, expected: StatusClass
) -> None:
    assert classify_status(status) is expected


def test_a_status_from_nowhere_is_tried_again() -> None:
    assert classify_status(0x7777) is StatusClass.TRANSIENT


def test_every_status_of_the_service_is_in_the_table() -> None:
    cancel_and_pending = {0xFE00, 0xFF00, 0xFF01}  # not of C-STORE
    statuses = {*GENERAL_STATUS, *STORAGE_SERVICE_CLASS_STATUS} - cancel_and_pending

    missing = [
        status
        for status in statuses
        if not any(rule.first <= status <= rule.last for rule in STATUS_RULES)
    ]

    assert missing == []
    assert all(meaning_of(status) for status in statuses)


def test_only_what_the_archive_has_counts_as_acknowledged() -> None:
    acknowledged = {each for each in StatusClass if each.is_acknowledged}

    assert acknowledged == {StatusClass.SUCCESS, StatusClass.WARNING}
