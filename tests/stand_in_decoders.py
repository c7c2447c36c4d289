"""What a decoding child can be made to do in place of decoding."""

import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from node.analysis.decode import read_pixels

Float32Array = npt.NDArray[np.float32]


def misbehave(path: Path) -> Float32Array:
    """Do what the file's name says; read any other file as usual."""
    match path.stem:
        case "abort":
            os.abort()
        case "hang":
            _hang()
        case "exit":
            os._exit(3)
        case "swell":
            return np.ones((40_000, 40_000), np.float32)
        case "raise":
            raise RuntimeError
    return read_pixels(path)


def _hang() -> None:
    """Hold the interpreter's lock for ever, as a decoder written in C can."""
    sum(iter(lambda: 0, 1)) if os.environ.get("HANG_SOFTLY") else time.sleep(3600)
