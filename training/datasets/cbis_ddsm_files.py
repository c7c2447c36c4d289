"""Where the films, cropped images and masks of CBIS-DDSM lie, in either of its layouts."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.datasets.errors import wrong_folder
from training.datasets.image_files import is_two_valued, read_image, size_of
from training.datasets.tables import read_rows
from training.errors import DataSetError

PATIENT_ID = re.compile(r"(Mass|Calc)-(Training|Test)_P_\d{5}_(LEFT|RIGHT)_(CC|MLO)(_\d+)?")
"""Patient ID (0010,0020) as delivered: of a film, or with a number of one of its abnormalities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Which files there are."""

    files: Mapping[str, Sequence[Path]]
    """By Patient ID as delivered."""
    described_as_mask: frozenset[Path]
    """Files of the re-publication that call themselves a mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMask:
    """What was found of one abnormality."""

    mask: Path | None
    is_swapped: bool = False
    """Whether the delivery says of another file that it is the mask."""
    unreadable: tuple[str, ...] = ()
    """Files that could not be looked at, and why."""


def find_files(folder: Path) -> Delivery:
    """Find the images, in whichever layout they lie.

    Parameters
    ----------
    folder
        Any depth of it is searched.

    Returns
    -------
    delivery
        DICOM files, else those that ``dicom_info.csv`` names.

    Raises
    ------
    DataSetError
        If there are neither.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*.dcm")):
        names = [part for part in path.relative_to(folder).parts if PATIENT_ID.fullmatch(part)]
        if names:
            files[names[-1]].append(path)
    if files:
        return Delivery(files=files, described_as_mask=frozenset())
    table = next(folder.rglob("dicom_info.csv"), None)
    if table is None:
        raise wrong_folder(
            folder,
            expected=(
                "folders such as Mass-Training_P_00001_LEFT_CC with DICOM files, or "
                "csv/dicom_info.csv and jpeg/"
            ),
            to_do="Put the images into the folder of the tables, or name the folder above both.",
        )
    root = table.parent.parent if table.parent.name == "csv" else table.parent
    masks = set()
    for row in read_rows(table, ("image_path", "PatientID", "SeriesDescription")):
        # "CBIS-DDSM/jpeg/<UID>/1-001.jpg": the first folder is the archive's own.
        path = root.joinpath(*PurePosixPath(row["image_path"]).parts[1:])
        if path.is_file():
            files[row["PatientID"]].append(path)
            if "mask" in row["SeriesDescription"].lower():
                masks.add(path)
    return Delivery(files=files, described_as_mask=frozenset(masks))


def find_mask(
    region: str,
    film_size: tuple[int, int],
    delivery: Delivery,
    *,
    cropped_path: str,
    mask_path: str,
) -> FoundMask:
    """Tell mask from cropped image: by size, and by values where the size does not decide.

    Parameters
    ----------
    region
        Patient ID of both as delivered.
    film_size
        (rows, columns) of the film.
    delivery
        From `find_files`.
    cropped_path, mask_path
        What the table calls them.

    Returns
    -------
    found
        No mask where none is there, or none has the aspect ratio of the film.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    unreadable = []
    for path in delivery.files.get(region, ()):
        try:
            sizes[path] = size_of(path)
        except DataSetError as error:
            unreadable.append(str(error))
    masks = [path for path, size in sizes.items() if size == film_size]
    if len(masks) != 1:
        masks = []
        for path in sizes:
            try:
                if is_two_valued(read_image(path)):
                    masks.append(path)
            except DataSetError as error:
                unreadable.append(str(error))
    # A few masks are of another scan of the film: those of its shape can be brought to its size.
    masks = [path for path in masks if _has_shape_of(sizes[path], film_size)]
    if not masks:
        return FoundMask(mask=None, unreadable=tuple(unreadable))
    mask = max(masks, key=lambda path: sizes[path])
    said = _said_to_be_mask(list(sizes), delivery, cropped_path, mask_path)
    return FoundMask(
        mask=mask, is_swapped=bool(said) and mask not in said, unreadable=tuple(unreadable)
    )


def _has_shape_of(size: tuple[int, int], film_size: tuple[int, int]) -> bool:
    """Whether two sizes have the same aspect ratio, to 2 %."""
    return abs(size[0] * film_size[1] / (size[1] * film_size[0]) - 1.0) < 0.02


def _said_to_be_mask(
    files: list[Path], delivery: Delivery, cropped_path: str, mask_path: str
) -> list[Path]:
    """Which file the delivery calls the mask; none where it cannot be told."""
    if delivery.described_as_mask:
        return [path for path in files if path in delivery.described_as_mask]
    cropped, named = PurePosixPath(cropped_path), PurePosixPath(mask_path)
    if cropped.parent != named.parent or len({path.parent for path in files}) > 1:
        # Two series: only their folders say which is which.
        return [
            path
            for path in files
            if path.parent.name == named.parent.name or "mask" in path.parent.name.lower()
        ]
    # 000000.dcm and 000001.dcm, or 1-1.dcm and 1-2.dcm: the order is the same.
    if len(files) != 2 or named.stem not in ("000000", "000001"):
        return []
    return [sorted(files)[int(named.stem)]]
