"""Pixels, read in a child process: a decoder that crashes, hangs or swells costs one image.

::

    worker ── path ──▶ decoding_process: pydicom, decoders, look-up tables ── memory file ──▶ worker

The child is started anew when it has died. It ends by itself when the worker is gone, however that
ended: then the kernel sends it a signal for the pipe that both hold, which no hung decoder delays.
"""

import json
import logging
import mmap
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from node.analysis import decoding_process
from node.analysis.decoding_process import ReadPixels, read_pixels
from node.errors import PermanentError, TransientError, TriageReason, UnsuitableInstance

logger = logging.getLogger(__name__)

Float32Array = npt.NDArray[np.float32]

_START_TIMEOUT_S = 60.0
_MAX_REPLY_BYTES = 65536


class PixelReader:
    """Child processes that read pixels, each within limits of time and memory.

    May be used by several threads at a time.

    Parameters
    ----------
    timeout_s
        Time that one image may take.
    memory_bytes
        Memory that one image may take, beyond what the child has when idle. Not enforced on
        systems without ``RLIMIT_AS``.
    children
        How many images are read at a time, at most.
    read
        What the child does with a path: a function of a module that the child can import.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        memory_bytes: int,
        children: int = 1,
        read: ReadPixels = read_pixels,
    ) -> None:
        self._timeout_s = timeout_s
        self._arguments = [f"{read.__module__}:{read.__qualname__}", str(memory_bytes)]
        self._places: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(children):
            self._places.put(None)
        self._children = children

    def read(self, path: Path) -> Float32Array:
        """Read one image.

        Parameters
        ----------
        path
            A DICOM file.

        Returns
        -------
        display
            Shape (rows, columns), values in [0, 1]; air is 0.

        Raises
        ------
        UnsuitableInstance
            If the pixels cannot be used, or the decoder died, hung or wanted too much memory.
        PermanentError
            If there is no such file.
        TransientError
            If the file cannot be read, or no child process can be started.
        """
        if not path.exists():
            raise PermanentError(reason=f"Expected an image at {path}; found none")
        try:
            reply, display = self._ask(path)
        except _ChildDied:
            # Once more, with a child of its own: what ended the first may have been something
            # outside, such as the system being out of memory, and then the image is not to blame.
            try:
                reply, display = self._ask(path)
            except _ChildLost as lost:
                raise _left_out(lost) from lost
        except _ChildLost as lost:
            raise _left_out(lost) from lost
        if "unreadable" in reply:
            raise TransientError(
                reason=f"Expected a readable image at {path}; found {reply['unreadable']}"
            )
        if display is None:
            raise UnsuitableInstance(reason=TriageReason(reply["reason"]), detail=reply["detail"])
        return display

    def _ask(self, path: Path) -> tuple[dict[str, Any], Float32Array | None]:
        """Have a child read one file; it is ended if it does not come to an answer."""
        child = self._places.get()
        has_answered = False
        try:
            if child is None or not child.is_alive:
                child = _Child.start(self._arguments)
            answer = child.ask(path, timeout_s=self._timeout_s)
            has_answered = True
        finally:
            # One that was interrupted would give its answer to the next question.
            if child is not None and not has_answered:
                child.end()
                child = None
            self._places.put(child)
        return answer

    def close(self) -> None:
        """End the children; those that are still reading are waited for."""
        for _ in range(self._children):
            child = self._places.get()
            if child is not None:
                child.end()
        for _ in range(self._children):
            self._places.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _ChildLost(Exception):
    """The child gave no answer in time."""


class _ChildDied(_ChildLost):
    """The child ended before it answered; the message says how."""


def _left_out(lost: _ChildLost) -> UnsuitableInstance:
    """Blame the image, and say so in the log."""
    logger.warning(
        "Decoder ended; its image is left out",
        extra={"event": "decoder_ended", "reason": str(lost)},
    )
    return UnsuitableInstance(reason=TriageReason.UNDECODABLE_PIXELS, detail=str(lost))


class _Child:
    """One child process as its parent sees it."""

    def __init__(
        self, process: subprocess.Popen[bytes], channel: socket.socket, lifeline: int
    ) -> None:
        self._process = process
        self._channel = channel
        self._lifeline = lifeline

    @classmethod
    def start(cls, arguments: list[str]) -> "_Child":
        """Start a child and wait until it has imported what it needs."""
        ours, theirs = socket.socketpair()
        lifeline_end, lifeline = os.pipe()
        try:
            process = subprocess.Popen(
                [
                    sys.executable, "-W", "ignore", "-m", decoding_process.__name__,
                    str(theirs.fileno()), str(lifeline_end), *arguments,
                ],
                pass_fds=(theirs.fileno(), lifeline_end),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            os.close(lifeline)
            raise TransientError(
                reason=f"Expected room for a decoding process; found {error}"
            ) from error
        finally:
            theirs.close()
            os.close(lifeline_end)
        child = cls(process, ours, lifeline)
        try:
            child._receive(_START_TIMEOUT_S)
        except _ChildLost as lost:
            child.end()
            raise TransientError(
                reason=f"Expected the decoding process to start; found: {lost}"
            ) from lost
        return child

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, path: Path, *, timeout_s: float) -> tuple[dict[str, Any], Float32Array | None]:
        """Have one file read; the array is None where the reply holds a reason instead."""
        try:
            self._channel.sendall(json.dumps(os.fspath(path.absolute())).encode() + b"\n")
        except OSError as error:
            raise _ChildDied("the decoder had died") from error
        reply, file = self._receive(timeout_s)
        return reply, None if file is None else _map(file, tuple(reply["shape"]))

    def _receive(self, timeout_s: float) -> tuple[dict[str, Any], int | None]:
        """Wait for one reply, with the memory file that comes with it."""
        deadline = time.monotonic() + timeout_s
        text, files = b"", []
        while not text.endswith(b"\n"):
            self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                part, received, _, _ = socket.recv_fds(self._channel, _MAX_REPLY_BYTES, 1)
            except TimeoutError as error:
                message = f"the decoder did not answer within {timeout_s:g} s"
                raise _ChildLost(message) from error
            except ConnectionError:
                part, received = b"", []
            files += received
            if not part:
                raise _ChildDied(self._how_it_died())
            text += part
        return json.loads(text), files[0] if files else None

    def _how_it_died(self) -> str:
        """Say which signal or exit code ended it."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "the decoder closed its connection"
        if code >= 0:
            return f"the decoder ended with exit code {code}"
        return f"the decoder was ended by {signal.Signals(-code).name}"

    def end(self) -> None:
        """End it, whatever it is doing, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._channel.close()
        os.close(self._lifeline)


def _map(file: int, shape: tuple[int, ...]) -> Float32Array:
    """View a memory file as an array; the memory goes when the array does."""
    try:
        memory = mmap.mmap(file, int(np.prod(shape)) * 4)
    finally:
        os.close(file)
    return np.frombuffer(memory, np.float32).reshape(shape)
