"""Who reads from an association: its own thread, or the one that waits for an answer.

pynetdicom pauses the association's thread at a checkpoint before it sends a request, so that the
answer is not taken away by it. Its thread leaves the checkpoint first, and says afterwards that it
is not paused any more: who clears the checkpoint in between takes it for paused. Under load the
answer is lost by that now and then, the association is given up at its time-out, and an object that
the archive has is sent again.
"""

import threading

from pynetdicom.association import Association


class Checkpoint(threading.Event):
    """A checkpoint that nobody passes while another clears it.

    Parameters
    ----------
    association
        Whose thread waits here.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._passing = threading.Lock()
        self.set()

    def clear(self) -> None:
        """Let the thread wait when it comes here, if it does not wait yet."""
        with self._passing:
            super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whoever sees it cleared afterwards sees the thread not paused."""
        while super().wait(timeout):
            with self._passing:
                if self.is_set():
                    self._association._is_paused = False
                    return True
        return False


def give_checkpoint(association: Association) -> None:
    """Give an association a checkpoint in place of its own, before anything is sent over it."""
    association._reactor_checkpoint = Checkpoint(association)
