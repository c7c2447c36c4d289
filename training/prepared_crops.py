"""A table of images to crops, through `model.preprocess`: made once and kept on disk.

8-bit, and for training a little larger than the network's input, so that an epoch costs
augmentation alone.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from model.errors import PixelDataError
from model.image_statistics import ImageStatistics, image_statistics
from model.preprocess import PREPROCESS_VERSION, Geometry, to_network_input
from training.datasets import DataSet, LabelledImage
from training.progress import counted
from training.whole_file import whole_file

logger = logging.getLogger(__name__)

Uint8Array = npt.NDArray[np.uint8]

_THREADS = 2
_GEOMETRIES = TypeAdapter(tuple[Geometry | None, ...])
_STATISTICS = TypeAdapter(tuple[ImageStatistics | None, ...])


def prepared_crops(
    data_set: DataSet,
    images: Sequence[LabelledImage],
    size_px: tuple[int, int],
    cache: Path,
) -> Uint8Array:
    """Preprocess images once, and keep the result on disk.

    Parameters
    ----------
    data_set
        Knows how its images are read.
    images
        Some of its rows.
    size_px
        (height, width) of the crops.
    cache
        Folder for the result; its name hangs on the files, their size in bytes and their time of
        change, on `size_px` and on the preprocessing: images that were replaced are made anew.

    Returns
    -------
    crops
        Shape (images, height, width), values 0 to 255, read-only, mapped from disk. An image in
        which no breast is found is all 0 and logged.

    Raises
    ------
    DataSetError
        If an image cannot be read.
    RunError
        If the disk does not take the result.
    """
    file = _cache_file(images, size_px, cache)
    if not file.exists():
        _prepare(data_set, images, size_px, file)
    mapped: Uint8Array = np.load(file, mmap_mode="r")
    return mapped


def prepared_geometries(
    data_set: DataSet,
    images: Sequence[LabelledImage],
    size_px: tuple[int, int],
    cache: Path,
) -> tuple[Geometry | None, ...]:
    """Say where the crops of `prepared_crops` came from; the same arguments, the same cache.

    Parameters
    ----------
    data_set, images, size_px, cache
        As for `prepared_crops`.

    Returns
    -------
    geometries
        One an image; None where no breast is found, and for images that are prepared already.

    Raises
    ------
    DataSetError
        If an image cannot be read.
    RunError
        If the disk does not take the result.
    """
    file = _cache_file(images, size_px, cache)
    if not _geometry_file(file).exists():
        _prepare(data_set, images, size_px, file)
    return _GEOMETRIES.validate_json(_geometry_file(file).read_bytes())


def prepared_statistics(
    data_set: DataSet,
    images: Sequence[LabelledImage],
    size_px: tuple[int, int],
    cache: Path,
) -> tuple[ImageStatistics | None, ...]:
    """Say what the crops of `prepared_crops` are like; the same arguments, the same cache.

    They are taken before the crops are rounded to 8 bits, as in a node.

    Parameters
    ----------
    data_set, images, size_px, cache
        As for `prepared_crops`.

    Returns
    -------
    statistics
        One an image; None where no breast is found, and for images that are prepared already.

    Raises
    ------
    DataSetError
        If an image cannot be read.
    RunError
        If the disk does not take the result.
    """
    file = _cache_file(images, size_px, cache)
    if not _statistics_file(file).exists():
        _prepare(data_set, images, size_px, file)
    return _STATISTICS.validate_json(_statistics_file(file).read_bytes())


def _cache_file(images: Sequence[LabelledImage], size_px: tuple[int, int], cache: Path) -> Path:
    """Name the file that hangs on all of this."""
    key = hashlib.sha256(f"{PREPROCESS_VERSION}:{size_px}".encode())
    for image in images:
        # The source, for each reader has its own way with the same file.
        key.update(f"{image.source}:{image.path}:{image.is_inverted}:".encode())
        key.update(f"{_state_of(image.path)}\n".encode())
    return cache / f"crops-{key.hexdigest()[:16]}.npy"


def _state_of(file: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change; None if there is no such file, as its reader will say."""
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _geometry_file(crops: Path) -> Path:
    """Name the file beside the crops."""
    return crops.with_suffix(".geometry.json")


def _statistics_file(crops: Path) -> Path:
    """Name the file beside the crops."""
    return crops.with_suffix(".statistics.json")


def _prepare(
    data_set: DataSet, images: Sequence[LabelledImage], size_px: tuple[int, int], file: Path
) -> None:
    """Preprocess every image, and write crops, geometries and statistics."""
    geometries: list[Geometry | None] = [None] * len(images)
    statistics: list[ImageStatistics | None] = [None] * len(images)
    shape = (len(images), *size_px)
    with whole_file(file) as unfinished:
        # On disk from the start, for a large data set is larger than the memory.
        crops = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        # Taken from the disk now: a mapped page that finds no room would end the process.
        with unfinished.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, unfinished.stat().st_size)

        def prepare(index: int) -> None:
            display = data_set.read_display(images[index])
            if data_set.is_prepared:
                size = size_px[1], size_px[0]
                resized = cv2.resize(display, size, interpolation=cv2.INTER_AREA)
                crops[index] = np.rint(np.clip(resized, 0.0, 1.0) * 255.0)
                return
            try:
                network_input = to_network_input(display, size_px)
            except PixelDataError as error:
                logger.warning(
                    "Image left black",
                    extra={"event": "image_left_black", "row": index, "reason": str(error)},
                )
                return
            crops[index] = np.rint(network_input.pixels[..., 0])
            geometries[index] = network_input.geometry
            statistics[index] = image_statistics(network_input)

        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in counted(
                pool.map(prepare, range(len(images))), "Preparing images", len(images)
            ):
                pass
        crops.flush()
        with whole_file(_geometry_file(file)) as unfinished_geometries:
            unfinished_geometries.write_bytes(_GEOMETRIES.dump_json(tuple(geometries)))
        with whole_file(_statistics_file(file)) as unfinished_statistics:
            unfinished_statistics.write_bytes(_STATISTICS.dump_json(tuple(statistics)))
