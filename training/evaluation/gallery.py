"""Grad-CAM of the images that the network was most right and most wrong about."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from model.explain import HeatMap
from training.datasets import Label, LabelledImage
from training.evaluation.scores import ScoreTable
from training.evaluation.scoring import ScoredImages
from training.lesions import lesion_boxes

Uint8Array = npt.NDArray[np.uint8]

_IN_A_ROW = 6
_HEIGHT_PX = 320
_OPACITY = 0.55
_JPEG_QUALITY = 84
_LINE_PX = 2
_CANCER_BGR = (120, 230, 120)
_OTHER_LESION_BGR = (240, 200, 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of the gallery.

    Attributes
    ----------
    words
        Its score and what is known of it.
    plain, with_map
        ``data:`` addresses of two pictures of the network's input.
    """

    words: str
    plain: str
    with_map: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Images of one sort.

    Attributes
    ----------
    title
        What sort.
    pictures
        Furthest out first.
    """

    title: str
    pictures: tuple[Picture, ...]


def chosen_rows(table: ScoreTable) -> dict[str, list[int]]:
    """Choose the images of a gallery, at most one of each patient in a row.

    Parameters
    ----------
    table
        Of one evaluation.

    Returns
    -------
    rows
        Places in the table, by the title of each sort.
    """
    falling = np.argsort(-table.scores, kind="stable")
    rising = falling[::-1]
    sorts = {
        "Best: cancers with the highest scores": falling[table.is_cancer[falling]],
        "Worst: cancers with the lowest scores": rising[table.is_cancer[rising]],
        "Worst: images without cancer with the highest scores": falling[~table.is_cancer[falling]],
        "Best: images without cancer with the lowest scores": rising[~table.is_cancer[rising]],
    }
    chosen = {}
    for title, rows in sorts.items():
        one_each: dict[str, int] = {}
        for row in rows.tolist():
            one_each.setdefault(table.patient_ids[row], row)
        chosen[title] = list(one_each.values())[:_IN_A_ROW]
    return chosen


def gallery(
    table: ScoreTable, scored: ScoredImages, heat_maps: Mapping[int, HeatMap]
) -> tuple[Row, ...]:
    """Draw the images that were chosen.

    Parameters
    ----------
    table
        Of one evaluation.
    scored
        The images of its rows.
    heat_maps
        Of each row in `chosen_rows`.

    Returns
    -------
    rows
        Those that are not empty.

    Raises
    ------
    DataSetError
        If the mask of a lesion cannot be read.
    """
    return tuple(
        Row(
            title=title,
            pictures=tuple(
                _picture(
                    np.asarray(scored.crops[row]),
                    heat_maps[row],
                    scored.images[row],
                    float(table.scores[row]),
                )
                for row in rows
            ),
        )
        for title, rows in chosen_rows(table).items()
        if rows
    )


def _picture(grey: Uint8Array, heat_map: HeatMap, image: LabelledImage, score: float) -> Picture:
    """Draw one image without and with its map, and lesions where they are known."""
    facts = [image.label.value.replace("_", " "), image.view_position or ""]
    return Picture(
        words=f"{score:.2f} · {' '.join(fact for fact in facts if fact)}",
        plain=_data_address(_outlined(_in_colour(grey), heat_map, image)),
        with_map=_data_address(_outlined(_overlaid(grey, heat_map), heat_map, image)),
    )


def _overlaid(grey: Uint8Array, heat_map: HeatMap) -> Uint8Array:
    """Lay the map over the image: the higher, the more of its colour."""
    largest = float(heat_map.values.max())
    values = heat_map.values / largest if largest > 0 else heat_map.values
    colour = cv2.applyColorMap(np.round(values * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = (_OPACITY * np.sqrt(values))[..., None]
    mixed = _in_colour(grey) * (1 - share) + colour * share
    return np.asarray(np.round(mixed), np.uint8)


def _in_colour(grey: Uint8Array) -> Uint8Array:
    """Give a grey picture three channels."""
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)


def _outlined(picture: Uint8Array, heat_map: HeatMap, image: LabelledImage) -> Uint8Array:
    """Draw the box around every lesion whose place is known."""
    geometry = heat_map.geometry
    for box in lesion_boxes(image, (geometry.original_rows, geometry.original_columns)):
        one = geometry.to_input(box.top, box.left)
        other = geometry.to_input(box.bottom, box.right)
        corners = [(round(column), round(row)) for row, column in (one, other)]
        is_cancer = box.label in {None, Label.MALIGNANT}
        colour = _CANCER_BGR if is_cancer else _OTHER_LESION_BGR
        cv2.rectangle(picture, corners[0], corners[1], colour, _LINE_PX, cv2.LINE_AA)
    return picture


def _data_address(picture: Uint8Array) -> str:
    """Make a picture part of the page."""
    rows, columns = picture.shape[:2]
    size = (max(1, round(columns * _HEIGHT_PX / rows)), _HEIGHT_PX)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
