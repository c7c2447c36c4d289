"""Pixels, read in a child process: a decoder that crashes, hangs or swells costs one image.

::

    worker ── path ──▶ child: pydicom, decoders, look-up tables ── memory file ──▶ worker

The child is started anew when it has died. It ends by itself when the worker is gone, however that
ended: then the kernel sends it a signal for the pipe that both hold, which no hung decoder delays.
"""

import contextlib
import fcntl
import io
import json
import logging
import mmap
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydicom import dcmread

from model.decoders import UNREADABLE
from model.errors import PixelDataCause, PixelDataError
from model.pixels import read_display
from node.errors import PermanentError, TransientError, TriageReason, UnsuitableInstance

logger = logging.getLogger(__name__)

Float32Array = npt.NDArray[np.float32]
ReadPixels = Callable[[Path], Float32Array]

TRIAGE_REASONS = {
    PixelDataCause.NO_BREAST: TriageReason.NO_BREAST_FOUND,
    PixelDataCause.ALL_ZERO: TriageReason.ALL_ZERO_PIXELS,
    PixelDataCause.MULTI_FRAME: TriageReason.MULTI_FRAME,
    PixelDataCause.NOT_GREYSCALE: TriageReason.NOT_MAMMOGRAPHY,
    PixelDataCause.UNDECODABLE: TriageReason.UNDECODABLE_PIXELS,
}
"""What becomes of an image whose pixels have this wrong with them."""

_START_TIMEOUT_S = 60.0
_MAX_REPLY_BYTES = 65536
_READY = {"ready": True}


def read_pixels(path: Path) -> Float32Array:
    """Read a file and return its pixels as displayed; what the child does unless told otherwise.

    Parameters
    ----------
    path
        A DICOM file.

    Returns
    -------
    display
        Shape (rows, columns), values in [0, 1]; see `model.pixels.read_display`.

    Raises
    ------
    PixelDataError
        As `model.pixels.read_display`, and if the file is not a DICOM file.
    OSError
        If the file cannot be read.
    """
    data = io.BytesIO(path.read_bytes())
    try:
        return read_display(dcmread(data))
    except UNREADABLE as error:
        raise PixelDataError(
            expected="a DICOM file (PS3.10)",
            found=f"{type(error).__name__}: {error}",
            cause=PixelDataCause.UNDECODABLE,
        ) from error


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
                    sys.executable, "-W", "ignore", "-m", __name__,
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


def _memory_file(size_bytes: int) -> int:
    """Open a file without a name that lives in memory, and not under /dev/shm.

    Containers give /dev/shm 64 MB by default; a write beyond that ends the process.
    """
    if sys.platform == "linux":
        file = os.memfd_create("display")
    else:
        with tempfile.TemporaryFile() as unnamed:
            file = os.dup(unnamed.fileno())
    os.ftruncate(file, size_bytes)
    return file


def _end_with_parent(lifeline: int) -> None:
    """Have the kernel end this process as soon as nobody holds the other end of the pipe.

    Not by a thread, which a decoder that keeps the interpreter's lock would stop; and not by
    PR_SET_PDEATHSIG, which strikes as soon as the thread ends that started this process.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    os.set_blocking(lifeline, False)
    with contextlib.suppress(BlockingIOError):
        os.read(lifeline, 1)
        # Nothing is ever written: an end of file means that the parent was gone before the signal.
        os._exit(0)


def _limit_memory(memory_bytes: int) -> None:
    """Allow so much beyond what is in use now, and leave no core file behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    limit = pages * resource.getpagesize() + memory_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _requests(channel: socket.socket) -> Iterator[Path]:
    """Paths to read, until the parent closes the connection."""
    with channel.makefile("rb") as lines:
        for line in lines:
            yield Path(json.loads(line))


def _answer(channel: socket.socket, read: ReadPixels, path: Path) -> None:
    """Read one file, and send a memory file or a reason."""
    try:
        display = np.ascontiguousarray(read(path), np.float32)
        file = _memory_file(display.nbytes)
        try:
            np.frombuffer(mmap.mmap(file, display.nbytes), np.float32)[:] = display.ravel()
            reply = json.dumps({"shape": display.shape}).encode() + b"\n"
            socket.send_fds(channel, [reply], [file])
        finally:
            os.close(file)
    except PixelDataError as error:
        _refuse(channel, TRIAGE_REASONS[error.cause], str(error))
    except OSError as error:
        channel.sendall(json.dumps({"unreadable": str(error)[:1000]}).encode() + b"\n")
    except MemoryError:
        _refuse(
            channel, TriageReason.UNDECODABLE_PIXELS, "decoding wants more memory than it may take"
        )


def _refuse(channel: socket.socket, reason: TriageReason, detail: str) -> None:
    """Send why an image cannot be used."""
    channel.sendall(json.dumps({"reason": reason, "detail": detail[:1000]}).encode() + b"\n")


def main(arguments: list[str]) -> None:
    """Be the child: read what is asked for, until the parent is gone.

    Parameters
    ----------
    arguments
        File descriptors of the connection and of the pipe, what to call as ``module:function``,
        and the memory limit in bytes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent(int(arguments[1]))
    module, _, function = arguments[2].partition(":")
    # Under its own name, not as __main__, so that its errors are the ones caught here.
    read: ReadPixels = getattr(import_module(module), function)
    _limit_memory(int(arguments[3]))
    with socket.socket(fileno=int(arguments[0])) as channel:
        channel.sendall(json.dumps(_READY).encode() + b"\n")
        for path in _requests(channel):
            _answer(channel, read, path)


if __name__ == "__main__":
    main(sys.argv[1:])
