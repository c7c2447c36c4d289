"""What follows a failure: the one place that decides between another try and an end.

The class of the error says whether a later try could succeed, the number of the attempt whether
there is one left. Nothing else in the node counts, waits or loops.
"""

import hashlib
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from node.errors import PermanentError, TransientError

JITTER = 0.25
"""By how much of itself a wait is shortened at most: what failed together comes apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how soon work is tried again.

    Attributes
    ----------
    max_attempts
        Tries in one go. When a person asks for more, as many are granted again.
    first_retry_s
        Wait after the first failure, in seconds; it doubles with each further one. Every wait is
        shortened by up to `JITTER` of itself.
    longest_retry_s
        Longest wait between two tries, in seconds.
    """

    max_attempts: int
    first_retry_s: float
    longest_retry_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try again after `delay_s` seconds; `reason` says what failed."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """End here; `reason` says what failed and stays in the log for a person."""

    reason: str


def after_failure(
    error: Exception, *, work_id: str, attempt: int, policy: RetryPolicy
) -> Retry | GiveUp:
    """Decide what follows the failure of one attempt.

    Parameters
    ----------
    error
        What ended the attempt. `TransientError`, a failing disk or network, a busy or unreachable
        database and a lack of memory are tried again; all else is not.
    work_id
        Names the work and its attempt. How much a wait is shortened hangs on it alone, so that a
        wait can be told beforehand and a crash does not change it.
    attempt
        The attempt that failed, counted from 1 over the whole life of the work.
    policy
        How often and how soon.

    Returns
    -------
    what_follows
        With a reason that holds no patient attribute: the text of an error that the node did not
        raise itself is left to the node's own log.
    """
    reason = _reason(error)
    if not isinstance(error, TransientError | OSError | OperationalError | MemoryError):
        return GiveUp(reason=reason)
    number = (attempt - 1) % policy.max_attempts + 1
    if number == policy.max_attempts:
        return GiveUp(reason=f"{reason} (tried {policy.max_attempts} times)")
    # The exponent is bounded: nobody waits for 2 to the power of a large setting.
    delay_s = min(policy.first_retry_s * 2.0 ** min(number - 1, 60), policy.longest_retry_s)
    return Retry(delay_s=delay_s * (1 - JITTER * _fraction(work_id)), reason=reason)


def _fraction(work_id: str) -> float:
    """Give a number in [0, 1) that differs from work to work and never for the same work."""
    digest = hashlib.sha256(work_id.encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _reason(error: Exception) -> str:
    """Name the failure without a word that a data set could have brought in."""
    if isinstance(error, TransientError | PermanentError):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return f"Disk or network: {error.strerror}"
    return f"Unexpected {type(error).__name__}; the node's own log has the details"
