"""Data sets by name: their readers, their folders, and several of them as one table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from training.datasets import (
    DataSet,
    Float32Array,
    LabelledImage,
    breast_mri,
    cbis_ddsm,
    class_folders,
    inbreast,
    mini_mias,
    outcomes,
    patches,
    rsna,
)
from training.datasets.errors import some
from training.errors import DataSetError, SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How a data set is read."""

    read: Callable[[Path], DataSet]
    default_folder: Path
    layout: str
    """What lies in its folder, in one line."""


READERS: Mapping[str, Reader] = {
    "cbis_ddsm": Reader(
        read=cbis_ddsm.read,
        default_folder=Path("data/CBIS_DDSM"),
        layout="CBIS-DDSM, masses and calcifications: the four official tables and DICOM or JPEG",
    ),
    "cbis_ddsm_mass": Reader(
        read=partial(cbis_ddsm.read, parts=("mass",)),
        default_folder=Path("data/CBIS_DDSM"),
        layout="CBIS-DDSM, masses alone, in the official split",
    ),
    "cbis_ddsm_calc": Reader(
        read=partial(cbis_ddsm.read, parts=("calc",)),
        default_folder=Path("data/CBIS_DDSM"),
        layout="CBIS-DDSM, calcifications alone, in the official split",
    ),
    "rsna": Reader(
        read=rsna.read,
        default_folder=Path("data/rsna-screening-subset"),
        layout="RSNA screening: train.csv and train_images/, or the subset's labels.csv",
    ),
    "mini_mias": Reader(
        read=mini_mias.read,
        default_folder=Path("data/mini-MIAS"),
        layout="mini-MIAS: Info.txt and mdb001.pgm to mdb322.pgm",
    ),
    "inbreast": Reader(
        read=inbreast.read,
        default_folder=Path("data/INbreast"),
        layout="INbreast: INbreast.csv, AllDICOMs/ and AllXML/",
    ),
    "outcomes": Reader(
        read=outcomes.read,
        default_folder=Path("data/outcomes"),
        layout="Outcomes: outcomes.csv, as `mammonode outcomes export` writes it",
    ),
    "breast_mri": Reader(
        read=breast_mri.read,
        default_folder=Path("data/Second_Dataset"),
        layout="Breast MRI: Benign/ and Malignant/, any depth, PNG, JPEG or DICOM",
    ),
    "patches": Reader(
        read=patches.read,
        default_folder=Path("data/patches"),
        layout="Patches around lesions, as `python -m training patches` writes them",
    ),
    "class_folders": Reader(
        read=class_folders.read,
        default_folder=Path("data/class_folders"),
        layout="Any images in folders named after their class",
    ),
}


def read_data_set(name: str, folder: Path | None = None) -> DataSet:
    """Read a data set by its name.

    Parameters
    ----------
    name
        A key of `READERS`, or several with ``+`` between them: they are joined.
    folder
        Where it lies; its default folder where this is None. Of several, the folder that holds a
        folder for each, called as its default folder is.

    Returns
    -------
    data_set
        With what had to be left out among its `problems`; see `require_complete`.

    Raises
    ------
    SettingsError
        If there is no data set of that name.
    DataSetError
        If the folder does not hold its layout.
    """
    names = [part.strip() for part in name.split("+")]
    unknown = [part for part in names if part not in READERS]
    if unknown:
        raise SettingsError(
            key="data_set",
            found=repr(unknown[0]),
            accepted=f"one of {', '.join(READERS)}, or several with + between them",
            nearest=next(iter(get_close_matches(unknown[0], READERS, n=1)), None),
        )
    readers = [READERS[part] for part in names]
    if folder is None:
        folders = [reader.default_folder for reader in readers]
    elif len(readers) == 1:
        folders = [folder]
    else:
        folders = [folder / reader.default_folder.name for reader in readers]
    return join([reader.read(one) for reader, one in zip(readers, folders, strict=True)])


def require_complete(data_set: DataSet) -> None:
    """Raise if anything had to be left out.

    Parameters
    ----------
    data_set
        From a reader.

    Raises
    ------
    DataSetError
        With how many labels have no image and the reverse, and the first of them.
    """
    if data_set.problems:
        raise DataSetError(
            where=data_set.name,
            expected="a label for every image, and an image for every label",
            found=some([f"{problem.what} ({problem.kind})" for problem in data_set.problems]),
            to_do=(
                "Look at all of them with `python -m training inspect`; then complete the folder, "
                "or allow incomplete data sets in the settings of the run."
            ),
        )


def join(data_sets: Sequence[DataSet]) -> DataSet:
    """Join several data sets into one table.

    Parameters
    ----------
    data_sets
        Each of its own source.

    Returns
    -------
    data_set
        Patients and studies have their source before them, so that none are mixed up; a patient
        stays in the split that it has in its data set alone. One data set is returned as it is.

    Raises
    ------
    DataSetError
        If two have the same source, or some are prepared and some are not.
    """
    if len(data_sets) == 1:
        return data_sets[0]
    reads: dict[str, Callable[[LabelledImage], Float32Array]] = {}
    for data_set in data_sets:
        for source in {image.source for image in data_set.images}:
            if source in reads:
                raise DataSetError(
                    where=data_set.name,
                    expected="data sets of different sources",
                    found=f"{source} twice",
                    to_do="Name each data set once; both parts of CBIS-DDSM are cbis_ddsm.",
                )
            reads[source] = data_set.read_display
    if len({data_set.is_prepared for data_set in data_sets}) > 1:
        raise DataSetError(
            where=" + ".join(data_set.name for data_set in data_sets),
            expected="whole images alone, or patches alone",
            found="both",
            to_do="Pretrain on the patches in a stage of their own.",
        )

    def unique(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values))

    return DataSet(
        name=" + ".join(data_set.name for data_set in data_sets),
        licence="; ".join(unique([data_set.licence for data_set in data_sets])),
        citation=" ".join(
            unique([data_set.citation for data_set in data_sets if data_set.citation])
        ),
        images=tuple(_of_source(image) for one in data_sets for image in one.images),
        read_display=lambda image: reads[image.source](image),
        known_gaps=unique([gap for data_set in data_sets for gap in data_set.known_gaps]),
        problems=tuple(problem for data_set in data_sets for problem in data_set.problems),
        notes=unique([note for data_set in data_sets for note in data_set.notes]),
        is_prepared=data_sets[0].is_prepared,
    )


def _of_source(image: LabelledImage) -> LabelledImage:
    """Put the source before patient and study, and keep what the split hangs on."""
    return replace(
        image,
        patient_id=f"{image.source}/{image.patient_id}",
        study_id=f"{image.source}/{image.study_id}" if image.study_id else None,
        split_key=image.split_key or image.patient_id,
    )
