"""Breast MRI in class folders: the second modality.

Layout: ``Benign/`` and ``Malignant/``, any depth, PNG, JPEG or DICOM; see
`training.datasets.class_folders`. Slices go through the node's own preprocessing, which takes the
largest piece of tissue for the breast: good to start a network from, and never to test one for
mammograms.
"""

from pathlib import Path

from training.datasets import DataSet, class_folders

SOURCE = "breast_mri"


def read(folder: Path) -> DataSet:
    """Read the table of the data set.

    Parameters
    ----------
    folder
        Holds ``Benign/`` and ``Malignant/``.

    Returns
    -------
    data_set
        One row a slice.

    Raises
    ------
    DataSetError
        If there is no image in such a folder.
    """
    return class_folders.read(
        folder,
        source=SOURCE,
        name="Breast MRI in class folders",
        known_gaps=(
            (
                "Slices of magnetic resonance imaging, not mammograms: another contrast, both "
                "breasts and the chest in one image."
            ),
            "A label is the folder's: how it was established is not stated.",
        ),
    )
