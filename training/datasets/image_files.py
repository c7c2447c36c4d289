"""Files that hold an image, DICOM or not: which they are, how large, and what they show."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from model.errors import PixelDataError
from model.pixels import read_display
from training.errors import DataSetError

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".pgm", ".webp", ".tif", ".tiff", ".bmp"})
_NOT_AN_IMAGE = "Fetch the file from its publisher again, or remove it and its label."
# A JPEG blurs the edge of a mask; a crop of a mammogram has half of its values in between.
_TWO_VALUES = 0.98


def find_images(folder: Path) -> list[Path]:
    """Find every image under a folder.

    Parameters
    ----------
    folder
        Any depth of it is searched; hidden files and folders are left out.

    Returns
    -------
    files
        Sorted. An image has the suffix of one, or none and DICOM's preamble.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if looks_like_an_image(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def looks_like_an_image(path: Path) -> bool:
    """Whether a file is an image by its suffix, or without one by DICOM's preamble."""
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES | PICTURE_SUFFIXES:
        return path.is_file()
    # PatientIDs and UIDs have dots in them: what follows the last may be no suffix.
    return (not suffix or suffix[1:].isdigit()) and path.is_file() and has_dicom_preamble(path)


def has_dicom_preamble(path: Path) -> bool:
    """Whether ``DICM`` stands after 128 bytes (PS3.10 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def is_dicom(path: Path) -> bool:
    """Whether a file is to be read as DICOM: by its suffix, else by its preamble."""
    suffix = path.suffix.lower()
    return suffix in DICOM_SUFFIXES or (
        suffix not in PICTURE_SUFFIXES and path.is_file() and has_dicom_preamble(path)
    )


def read_image(path: Path) -> Float32Array:
    """Read one image as `model.preprocess` wants it.

    Parameters
    ----------
    path
        A DICOM file goes through `model.pixels`, as in a node; a picture of 8 or 16 bits is grey
        already, and is divided by the largest value of its type.

    Returns
    -------
    display
        Shape (rows, columns), values in [0, 1].

    Raises
    ------
    DataSetError
        If the file is missing, is no image or does not decode; names it.
    """
    if is_dicom(path):
        try:
            return read_display(_read_dicom(path))
        except PixelDataError as error:
            raise _unreadable(path, str(error)) from error
    stored = _decode_picture(path)
    return np.asarray(stored, np.float32) / np.float32(np.iinfo(stored.dtype).max)


def read_mask(path: Path) -> BoolArray:
    """Read the mask of a lesion.

    Parameters
    ----------
    path
        An image of two values; a JPEG may have a few between them.

    Returns
    -------
    mask
        Shape (rows, columns), true on the lesion.

    Raises
    ------
    DataSetError
        If the image cannot be read, or has many values: it may be a crop.
    """
    grey = read_image(path)
    if not is_two_valued(grey):
        raise DataSetError(
            where=path,
            expected="the mask of a lesion, an image of two values",
            found="many grey values",
            to_do="It may have been swapped with the cropped image beside it: fetch both again.",
        )
    return grey > 0.5


def is_two_valued(grey: Float32Array) -> bool:
    """Whether an image is black and white, as a mask is and a mammogram is not.

    Parameters
    ----------
    grey
        Shape (rows, columns), values in [0, 1].

    Returns
    -------
    is_two_valued
        With room for what JPEG does to an edge.
    """
    is_extreme = (grey < 0.1) | (grey > 0.9)
    return bool(is_extreme.mean() >= _TWO_VALUES and grey.min() < 0.1 and grey.max() > 0.9)


def size_of(path: Path) -> tuple[int, int]:
    """Read how large an image is, from its header alone.

    Parameters
    ----------
    path
        A DICOM file or a picture.

    Returns
    -------
    rows, columns
        In pixels.

    Raises
    ------
    DataSetError
        If the file is missing or has no such header.
    """
    if is_dicom(path):
        ds = read_header(path)
        if "Rows" not in ds or "Columns" not in ds:
            raise _unreadable(path, "no Rows (0028,0010) and Columns (0028,0011)")
        return int(ds.Rows), int(ds.Columns)
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except (OSError, UnidentifiedImageError) as error:
        raise _unreadable(path, error.__class__.__name__) from error


def read_header(path: Path) -> Dataset:
    """Read a DICOM file without its pixels.

    Parameters
    ----------
    path
        Of the file.

    Returns
    -------
    ds
        Its header.

    Raises
    ------
    DataSetError
        If the file is missing or is not DICOM.
    """
    return _read_dicom(path, stop_before_pixels=True)


def _read_dicom(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    """Read a DICOM file, with an error that names it."""
    try:
        return dcmread(path, stop_before_pixels=stop_before_pixels)
    except InvalidDicomError as error:
        raise _unreadable(path, "no DICOM file") from error
    except (OSError, EOFError, ValueError, NotImplementedError) as error:
        raise _unreadable(path, error.__class__.__name__) from error


def _decode_picture(path: Path) -> npt.NDArray[np.integer[Any]]:
    """Decode a picture to one channel of 8 or 16 bits."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise _unreadable(path, "no such file") from error
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH) if data.size else None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        raise _unreadable(path, "no picture of 8 or 16 bits")
    return np.asarray(picture)


def _unreadable(path: Path, found: str) -> DataSetError:
    """Build the error of a file that is no image."""
    return DataSetError(where=path, expected="a readable image", found=found, to_do=_NOT_AN_IMAGE)
