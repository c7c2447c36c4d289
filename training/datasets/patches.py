"""Patches that `training.roi` cut around lesions and from the breast beside them.

Layout: ``patches.csv`` with the columns `COLUMNS`, the PNG files that it names, and ``about.json``
with what is to be said of the data set they come from. A patient has the split that it has there.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from model.views import Laterality
from training.datasets import DataSet, Label, LabelledImage, Split
from training.datasets.errors import wrong_folder
from training.datasets.image_files import find_images, read_image
from training.datasets.problems import mismatches
from training.datasets.tables import read_rows
from training.errors import DataSetError

SOURCE = "patches"
TABLE_FILE = "patches.csv"
ABOUT_FILE = "about.json"
COLUMNS = (
    "image", "patient_id", "split_key", "split", "laterality", "view_position", "label", "finding",
)  # fmt: skip


class About(BaseModel):
    """What is to be said of the data set that patches come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    citation: str
    known_gaps: tuple[str, ...]


def read(folder: Path) -> DataSet:
    """Read the table of patches.

    Parameters
    ----------
    folder
        That `training.roi.cut_patches` wrote.

    Returns
    -------
    data_set
        One row a patch: of a lesion with its label, of the breast beside it as normal. It is
        prepared: patches are pieces of network input.

    Raises
    ------
    DataSetError
        If the folder does not hold patches, or a value is not one that the layout knows.
    """
    if not (folder / TABLE_FILE).is_file() or not (folder / ABOUT_FILE).is_file():
        raise wrong_folder(
            folder,
            expected=f"{TABLE_FILE} and {ABOUT_FILE}",
            to_do="Cut patches with `python -m training patches DATASET DIR --out FOLDER` first.",
        )
    try:
        about = About.model_validate_json((folder / ABOUT_FILE).read_bytes())
    except ValidationError as error:
        raise DataSetError(
            where=folder / ABOUT_FILE,
            expected="name, licence, citation and known_gaps",
            found=f"{error.error_count()} faults",
            to_do="Cut the patches again.",
        ) from error
    images = [
        LabelledImage(
            path=folder / row["image"],
            patient_id=row["patient_id"],
            split_key=row["split_key"] or None,
            split=row.one_of("split", {"": None, **{split.value: split for split in Split}}),
            laterality=row.one_of(
                "laterality", {"": None, **{side.value: side for side in Laterality}}
            ),
            view_position=row["view_position"] or None,
            label=row.one_of("label", {label.value: label for label in Label}),
            source=SOURCE,
            findings=(row["finding"],),
        )
        for row in read_rows(folder / TABLE_FILE, COLUMNS)
    ]
    named = {image.path for image in images}
    return DataSet(
        name=about.name,
        licence=about.licence,
        citation=about.citation,
        images=tuple(image for image in images if image.path.is_file()),
        problems=mismatches(
            labels_without_image=(path.name for path in named if not path.is_file()),
            images_without_label=(path.name for path in set(find_images(folder)) - named),
        ),
        read_display=lambda image: read_image(image.path),
        known_gaps=about.known_gaps,
        is_prepared=True,
    )
