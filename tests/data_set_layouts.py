"""Small data sets in the layouts of their publishers, drawn: for whatever reads them."""

import csv
import io
import plistlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import numpy.typing as npt
from cbis_ddsm_rows import TABLES
from pydicom.dataset import Dataset

import phantoms
from training.datasets import rsna

Uint8Array = npt.NDArray[np.uint8]
ROWS, COLUMNS = 192, 144


def lesion_of(side: str, number: int = 1) -> phantoms.Disc:
    """Lesion of a film: `number` tells several of one film apart."""
    middle = phantoms.lesion_in(side, rows=ROWS, columns=COLUMNS)
    return middle._replace(row=middle.row + 25 * (number - 1))


def write_cbis_ddsm(folder: Path, *, swapped: Iterable[str] = ()) -> Path:
    """Write all films, crops and masks of `TABLES` as The Cancer Imaging Archive delivers them.

    The regions in `swapped` have crop and mask in each other's place. Returns `folder`.
    """
    _write_tables(folder)
    swapped = set(swapped)
    for row in _rows():
        film, side = PurePosixPath(row["image file path"]).parts[0], row["left or right breast"][0]
        lesion = lesion_of(side, int(row["abnormality id"]))
        files = folder / "CBIS-DDSM"
        _write_dicom(
            _film(row, film),
            files / film / "07-20-2016-DDSM-NA-1" / "1.000000-full mammogram images-1" / "1-1.dcm",
        )
        region = PurePosixPath(row["cropped image file path"]).parts[0]
        crop, mask = _crop(row, region, lesion), _mask(row, region, lesion)
        if region in swapped:
            crop, mask = mask, crop
        if _in_two_series(row):
            study = files / region / "07-20-2016-DDSM-NA-2"
            _write_dicom(crop, study / "1.000000-cropped images-1" / "1-1.dcm")
            _write_dicom(mask, study / "1.000000-ROI mask images-1" / "1-1.dcm")
        else:
            series = files / region / "07-20-2016-DDSM-NA-2" / "1.000000-ROI mask images-1"
            place = int(PurePosixPath(row["ROI mask file path"].strip()).stem)
            for number, ds in enumerate([mask, crop] if place == 0 else [crop, mask], start=1):
                _write_dicom(ds, series / f"1-{number}.dcm")
    return folder


def write_cbis_ddsm_as_jpeg(folder: Path, *, swapped: Iterable[str] = ()) -> Path:
    """Write all films, crops and masks of `TABLES` as the usual re-publication has them.

    The regions in `swapped` call the crop a mask and the mask a crop. Returns `folder`.
    """
    (folder / "csv").mkdir(parents=True)
    _write_tables(folder / "csv")
    swapped = set(swapped)
    facts: list[dict[str, str]] = []
    seen = set()

    def write(patient_id: str, series: str, description: str, picture: Uint8Array) -> None:
        target = folder / "jpeg" / phantoms.uid(series) / f"1-{len(facts) + 1:03d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), picture)
        facts.append(
            {
                "file_path": f"CBIS-DDSM/dicom/{target.parent.name}/{target.stem}.dcm",
                "image_path": f"CBIS-DDSM/jpeg/{target.parent.name}/{target.name}",
                "PatientID": patient_id,
                "SeriesDescription": description,
                "SeriesInstanceUID": target.parent.name,
            }
        )

    for row in _rows():
        film, side = PurePosixPath(row["image file path"]).parts[0], row["left or right breast"][0]
        lesion = lesion_of(side, int(row["abnormality id"]))
        region = PurePosixPath(row["cropped image file path"]).parts[0]
        if film not in seen:
            seen.add(film)
            write(film, film, "full mammogram images", _grey(_film(row, film)))
        names = ["cropped images", "ROI mask images"]
        if region in swapped:
            names.reverse()
        write(region, region, names[0], _grey(_crop(row, region, lesion)))
        write(region, region, names[1], _disc(lesion))
    with (folder / "csv" / "dicom_info.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(facts[0]))
        writer.writeheader()
        writer.writerows(facts)
    return folder


def write_rsna_competition(folder: Path) -> Path:
    """Write four views of three patients, with the competition's columns. Returns `folder`."""
    outcomes = {
        # cancer and biopsy of the left breast; BI-RADS and density as they stand in the table
        "10006": ("1", "1", "0.0", "C"),
        "10011": ("0", "1", "", ""),
        "10025": ("0", "0", "1.0", "B"),
    }
    rows = []
    for number, (patient, (cancer, biopsy, bi_rads, density)) in enumerate(outcomes.items()):
        for image, (side, view) in enumerate(phantoms.SCREENING_VIEWS):
            is_left = side == "L"
            name = f"{462822612 + number * 10 + image}"
            _write_dicom(
                phantoms.mammogram(
                    laterality=side, view_position=view, seed=number, rows=ROWS, columns=COLUMNS
                ),
                folder / "train_images" / patient / f"{name}.dcm",
            )
            here = [cancer, biopsy] if is_left else ["0", "0"]
            row = ["2", patient, name, side, view, "61.0", *here, "0", bi_rads, "0", density]
            rows.append([*row, "29", "False"])
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(rsna.COMPETITION_COLUMNS)
        writer.writerows(rows)
    return folder


MINI_MIAS_INFO = """\
# NOTES
# 1) The list is arranged in pairs of films, where each pair represents the left (even filename
#    numbers) and right mammograms (odd filename numbers) of a single patient.
mdb001 G CIRC B 535 425 197
mdb002 G CIRC B 522 280 69
mdb003 D NORM\x20
mdb004 D NORM\x20
mdb059 F CIRC B
mdb060 F NORM
mdb143 F NORM
mdb144 F MISC B 233 994 29
mdb144 F MISC M 313 540 27
mdb245 F CALC M *NOTE 3*
mdb246 F NORM
"""


def write_mini_mias(folder: Path, *, size_px: int = 1024, suffix: str = ".pgm") -> Path:
    """Write ten films with their true lines of ``Info.txt``. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Info.txt").write_text(MINI_MIAS_INFO, encoding="utf-8")
    films = {line.split()[0] for line in MINI_MIAS_INFO.splitlines() if line.startswith("mdb")}
    for film in films:
        number = int(film[3:])
        pixels = phantoms.breast_pixels(
            "R" if number % 2 else "L", rows=size_px, columns=size_px, seed=number
        )
        cv2.imwrite(str(folder / f"{film}{suffix}"), np.rint(pixels * 255).astype(np.uint8))
    return folder


INBREAST_ROWS = (
    # file name, patient, side, view, ACR, BI-RADS
    ("20586908", "6c613a14b80a8591", "R", "CC", "4", "1"),
    ("20586934", "6c613a14b80a8591", "L", "CC", "4", "4c"),
    ("22678622", "61b13c59bcba149e", "L", "MLO", "2", "3"),
    ("22678646", "61b13c59bcba149e", "R", "MLO", "     ", "6"),
)


def write_inbreast(folder: Path) -> Path:
    """Write four images, their table and the outlines of one. Returns `folder`."""
    (folder / "AllXML").mkdir(parents=True)
    lines = ["Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"]
    for number, (name, patient, side, view, density, bi_rads) in enumerate(INBREAST_ROWS):
        lines.append(f"removed;removed;{side};{view};201001;{name};{density};{bi_rads}")
        _write_dicom(
            phantoms.mammogram(
                laterality=side, view_position=view, seed=number, rows=ROWS, columns=COLUMNS
            ),
            folder / "AllDICOMs" / f"{name}_{patient}_MG_{side}_{view}_ANON.dcm",
        )
    (folder / "INbreast.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    outlines = {
        "Images": [
            {
                "ImageIndex": 0,
                "NumberOfROIs": 2,
                "ROIs": [
                    _outline("Mass", [(40.5, 80.25), (60.0, 70.0), (55.0, 95.5)]),
                    _outline("Calcification", [(20.0, 30.0)]),
                ],
            }
        ]
    }
    with (folder / "AllXML" / "20586934.xml").open("wb") as file:
        plistlib.dump(outlines, file)
    return folder


def write_class_folders(folder: Path) -> Path:
    """Write slices of two patients and a loose one, PNG, JPEG and DICOM. Returns `folder`."""
    for number, path in enumerate(
        (
            "Benign/P01/series/1.png",
            "Benign/P01/series/2.jpg",
            "deeper/down/Malignant/P02/1.png",
            "deeper/down/Malignant/P02/2.PNG",
            "Malignant/loose.png",
        )
    ):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = phantoms.breast_pixels("R", rows=ROWS, columns=COLUMNS, seed=number)
        cv2.imwrite(str(target), np.rint(pixels * 255).astype(np.uint8))
    _write_dicom(
        phantoms.mammogram(rows=ROWS, columns=COLUMNS, PatientID="SLICES-1"),
        folder / "Benign" / "slice.dcm",
    )
    return folder


def _write_tables(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in TABLES.items():
        (folder / name).write_bytes(text.encode())


def _rows() -> list[dict[str, str]]:
    tables = [csv.DictReader(io.StringIO(text, newline="")) for text in TABLES.values()]
    return [row for table in tables for row in table]


def _in_two_series(row: dict[str, str]) -> bool:
    paths = [row[f"{what} file path"].strip() for what in ("cropped image", "ROI mask")]
    return PurePosixPath(paths[0]).parent != PurePosixPath(paths[1]).parent


def _film(row: dict[str, str], name: str) -> Dataset:
    side = row["left or right breast"][0]
    return phantoms.film(
        laterality=side,
        view_position=row["image view"],
        # Mass and calcification tables hold the same films.
        seed=int(row["patient_id"][2:]),
        rows=ROWS,
        columns=COLUMNS,
        lesion=lesion_of(side),
        PatientID=name,
    )


def _crop(row: dict[str, str], name: str, lesion: phantoms.Disc) -> Dataset:
    ds = _film(row, name)
    grown = 2 * lesion.radius
    pixels = ds.pixel_array[
        round(lesion.row - grown) : round(lesion.row + grown),
        round(lesion.column - grown) : round(lesion.column + grown),
    ]
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()
    ds.SeriesDescription = "cropped images"
    return ds


def _mask(row: dict[str, str], name: str, lesion: phantoms.Disc) -> Dataset:
    ds = _film(row, name)
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = _disc(lesion).tobytes()
    ds["PixelData"].VR = "OB"
    ds.SeriesDescription = "ROI mask images"
    return ds


def _disc(lesion: phantoms.Disc) -> Uint8Array:
    row, column = np.mgrid[0:ROWS, 0:COLUMNS] + 0.5
    inside = np.hypot(row - lesion.row, column - lesion.column) <= lesion.radius
    return np.where(inside, 255, 0).astype(np.uint8)


def _grey(ds: Dataset) -> Uint8Array:
    return np.asarray(ds.pixel_array >> 8, np.uint8)


def _outline(name: str, points: list[tuple[float, float]]) -> dict[str, object]:
    return {
        "Area": 1.0,
        "Name": name,
        "NumberOfPoints": len(points),
        "Point_mm": [],
        "Point_px": [f"({x:.6f}, {y:.6f})" for x, y in points],
        "Type": 15,
    }


def _write_dicom(ds: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(phantoms.to_bytes(ds))
