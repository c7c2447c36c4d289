"""What follows a failure."""

import errno

import pytest
from sqlalchemy.exc import OperationalError

from node.errors import PermanentError, TransientError
from node.retries import GiveUp, Retry, RetryPolicy, after_failure

POLICY = RetryPolicy(max_attempts=4, first_retry_s=30, longest_retry_s=100)


@pytest.mark.parametrize(
    "error",
    [
        TransientError(reason="PACS unreachable"),
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
        OperationalError("SELECT", {}, Exception("database is locked")),
    ],
)
def test_what_a_later_try_may_mend_is_tried_again(error: Exception) -> None:
    assert isinstance(after_failure(error, attempt=1, policy=POLICY), Retry)


@pytest.mark.parametrize("error", [PermanentError(reason="no such weights"), ValueError("x")])
def test_what_no_later_try_would_mend_ends_at_once(error: Exception) -> None:
    assert isinstance(after_failure(error, attempt=1, policy=POLICY), GiveUp)


def test_the_wait_doubles_up_to_the_longest() -> None:
    error = TransientError(reason="PACS unreachable")

    steps = [after_failure(error, attempt=attempt, policy=POLICY) for attempt in (1, 2, 3)]

    assert [step.delay_s for step in steps if isinstance(step, Retry)] == [30, 60, 100]


def test_after_the_last_attempt_there_is_an_end_with_its_reason() -> None:
    step = after_failure(TransientError(reason="PACS unreachable"), attempt=4, policy=POLICY)

    assert step == GiveUp(reason="PACS unreachable (tried 4 times)")


def test_a_person_who_asks_for_more_gets_as_many_tries_again() -> None:
    error = TransientError(reason="PACS unreachable")

    steps = [type(after_failure(error, attempt=n, policy=POLICY)) for n in (5, 6, 7, 8)]

    assert steps == [Retry, Retry, Retry, GiveUp]


def test_the_text_of_a_strangers_error_stays_out_of_the_reason() -> None:
    step = after_failure(ValueError("invalid PatientName DOE^JANE"), attempt=1, policy=POLICY)

    assert step == GiveUp(reason="Unexpected ValueError; the node's own log has the details")


def test_a_very_large_number_of_attempts_does_not_overflow() -> None:
    patient = RetryPolicy(max_attempts=100_000, first_retry_s=1, longest_retry_s=60)

    step = after_failure(TransientError(reason="x"), attempt=50_000, policy=patient)

    assert step == Retry(delay_s=60, reason="x")
