"""INbreast: 410 full-field digital mammograms of 115 women (Moreira et al. 2012).

Layout: ``INbreast.csv`` (semicolons), ``AllDICOMs/<file name>_<patient>_MG_<side>_<view>_ANON.dcm``
and ``AllXML/<file name>.xml``, property lists as OsiriX writes them, with the outlines of lesions.
The table's own patients are "removed": a patient is the second part of a file's name.

There are no biopsies in the table. As is usual with this data set, BI-RADS 4 to 6 stands for
malignant and 1 to 3 for not: 1 is normal, 2 and 3 are benign.
"""

import plistlib
import re
from pathlib import Path
from xml.parsers.expat import ExpatError

from model.views import VIEW_POSITIONS, Laterality
from training.datasets import Box, DataSet, Label, LabelledImage
from training.datasets.errors import wrong_folder
from training.datasets.image_files import find_images, read_image
from training.datasets.problems import mismatches
from training.datasets.tables import Row, read_rows
from training.errors import DataSetError

SOURCE = "inbreast"
COLUMNS = (
    "Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR",
    "Bi-Rads",
)  # fmt: skip
_LABELS = {
    "1": Label.NORMAL,
    "2": Label.BENIGN,
    "3": Label.BENIGN,
    "4": Label.MALIGNANT,
    "5": Label.MALIGNANT,
    "6": Label.MALIGNANT,
}
_DENSITIES = {"": None, "1": "a", "2": "b", "3": "c", "4": "d"}
_SIDES = {"L": Laterality.LEFT, "R": Laterality.RIGHT}
# Thousands of single calcifications are marked by a point or a few: no lesions, and no places that
# a heat map could be measured against. Their clusters are outlined on their own.
_NOT_A_LESION = frozenset({"calcification", "calcifications"})
_POINT = re.compile(r"\(\s*([-\d.]+)\s*,\s*([-\d.]+)\s*\)")


def read(folder: Path) -> DataSet:
    """Read the table of the data set.

    Parameters
    ----------
    folder
        Holds ``INbreast.csv``, ``AllDICOMs/`` and ``AllXML/``.

    Returns
    -------
    data_set
        One row an image; an outline becomes the box around it.

    Raises
    ------
    DataSetError
        If the table or the folder of images is missing, a column or a value of the table is not
        one that the layout knows, or an outline cannot be read; names the file.
    """
    table, dicoms = folder / "INbreast.csv", folder / "AllDICOMs"
    if not table.is_file() or not dicoms.is_dir():
        raise wrong_folder(
            folder,
            expected="INbreast.csv, AllDICOMs/ and AllXML/",
            to_do="Name the folder 'INbreast Release 1.0' itself.",
        )
    files = {path.name.split("_")[0]: path for path in find_images(dicoms)}
    rows = {
        row["File Name"]: row
        for row in read_rows(table, COLUMNS, delimiter=";")
        # A spreadsheet leaves rows of delimiters at its end.
        if row["File Name"]
    }
    unrated = [name for name, row in rows.items() if _category(row) not in _LABELS]
    images = tuple(
        _image(files[name], row, folder / "AllXML" / f"{name}.xml")
        for name, row in rows.items()
        if name in files and name not in unrated
    )
    return DataSet(
        name="INbreast (2012)",
        licence="On request from its authors, for research; not to be passed on",
        citation=(
            "Moreira IC, Amaral I, Domingues I, et al. INbreast: toward a full-field digital "
            "mammographic database. Academic Radiology 19(2), 2012."
        ),
        images=images,
        problems=mismatches(
            labels_without_image=rows.keys() - files.keys(),
            images_without_label=(files[name].name for name in files.keys() - rows.keys()),
        ),
        read_display=lambda image: read_image(image.path),
        known_gaps=(
            "Labels are a reader's BI-RADS category, 4 to 6 for malignant, and no biopsy's result.",
            "One site and one detector, 0.07 mm to a pixel.",
        ),
        notes=(
            (f"{len(unrated)} images left out: their BI-RADS category is 0 or missing.",)
            if unrated
            else ()
        ),
    )


def _category(row: Row) -> str:
    """BI-RADS category without its letter: 4a, 4b and 4c are 4."""
    category = row["Bi-Rads"].rstrip("abcABC")
    if category not in (*_LABELS, "0", ""):
        raise row.error(expected="Bi-Rads to be 0 to 6, 4a, 4b or 4c", found=repr(row["Bi-Rads"]))
    return category


def _image(path: Path, row: Row, outlines: Path) -> LabelledImage:
    """Join a row, its image and its outlines."""
    parts = path.stem.split("_")
    if len(parts) < 3:
        raise DataSetError(
            where=path,
            expected="the name <file name>_<patient>_MG_<side>_<view>_ANON.dcm",
            found=path.name,
            to_do="Keep the names that the files were delivered with: they alone say the patient.",
        )
    label = _LABELS[_category(row)]
    # Images without a finding have no file of outlines.
    lesions = _read_outlines(outlines, label) if outlines.is_file() else []
    return LabelledImage(
        path=path,
        patient_id=parts[1],
        study_id=f"{parts[1]}/{row['Acquisition date']}",
        label=label,
        source=SOURCE,
        laterality=row.one_of("Laterality", _SIDES),
        view_position=row["View"] if row["View"] in VIEW_POSITIONS else None,
        boxes=tuple(box for name, box in lesions if name not in _NOT_A_LESION),
        findings=tuple(dict.fromkeys(name for name, _ in lesions)),
        density=row.one_of("ACR", _DENSITIES),
        bi_rads=row["Bi-Rads"].lower(),
    )


def _read_outlines(file: Path, label: Label) -> list[tuple[str, Box]]:
    """Read the outlines of one image: kind of lesion, and the box around it.

    Points are (x, y) in pixels from the top left, in text: ``(2290.13, 1580.40)``. The category is
    the image's, so the label is too.
    """
    try:
        with file.open("rb") as stream:
            images = plistlib.load(stream)["Images"]
        regions = [region for image in images for region in image["ROIs"]]
        return [
            (str(region["Name"]).strip().lower(), _box(region["Point_px"], label))
            for region in regions
            if region.get("Point_px")
        ]
    except (plistlib.InvalidFileException, ExpatError, KeyError, TypeError, ValueError) as error:
        raise DataSetError(
            where=file,
            expected="a property list of OsiriX with Images, ROIs, Name and Point_px",
            found=f"{error.__class__.__name__}: {error}",
            to_do="Fetch the file from its publisher again, or remove it.",
        ) from error


def _box(points: list[str], label: Label) -> Box:
    """Return the box around an outline; a point is one pixel."""
    matches = [_POINT.fullmatch(point.strip()) for point in points]
    pairs = [(float(match[1]), float(match[2])) for match in matches if match]
    if len(pairs) < len(points):
        raise ValueError("a point that is not (x, y)")
    columns, rows = zip(*pairs, strict=True)
    return Box(
        top=min(rows),
        left=min(columns),
        bottom=max(max(rows), min(rows) + 1),
        right=max(max(columns), min(columns) + 1),
        label=label,
    )
