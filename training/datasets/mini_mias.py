"""mini-MIAS: 322 digitised films, mediolateral oblique, of 161 women (Suckling et al. 1994).

Layout: ``Info.txt`` and ``mdb001.pgm`` to ``mdb322.pgm``, beside it or in a folder below; other
picture formats and smaller pictures of the same films are read too. A line of ``Info.txt`` holds
the film, background tissue (F fatty, G fatty-glandular, D dense-glandular), class of abnormality,
and, unless that is NORM, severity (B, M), the centre and the radius of a circle around it, in
pixels of the 1024 × 1024 original **with the origin at the bottom left**. A film with several
abnormalities has several lines; a few circles are not given.

Two films in a row are one woman: the even number her left breast, the odd one her right.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from model.views import Laterality
from training.datasets import Box, DataSet, Label, LabelledImage
from training.datasets.errors import wrong_folder
from training.datasets.image_files import PICTURE_SUFFIXES, find_images, read_image, size_of
from training.datasets.problems import mismatches
from training.errors import DataSetError

SOURCE = "mini_mias"
_ORIGINAL_SIZE_PX = 1024
_FILM = re.compile(r"mdb(\d{3})")
_LABELS = {"B": Label.BENIGN, "M": Label.MALIGNANT}
_GRAVITY = (Label.NORMAL, Label.BENIGN, Label.MALIGNANT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of ``Info.txt``."""

    film: str
    tissue: str
    abnormality: str
    label: Label
    circle: tuple[float, float, float] | None
    """x, y, radius on the original grid, y upwards."""


def read(folder: Path) -> DataSet:
    """Read the table of the data set.

    Parameters
    ----------
    folder
        Holds ``Info.txt``.

    Returns
    -------
    data_set
        One row a film, malignant if any of its abnormalities is; a circle becomes the box around
        it.

    Raises
    ------
    DataSetError
        If there is no ``Info.txt``, or a line of it cannot be understood; says which.
    """
    info = folder / "Info.txt"
    if not info.is_file():
        raise wrong_folder(
            folder,
            expected="Info.txt beside the films mdb001.pgm to mdb322.pgm, or above them",
            to_do="Name the folder into which the archive of mini-MIAS was unpacked.",
        )
    lines: dict[str, list[_Line]] = defaultdict(list)
    for number, text in enumerate(info.read_text(encoding="latin-1").splitlines(), start=1):
        if _FILM.match(text):
            line = _parse(text, info, number)
            lines[line.film].append(line)
    files = {
        path.stem.lower(): path
        for path in find_images(folder)
        if path.suffix.lower() in PICTURE_SUFFIXES and _FILM.fullmatch(path.stem.lower())
    }
    return DataSet(
        name="MIAS MiniMammographic Database (1994)",
        licence="MIAS licence agreement: research only, not to be passed on",
        citation=(
            "Suckling J, Parker J, Dance D, et al. The Mammographic Image Analysis Society digital "
            "mammogram database. Exerpta Medica International Congress Series 1069, 1994."
        ),
        images=tuple(
            _image(files[film], lines[film]) for film in sorted(lines.keys() & files.keys())
        ),
        problems=mismatches(
            labels_without_image=lines.keys() - files.keys(),
            images_without_label=(
                str(files[film].relative_to(folder)) for film in files.keys() - lines.keys()
            ),
        ),
        read_display=lambda image: read_image(image.path),
        known_gaps=(
            "Digitised film of 1994, 8 bits, 0.2 mm to a pixel; one view, mediolateral oblique.",
            "Benign and malignant were chosen to be shown, not met with in screening.",
        ),
    )


def _parse(text: str, info: Path, number: int) -> _Line:
    """Read one line: film, tissue, abnormality, severity, x, y, radius."""
    fields = text.split()
    label = Label.NORMAL if fields[2:3] == ["NORM"] else _LABELS.get("".join(fields[3:4]))
    if label is None:
        raise DataSetError(
            where=f"{info} line {number}",
            expected="film, tissue, NORM or an abnormality with severity B or M",
            found=repr(text.strip()),
            to_do="Take Info.txt as its publisher delivers it.",
        )
    circle = fields[4:7]
    # Where no circle is given, the line ends, or says "*NOTE 3*".
    has_circle = len(circle) == 3 and all(value.isdecimal() for value in circle)
    x, y, radius = map(float, circle) if has_circle else (0.0, 0.0, 0.0)
    return _Line(
        film=fields[0],
        tissue=fields[1],
        abnormality=fields[2],
        label=label,
        circle=(x, y, radius) if has_circle else None,
    )


def _image(path: Path, lines: list[_Line]) -> LabelledImage:
    """Join the lines of one film."""
    number = int(path.stem[3:])
    patient = f"mias{(number + 1) // 2:03d}"
    circles = [(line.circle, line.label) for line in lines if line.circle]
    scale = _scale(path) if circles else 1.0
    return LabelledImage(
        path=path,
        patient_id=patient,
        study_id=patient,
        label=max((line.label for line in lines), key=_GRAVITY.index),
        source=SOURCE,
        laterality=Laterality.RIGHT if number % 2 else Laterality.LEFT,
        view_position="MLO",
        boxes=tuple(_box(circle, label, scale) for circle, label in circles),
        findings=tuple(
            dict.fromkeys(line.abnormality for line in lines if line.label is not Label.NORMAL)
        ),
        density=lines[0].tissue,
    )


def _scale(path: Path) -> float:
    """Pixels of a picture for one of the original."""
    try:
        return size_of(path)[0] / _ORIGINAL_SIZE_PX
    except DataSetError:
        # Inspection and training say so when they read its pixels.
        return 1.0


def _box(circle: tuple[float, float, float], label: Label, scale: float) -> Box:
    """Turn a circle with its y upwards into the box around it, with its rows downwards."""
    x, y, radius = circle
    row = _ORIGINAL_SIZE_PX - y
    return Box(
        top=(row - radius) * scale,
        left=(x - radius) * scale,
        bottom=(row + radius) * scale,
        right=(x + radius) * scale,
        label=label,
    )
