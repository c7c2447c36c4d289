import base64
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from score_tables import drawn_table

from model.explain import HeatMap
from model.image_statistics import image_statistics
from model.preprocess import to_network_input
from phantoms import breast_pixels
from training.datasets import Box, LabelledImage
from training.evaluation.gallery import Row, chosen_rows, gallery
from training.evaluation.scores import ScoreTable
from training.evaluation.scoring import ScoredImages

TABLE = drawn_table(patients=30)
IMAGES = tuple(
    LabelledImage(
        path=Path(name),
        patient_id=patient,
        label=label,
        source="drawn",
        view_position=view,
        boxes=(Box(top=80, left=20, bottom=120, right=60),),
    )
    for name, patient, label, view in zip(
        TABLE.images, TABLE.patient_ids, TABLE.labels, TABLE.view_positions, strict=True
    )
)
GIVEN = to_network_input(breast_pixels("L"), (96, 72))


def hill() -> HeatMap:
    values = np.zeros((96, 72), np.float32)
    values[30:50, 10:25] = 0.4
    return HeatMap(values=values, breast_mask=GIVEN.breast_mask, geometry=GIVEN.geometry)


def scored(table: ScoreTable, images: tuple[LabelledImage, ...]) -> ScoredImages:
    crop = GIVEN.pixels[..., 0].astype(np.uint8)
    return ScoredImages(
        images=images,
        breasts=table.breasts,
        crops=np.broadcast_to(crop, (len(images), 96, 72)),
        geometries=(GIVEN.geometry,) * len(images),
        image_statistics=(image_statistics(GIVEN),) * len(images),
        outputs=table.outputs,
        without_breast=0,
    )


def drawn(table: ScoreTable, images: tuple[LabelledImage, ...]) -> tuple[Row, ...]:
    return gallery(table, scored(table, images), defaultdict(hill))


def test_the_best_and_the_worst_of_both_classes_are_shown_furthest_out_first() -> None:
    chosen = list(chosen_rows(TABLE).values())

    scores, is_cancer = TABLE.scores, TABLE.is_cancer
    assert [is_cancer[rows].all() for rows in chosen] == [True, True, False, False]
    assert [is_cancer[rows].any() for rows in chosen] == [True, True, False, False]
    assert chosen[0][0] == np.flatnonzero(is_cancer)[scores[is_cancer].argmax()]
    assert chosen[1][0] == np.flatnonzero(is_cancer)[scores[is_cancer].argmin()]
    assert chosen[2][0] == np.flatnonzero(~is_cancer)[scores[~is_cancer].argmax()]
    assert chosen[3][0] == np.flatnonzero(~is_cancer)[scores[~is_cancer].argmin()]
    for rows in chosen:
        assert len({TABLE.patient_ids[row] for row in rows}) == len(rows) == 6


def test_each_picture_is_shown_without_and_with_its_map_and_says_its_score() -> None:
    rows = drawn(TABLE, IMAGES)

    assert len(rows) == 4
    picture = rows[0].pictures[0]
    assert picture.words == f"{TABLE.scores[TABLE.is_cancer].max():.2f} · malignant " + (
        IMAGES[chosen_rows(TABLE)[rows[0].title][0]].view_position or ""
    )
    plain, with_map = (decoded(address) for address in (picture.plain, picture.with_map))
    assert plain.shape == with_map.shape == (320, 240, 3)
    differs = np.abs(plain.astype(int) - with_map.astype(int)).max(axis=2) > 20
    inside = np.zeros((320, 240), np.bool_)
    inside[100:167, 34:83] = True
    # The box of the lesion, the same in both, crosses the map.
    assert differs[inside].mean() > 0.6
    assert differs[~inside].mean() < 0.05


def test_a_class_without_an_image_has_no_row() -> None:
    healthy = TABLE.taken(np.flatnonzero(~TABLE.is_cancer).tolist())
    images = tuple(image for image in IMAGES if not image.is_cancer)

    assert len(drawn(healthy, images)) == 2


def decoded(address: str) -> np.ndarray:
    _, _, data = address.partition("base64,")
    bytes_of_it = np.frombuffer(base64.b64decode(data), np.uint8)
    return np.asarray(cv2.imdecode(bytes_of_it, cv2.IMREAD_COLOR))
