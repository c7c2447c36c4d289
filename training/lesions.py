"""Where the lesions of an image lie, by boxes and masks: on its own grid and on the network's."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from model.preprocess import Geometry
from training.datasets import Box, LabelledImage
from training.datasets.image_files import read_mask

BoolArray = npt.NDArray[np.bool_]


def has_known_place(image: LabelledImage) -> bool:
    """Whether the data set says where a lesion of this image lies."""
    return bool(image.boxes or image.masks)


def lesion_boxes(image: LabelledImage, original_size: tuple[int, int]) -> tuple[Box, ...]:
    """Give the box around each lesion.

    Parameters
    ----------
    image
        A row of a table.
    original_size
        (rows, columns) of the image as its data set's `read_display` gives it.

    Returns
    -------
    boxes
        On that grid: those of the table, then those around its masks, each with the label of its
        lesion. A mask without a lesion has none.

    Raises
    ------
    DataSetError
        If a mask cannot be read.
    """
    labels = image.mask_labels or (None,) * len(image.masks)
    around: list[Box] = []
    for path, label in zip(image.masks, labels, strict=True):
        mask = read_mask(path)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size:
            down, across = original_size[0] / mask.shape[0], original_size[1] / mask.shape[1]
            around.append(
                Box(
                    top=float(rows[0]) * down,
                    left=float(columns[0]) * across,
                    bottom=float(rows[-1] + 1) * down,
                    right=float(columns[-1] + 1) * across,
                    label=label,
                )
            )
    return (*image.boxes, *around)


def lesion_mask(
    image: LabelledImage, original_size: tuple[int, int], shape: tuple[int, int] | None = None
) -> BoolArray:
    """Draw the lesions of an image on a picture of it.

    Parameters
    ----------
    image
        A row of a table.
    original_size
        (rows, columns) of the image as its data set's `read_display` gives it.
    shape
        (rows, columns) of the picture; by default that of the image.

    Returns
    -------
    mask
        Of that shape, true on every pixel that a lesion touches: boxes are filled.

    Raises
    ------
    DataSetError
        If a mask cannot be read.
    """
    rows, columns = shape or original_size
    drawn = np.zeros((rows, columns), np.bool_)
    down, across = rows / original_size[0], columns / original_size[1]
    for box in image.boxes:
        top, left = max(0, int(box.top * down)), max(0, int(box.left * across))
        bottom, right = int(np.ceil(box.bottom * down)), int(np.ceil(box.right * across))
        drawn[top : max(0, bottom), left : max(0, right)] = True
    for path in image.masks:
        drawn |= _resize(read_mask(path), (rows, columns))
    return drawn


def lesions_in_input(image: LabelledImage, geometry: Geometry) -> BoolArray:
    """Bring the lesions of an image into the network's input.

    Parameters
    ----------
    image
        A row of a table.
    geometry
        How `model.preprocess.to_network_input` made the input of this image.

    Returns
    -------
    mask
        Shape (input rows, input columns), true on every pixel that a lesion touches; what lies
        outside the crop is lost, as it is for the network.

    Raises
    ------
    DataSetError
        If a mask cannot be read.
    """
    mask = lesion_mask(image, (geometry.original_rows, geometry.original_columns))
    crop, content = geometry.crop, geometry.content
    cut = mask[round(crop.top) : round(crop.bottom), round(crop.left) : round(crop.right)]
    if geometry.is_mirrored:
        cut = cut[:, ::-1]
    inside = np.zeros((geometry.input_rows, geometry.input_columns), np.bool_)
    inside[
        round(content.top) : round(content.bottom), round(content.left) : round(content.right)
    ] = _resize(cut, (round(content.height), round(content.width)))
    return inside


def _resize(mask: BoolArray, shape: Sequence[int]) -> BoolArray:
    """Bring a mask to another grid; what it touches there is true, so that no lesion vanishes."""
    if mask.shape == tuple(shape):
        return mask
    is_smaller = shape[0] <= mask.shape[0]
    resized = cv2.resize(
        mask.astype(np.float32),
        (shape[1], shape[0]),
        interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_NEAREST,
    )
    return np.asarray(resized > 0.0)
