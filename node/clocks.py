"""The system clock, watched by one that nobody sets.

Moments in the study log are those of the system clock: they must mean something to people and to
other machines. How long something takes is another matter: a clock may be set, by hours, while the
node waits. Where that would decide something, the wait is measured by the monotonic clock, or
begins anew when the two have come apart.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

SET_S = 1.0
"""From so much on the clock was set; time services correct less than that little by little."""
_READINGS = 5
_AT_ONCE_S = 0.05
"""Two readings within so long are of the same moment; the thread may have to wait between them."""


class ClockWatch:
    """Notices that the system clock was set. May be asked by several threads.

    A machine that slept counts as one whose clock was set: the monotonic clock sleeps too.

    Parameters
    ----------
    now
        Gives the present moment, aware UTC.
    steady
        Gives seconds by a clock that nobody sets, as `time.monotonic` does.
    """

    def __init__(self, now: Callable[[], datetime], steady: Callable[[], float]) -> None:
        self._now = now
        self._steady = steady
        self._lock = threading.Lock()
        self._zero_at = self._moment_of_zero()

    def set_by(self) -> timedelta:
        """Give by how much the clock was set since this was asked last; zero if it was not."""
        with self._lock:
            zero_at = self._moment_of_zero()
            set_by, self._zero_at = zero_at - self._zero_at, zero_at
        return set_by if abs(set_by) >= timedelta(seconds=SET_S) else timedelta()

    def _moment_of_zero(self) -> datetime:
        """Give the moment at which the steady clock stood at 0, by the system clock as it is."""
        for _ in range(_READINGS):
            before_s = self._steady()
            now = self._now()
            after_s = self._steady()
            if after_s - before_s <= _AT_ONCE_S:
                break
        return now - timedelta(seconds=after_s)
