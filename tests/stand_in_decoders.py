"""What a decoding child can be made to do in place of decoding."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from node.analysis.decoding_process import read_pixels

Float32Array = npt.NDArray[np.float32]


def misbehave(path: Path) -> Float32Array:
    """Do what the file's name says; read any other file as usual."""
    match path.stem:
        case "abort":
            os.abort()
        case "exit":
            os._exit(3)
        case "hang":
            path.with_suffix(".hanging").touch()
            # A sum of endless zeros: never gives up the interpreter's lock, as C code may not.
            return np.full(1, sum(iter(int, 1)), np.float32)
        case "raise":
            raise RuntimeError
        case "swell":
            return np.ones((40_000, 40_000), np.float32)
    return read_pixels(path)
