"""Any images in folders named after their class.

Layout: ``<class>/…/<image>``, any depth above and below, PNG, JPEG, DICOM and more. The class of an
image is the nearest folder above it that is named after one. A folder ``train``, ``validation`` or
``test`` above it is its publisher's split. The patient is the folder right below the class; without
one, DICOM's Patient ID; without that, every file counts as a patient of its own.
"""

from collections.abc import Mapping
from pathlib import Path, PurePath

from model.views import View, read_view
from training.datasets import DataSet, Label, LabelledImage, Split
from training.datasets.errors import wrong_folder
from training.datasets.image_files import find_images, is_dicom, read_header, read_image
from training.datasets.problems import mismatches
from training.errors import DataSetError

SOURCE = "class_folders"
CLASSES: Mapping[str, Label] = {
    "normal": Label.NORMAL,
    "healthy": Label.NORMAL,
    "benign": Label.BENIGN,
    "no_cancer": Label.NO_CANCER,
    "non_cancer": Label.NO_CANCER,
    "malignant": Label.MALIGNANT,
    "cancer": Label.MALIGNANT,
}
"""Names of folders, in small letters and with underscores, that say a class."""
_SPLITS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "validation": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}


def read(
    folder: Path,
    *,
    source: str = SOURCE,
    name: str = "Images in class folders",
    licence: str = "Not stated: whoever trains on these images knows it",
    citation: str = "",
    known_gaps: tuple[str, ...] = (),
) -> DataSet:
    """Read images from class folders.

    Parameters
    ----------
    folder
        Holds folders named after the classes, at any depth.
    source
        Short name for the table.
    name, licence, citation, known_gaps
        What is to be said of the images; see `DataSet`.

    Returns
    -------
    data_set
        One row an image, sorted by path. Images under no class are `problems`.

    Raises
    ------
    DataSetError
        If the folder holds no image under a class.
    """
    files = find_images(folder) if folder.is_dir() else []
    labels = {path: _nearest(path.relative_to(folder), CLASSES) for path in files}
    found = [_image(path, folder, label, source) for path, label in labels.items() if label]
    if not found:
        raise wrong_folder(
            folder,
            expected=f"images in folders named {', '.join(CLASSES)} (capital letters do not count)",
            to_do="Name the folder above the class folders, or rename them.",
        )
    alone = sum(image.patient_id == _own_name(image.path, folder) for image in found)
    return DataSet(
        name=name,
        licence=licence,
        citation=citation,
        images=tuple(found),
        problems=mismatches(
            labels_without_image=(),
            images_without_label=(
                str(path.relative_to(folder)) for path, label in labels.items() if label is None
            ),
        ),
        read_display=lambda image: read_image(image.path),
        known_gaps=known_gaps,
        notes=(_note(alone, len(found)),) if alone else (),
    )


def _nearest(path: PurePath, meanings: Mapping[str, Label]) -> Label | None:
    """Label of the nearest folder above an image that is named after a class."""
    return next(
        (meanings[_plain(part)] for part in reversed(path.parts[:-1]) if _plain(part) in meanings),
        None,
    )


def _image(path: Path, folder: Path, label: Label, source: str) -> LabelledImage:
    """Read what path and header say of one image."""
    folders = path.relative_to(folder).parts[:-1]
    place = max(index for index, part in enumerate(folders) if _plain(part) in CLASSES)
    patient, view = _own_name(path, folder), View(laterality=None, view_position=None)
    if is_dicom(path):
        try:
            ds = read_header(path)
        except DataSetError:
            # Inspection and training say so when they read its pixels.
            pass
        else:
            patient, view = str(ds.get("PatientID") or patient), read_view(ds)
    if folders[place + 1 :]:
        patient = folders[place + 1]
    splits = [_SPLITS[part.lower()] for part in folders if part.lower() in _SPLITS]
    return LabelledImage(
        path=path,
        patient_id=patient,
        study_id=patient,
        label=label,
        source=source,
        laterality=view.laterality,
        view_position=view.view_position,
        split=splits[-1] if splits else None,
    )


def _note(alone: int, images: int) -> str:
    """Say that patients are unknown."""
    return (
        f"{alone} of {images} images do not say their patient: each counts as a patient of its "
        "own, and near-copies of one patient can lie in two splits. Put the images of a patient "
        "into a folder below the class."
    )


def _own_name(path: Path, folder: Path) -> str:
    """Return the patient of an image that says none."""
    return str(path.relative_to(folder))


def _plain(name: str) -> str:
    """Name of a folder as `CLASSES` spells it."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")
