"""DICOM to PNG, by the node's own way from stored pixels to what a reader sees."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from training.datasets.image_files import DICOM_SUFFIXES, PICTURE_SUFFIXES, is_dicom, read_image
from training.errors import DataSetError
from training.whole_file import whole_file

Bits = Literal[8, 16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of one file."""

    source: Path
    target: Path | None
    """None where the file was left out."""
    reason: str = ""
    """Why it was."""


def convert(sources: Iterable[Path], out: Path, *, bits: Bits = 16) -> Iterator[Conversion]:
    """Write the images of DICOM files as grey PNG.

    Parameters
    ----------
    sources
        Files, and folders of any depth; below a folder the output has the same folders.
    out
        Folder of the output; files in it are written over.
    bits
        Of the output: 16 keeps what a detector tells apart, 8 is what crops are kept with.

    Yields
    ------
    conversion
        One a file, in their sorted order: air black, white the lightest value, MONOCHROME1
        inverted.

    Raises
    ------
    DataSetError
        If a source does not exist.
    RunError
        If the disk does not take a file.
    """
    written: set[Path] = set()
    for source, name in _named(sources):
        target = out / name
        if source.suffix.lower() in PICTURE_SUFFIXES:
            yield Conversion(source=source, target=None, reason="a picture already")
        elif not is_dicom(source):
            yield Conversion(source=source, target=None, reason="no DICOM file")
        elif target in written:
            yield Conversion(source=source, target=None, reason=f"{name} is another file's already")
        else:
            conversion = _convert(source, target, bits)
            if conversion.target:
                written.add(target)
            yield conversion


def _named(sources: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Give every file, and what its output is called."""
    for source in sources:
        if source.is_dir():
            files = sorted(path for path in source.rglob("*") if path.is_file())
            yield from ((path, _png(path.relative_to(source))) for path in files)
        elif source.is_file():
            yield source, _png(Path(source.name))
        else:
            raise DataSetError(
                where=source,
                expected="a file or a folder",
                found="neither",
                to_do="Correct the path.",
            )


def _png(name: Path) -> Path:
    """Replace the suffix of DICOM; a name without one may have a UID's dots in it."""
    is_suffix = name.suffix.lower() in DICOM_SUFFIXES
    return name.with_suffix(".png") if is_suffix else name.with_name(f"{name.name}.png")


def _convert(source: Path, target: Path, bits: Bits) -> Conversion:
    """Convert one file."""
    try:
        display = read_image(source)
    except DataSetError as error:
        return Conversion(source=source, target=None, reason=error.found)
    stored = np.rint(np.clip(display, 0.0, 1.0) * (2**bits - 1))
    whole = stored.astype(np.uint8) if bits == 8 else stored.astype(np.uint16)
    _, encoded = cv2.imencode(".png", whole)
    with whole_file(target) as unfinished:
        unfinished.write_bytes(encoded.tobytes())
    return Conversion(source=source, target=target)
