"""How many requests are served at the same time: those that ask leave room to those that send."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

WAIT_S = 10.0
"""For a place. Workstations ask for several things at once; each takes no longer than a moment."""


class Places:
    """Places to be served in.

    Parameters
    ----------
    count
        How many there are.
    wait_s
        How long a request waits for one, in seconds.
    """

    def __init__(self, count: int, *, wait_s: float) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._wait_s = wait_s

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Take a place as long as the block lasts; give False if there was none in time."""
        is_taken = self._free.acquire(timeout=self._wait_s)
        try:
            yield is_taken
        finally:
            if is_taken:
                self._free.release()
