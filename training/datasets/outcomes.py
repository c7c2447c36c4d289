"""A node's own images with what became of the breasts: ``mammonode outcomes export``.

Layout: ``outcomes.csv``, one row an image, with its path: absolute, or from the folder of the
table. The label is of the breast: histopathology says malignant or benign, follow-up no cancer.
"""

from pathlib import Path

from model.views import VIEW_POSITIONS, Laterality
from training.datasets import DataSet, Label, LabelledImage
from training.datasets.errors import wrong_folder
from training.datasets.image_files import read_image
from training.datasets.problems import mismatches
from training.datasets.tables import read_rows

SOURCE = "outcomes"
TABLE = "outcomes.csv"
COLUMNS = (
    "path", "patient", "study", "laterality", "view_position", "label", "source", "days_after",
)  # fmt: skip
_LABELS = {label.value: label for label in (Label.MALIGNANT, Label.BENIGN, Label.NO_CANCER)}
_SIDES = {"R": Laterality.RIGHT, "L": Laterality.LEFT}


def read(folder: Path) -> DataSet:
    """Read the table.

    Parameters
    ----------
    folder
        Holds ``outcomes.csv``.

    Returns
    -------
    data_set
        One row an image, in the order of the file; images that are not there are `problems`.

    Raises
    ------
    DataSetError
        If there is no table, a column is missing, or a value is not one that the layout knows.
    """
    table = folder / TABLE
    if not table.is_file():
        raise wrong_folder(
            folder,
            expected=f"{TABLE}, as `mammonode outcomes export` writes it",
            to_do=f"Export with --out {folder / TABLE}.",
        )
    images = [
        LabelledImage(
            path=folder / row["path"],
            patient_id=row["patient"],
            label=row.one_of("label", _LABELS),
            source=SOURCE,
            study_id=row["study"],
            laterality=row.one_of("laterality", _SIDES),
            view_position=row["view_position"] if row["view_position"] in VIEW_POSITIONS else None,
        )
        for row in read_rows(table, COLUMNS)
    ]
    return DataSet(
        name="A node's own images with outcomes",
        licence="Patients of the site: not to be passed on; whoever trains on them knows the terms",
        citation="",
        images=tuple(image for image in images if image.path.is_file()),
        problems=mismatches(
            labels_without_image=(str(image.path) for image in images if not image.path.is_file()),
            images_without_label=(),
        ),
        read_display=lambda image: read_image(image.path),
        known_gaps=(
            "Labels are outcomes of a breast, not of an image.",
            "Only women with an outcome are in it, among whom those who were called back are many.",
        ),
    )
