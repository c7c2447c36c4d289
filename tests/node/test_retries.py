"""What follows a failure."""

import errno
import itertools

import pytest
from sqlalchemy.exc import OperationalError

from node.errors import PermanentError, TransientError
from node.retries import JITTER, GiveUp, Retry, RetryPolicy, after_failure

POLICY = RetryPolicy(max_attempts=4, first_retry_s=30, longest_retry_s=100)


def what_follows(error: Exception, *, attempt: int, policy: RetryPolicy) -> Retry | GiveUp:
    return after_failure(error, work_id=f"delivery/{attempt}", attempt=attempt, policy=policy)


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
    assert isinstance(what_follows(error, attempt=1, policy=POLICY), Retry)


@pytest.mark.parametrize("error", [PermanentError(reason="no such weights"), ValueError("x")])
def test_what_no_later_try_would_mend_ends_at_once(error: Exception) -> None:
    assert isinstance(what_follows(error, attempt=1, policy=POLICY), GiveUp)


def test_the_wait_doubles_up_to_the_longest() -> None:
    error = TransientError(reason="PACS unreachable")

    steps = [what_follows(error, attempt=attempt, policy=POLICY) for attempt in (1, 2, 3)]

    delays_s = [step.delay_s for step in steps if isinstance(step, Retry)]
    assert len(delays_s) == 3
    for delay_s, longest_s in zip(delays_s, (30, 60, 100), strict=True):
        assert longest_s * (1 - JITTER) < delay_s <= longest_s


def test_what_failed_together_is_not_tried_again_together() -> None:
    error = TransientError(reason="PACS unreachable")
    policy = RetryPolicy(max_attempts=4, first_retry_s=100, longest_retry_s=1000)

    steps = [
        after_failure(error, work_id=f"delivery/{number}", attempt=1, policy=policy)
        for number in range(200)
    ]

    delays_s = sorted(step.delay_s for step in steps if isinstance(step, Retry))
    assert 75 < delays_s[0] < 77
    assert 98 < delays_s[-1] <= 100
    assert max(later - sooner for sooner, later in itertools.pairwise(delays_s)) < 2


def test_the_wait_of_one_work_is_the_same_however_often_it_is_asked_for() -> None:
    error = TransientError(reason="PACS unreachable")

    steps = {after_failure(error, work_id="a", attempt=1, policy=POLICY) for _ in range(3)}

    assert len(steps) == 1


def test_after_the_last_attempt_there_is_an_end_with_its_reason() -> None:
    step = what_follows(TransientError(reason="PACS unreachable"), attempt=4, policy=POLICY)

    assert step == GiveUp(reason="PACS unreachable (tried 4 times)")


def test_a_person_who_asks_for_more_gets_as_many_tries_again() -> None:
    error = TransientError(reason="PACS unreachable")

    steps = [type(what_follows(error, attempt=n, policy=POLICY)) for n in (5, 6, 7, 8)]

    assert steps == [Retry, Retry, Retry, GiveUp]


def test_the_text_of_a_strangers_error_stays_out_of_the_reason() -> None:
    step = what_follows(ValueError("invalid PatientName DOE^JANE"), attempt=1, policy=POLICY)

    assert step == GiveUp(reason="Unexpected ValueError; the node's own log has the details")


def test_a_very_large_number_of_attempts_does_not_overflow() -> None:
    patient = RetryPolicy(max_attempts=100_000, first_retry_s=1, longest_retry_s=60)

    step = what_follows(TransientError(reason="x"), attempt=50_000, policy=patient)

    assert isinstance(step, Retry)
    assert 45 < step.delay_s <= 60
