from dataclasses import replace

import cv2
import numpy as np
import pytest

import phantoms
import study_results
from node.report.overlay import COLUMNS, PICTURE_COLUMNS, draw_overlay, draw_source
from node.report.overlay_panel import PANEL_COLUMNS, ROWS
from node.result_kinds import HeatMapLayout
from node.results import InstanceResult, StudyResult, UInt8Array
from node.settings import ResultsSettings

WIDTH = ROWS * 192 // 256
"""Of the picture of a phantom, in columns."""


def left_cc(*, score: float, **attributes: object) -> InstanceResult:
    ds = phantoms.mammogram(laterality="L")
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return study_results.analysed(ds, score=score)


def drawn(instance: InstanceResult, *, result: StudyResult | None = None) -> UInt8Array:
    return draw_overlay(result or study_results.study(instance), instance)


def without_regions(instance: InstanceResult) -> InstanceResult:
    return replace(instance, regions=())


def test_every_overlay_has_the_same_size() -> None:
    for rows, columns in ((256, 192), (256, 100), (128, 250)):
        ds = phantoms.mammogram(rows=rows, columns=columns)

        overlay = drawn(study_results.analysed(ds, score=0.5))

        assert overlay.shape == (ROWS, COLUMNS[HeatMapLayout.SOURCE_AND_OVERLAY], 3)
        assert overlay.dtype == np.uint8


def test_anatomy_is_as_stored_and_the_chest_wall_at_the_edge() -> None:
    # A left breast: chest wall on the left, so the panel is on the right.
    instance = left_cc(score=0.01)
    assert instance.preview is not None

    overlay = drawn(instance)

    picture = cv2.resize(instance.preview, (WIDTH, ROWS), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(overlay[:, :WIDTH, 1], picture)


def test_a_right_breast_hangs_against_the_right_edge() -> None:
    instance = study_results.analysed(phantoms.mammogram(laterality="R"), score=0.01)
    assert instance.preview is not None

    overlay = drawn(instance)

    picture = cv2.resize(instance.preview, (WIDTH, ROWS), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(overlay[:, -WIDTH:, 1], picture)


def test_a_view_stored_the_other_way_round_looks_like_one_that_is_not() -> None:
    as_hung, oddly_stored = study_results.positive(), study_results.oddly_stored()

    for one, other in zip(as_hung.instances, oddly_stored.instances, strict=True):
        at_ease, turned = (
            draw_source(instance, rows=ROWS, columns=PICTURE_COLUMNS).astype(int)
            for instance in (one, other)
        )
        # Interpolation is not the same from both ends.
        assert np.abs(at_ease - turned).max() <= 2
        panel = np.s_[:, :PANEL_COLUMNS] if one.laterality == "R" else np.s_[:, -PANEL_COLUMNS:]
        assert np.array_equal(drawn(one)[panel], drawn(other)[panel])


def test_colour_is_only_where_the_heat_map_is_high() -> None:
    instance = without_regions(left_cc(score=0.8))
    assert instance.heat_map is not None

    picture = drawn(instance)[:, :WIDTH].astype(int)

    values = instance.heat_map.on_original((ROWS, WIDTH))
    is_coloured = np.ptp(picture, axis=2) > 0
    assert not is_coloured[values < 0.14].any()
    assert is_coloured[values > 0.6].mean() > 0.99


def test_a_view_well_below_the_operating_point_does_not_glow() -> None:
    overlay = drawn(left_cc(score=0.04))

    assert np.ptp(overlay[:, :WIDTH].astype(int), axis=2).max() == 0


def test_a_region_is_outlined_where_it_is() -> None:
    instance = left_cc(score=0.8)
    region = instance.regions[0]

    with_outline, plain = drawn(instance), drawn(without_regions(instance))

    rows, columns = np.nonzero((with_outline != plain).any(axis=2))
    scale = ROWS / 256
    assert columns.max() < PICTURE_COLUMNS
    assert rows.min() == pytest.approx(region.top * scale, abs=4)
    lowest = max(r.bottom for r in instance.regions)
    assert rows.max() == pytest.approx(lowest * scale, abs=4)
    assert columns.max() == pytest.approx(max(r.right for r in instance.regions) * scale, abs=4)


def test_pixels_that_are_not_square_are_drawn_in_the_shape_of_the_breast() -> None:
    # Twice as wide as high: 256 rows of 0.1 mm, 192 columns of 0.2 mm.
    instance = left_cc(score=0.01, ImagerPixelSpacing=[0.1, 0.2])

    overlay = drawn(instance)

    columns = np.nonzero(overlay[:, :PICTURE_COLUMNS].any(axis=(0, 2)))[0]
    rows = np.nonzero(overlay[:, :PICTURE_COLUMNS].any(axis=(1, 2)))[0]
    # The phantom is 0.8 of the width and 0.84 of the height.
    height, width = np.ptp(rows), np.ptp(columns)
    assert width / height == pytest.approx((192 * 0.8 * 2) / (256 * 0.84), rel=0.03)


def test_words_stand_in_the_panel_and_never_on_the_picture() -> None:
    instance = without_regions(left_cc(score=0.04))
    other = replace(instance, view_position="MLO", score=0.05)

    one, two = drawn(instance), drawn(other)

    assert np.array_equal(one[:, :PICTURE_COLUMNS], two[:, :PICTURE_COLUMNS])
    assert not np.array_equal(one[:, -PANEL_COLUMNS:], two[:, -PANEL_COLUMNS:])


def test_the_source_stands_beside_its_overlay_as_large_and_without_a_mark() -> None:
    instance = left_cc(score=0.8)
    assert instance.preview is not None

    source = drawn(instance)[:, PICTURE_COLUMNS : PICTURE_COLUMNS + WIDTH]

    picture = cv2.resize(instance.preview, (WIDTH, ROWS), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(source, np.repeat(picture[..., np.newaxis], 3, axis=2))


def test_the_overlay_can_stand_alone() -> None:
    both = study_results.one_view()
    alone = replace(both, form=ResultsSettings(heat_map=HeatMapLayout.OVERLAY))
    (instance,) = both.instances

    picture, beside = drawn(instance, result=alone), drawn(instance, result=both)

    assert picture.shape == (ROWS, COLUMNS[HeatMapLayout.OVERLAY], 3)
    assert np.array_equal(picture[:, :PANEL_COLUMNS], beside[:, :PANEL_COLUMNS])
    assert np.array_equal(picture[:, -PICTURE_COLUMNS:], beside[:, -PICTURE_COLUMNS:])


def test_an_image_that_was_not_analysed_has_no_overlay() -> None:
    instance = study_results.triaged(phantoms.mammogram())

    with pytest.raises(ValueError, match="analysed view"):
        drawn(instance)
