"""The child process that reads pixels: one path in, one memory file or one reason out.

Started and watched by `node.analysis.decode`; imports no more than pydicom, NumPy and the decoders.
"""

import contextlib
import fcntl
import io
import json
import mmap
import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import dcmread

from model.decoders import UNREADABLE
from model.errors import PixelDataCause, PixelDataError
from model.pixels import read_display
from node.errors import TriageReason

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


if __name__ == "__main__":
    main(sys.argv[1:])
