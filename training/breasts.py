"""Which breast of which patient an image shows."""

from collections.abc import Sequence

from model.preprocess import Geometry, to_network_input
from model.views import Laterality
from training.datasets import DataSet, LabelledImage

# Enough to see the chest wall.
_SIZE_PX = (112, 84)


def breasts_of(
    data_set: DataSet,
    images: Sequence[LabelledImage],
    geometries: Sequence[Geometry | None] | None = None,
) -> list[str]:
    """Name the breast of each image.

    Parameters
    ----------
    data_set
        Knows how its images are read.
    images
        Some of its rows. Where the data set does not say which breast an image shows, the side on
        which the chest wall lies stands for it, as images are hung (PS3.17 Y.4).
    geometries
        From `training.prepared_crops.prepared_geometries`, one an image; without them, images
        whose side is not known are read again.

    Returns
    -------
    breasts
        One name an image, the same for images of the same breast.

    Raises
    ------
    DataSetError
        If an image has to be read and cannot be.
    PixelDataError
        If it shows no breast.
    """
    known = geometries or (None,) * len(images)
    return [
        f"{image.patient_id}/{_side(data_set, image, geometry)}"
        for image, geometry in zip(images, known, strict=True)
    ]


def _side(data_set: DataSet, image: LabelledImage, geometry: Geometry | None) -> str:
    """Right or left."""
    if image.laterality is not None:
        return "right" if image.laterality is Laterality.RIGHT else "left"
    if geometry is None:
        geometry = to_network_input(data_set.read_display(image), _SIZE_PX).geometry
    return "right" if geometry.is_mirrored else "left"
