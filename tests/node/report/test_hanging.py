"""A view comes to hang as a mammographer hangs it, whichever way round it is stored."""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

import phantoms
import study_results
from model.explain import HeatMap, Region
from model.preprocess import BoolArray, to_network_input
from model.views import Laterality
from node.report.hanging import AS_STORED, MIRRORED, TRANSFORMATIONS, Hanging, hanging_of
from node.report.overlay import draw_source, draw_view
from node.results import InstanceResult, UInt8Array

ROWS, COLUMNS = 256, 192
TOLERANCE_PX = 0.02 * np.hypot(ROWS, COLUMNS)
IS_LESION = 210
"""A grey value of the picture; tissue is darker."""
VIEWS = tuple(itertools.product("RL", ("CC", "MLO")))
# Patient Orientation of the hung view: IHE Mammography Image, PS3.17 Y.4.
HUNG = {
    ("R", "CC"): ("P", "L"),
    ("L", "CC"): ("A", "R"),
    ("R", "MLO"): ("P", "FL"),
    ("L", "MLO"): ("A", "FR"),
}
OPPOSITE = {"A": "P", "P": "A", "R": "L", "L": "R", "F": "H", "H": "F"}


def opposite(direction: str) -> str:
    return "".join(OPPOSITE[letter] for letter in direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One of the eight ways to store what hangs: its rows as columns, upside down, mirrored."""

    is_transposed: bool
    is_upside_down: bool
    is_mirrored: bool

    def pixels(self, hung: UInt8Array) -> UInt8Array:
        stored = hung.T if self.is_transposed else hung
        stored = stored[::-1] if self.is_upside_down else stored
        return np.ascontiguousarray(stored[:, ::-1] if self.is_mirrored else stored)

    def disc(self, hung: phantoms.Disc) -> phantoms.Disc:
        row, column, rows, columns = hung.row, hung.column, ROWS, COLUMNS
        if self.is_transposed:
            row, column, rows, columns = column, row, columns, rows
        row = rows - row if self.is_upside_down else row
        column = columns - column if self.is_mirrored else column
        return phantoms.Disc(row, column, hung.radius)

    def orientation(self, row: str, column: str) -> tuple[str, str]:
        if self.is_transposed:
            row, column = column, row
        return (
            opposite(row) if self.is_mirrored else row,
            opposite(column) if self.is_upside_down else column,
        )


EIGHT = tuple(
    Stored(is_transposed=transposed, is_upside_down=upside_down, is_mirrored=mirrored)
    for transposed, upside_down, mirrored in itertools.product((False, True), repeat=3)
)
AS_HUNG = EIGHT[0]
ONLY_MIRRORED = Stored(is_transposed=False, is_upside_down=False, is_mirrored=True)
TURNED_BY_HALF = Stored(is_transposed=False, is_upside_down=True, is_mirrored=True)
ON_ITS_SIDE = Stored(is_transposed=True, is_upside_down=False, is_mirrored=False)


def view(
    stored: Stored,
    laterality: str = "R",
    view_position: str | None = "CC",
    *,
    orientation: object = None,
) -> InstanceResult:
    """Analyse a view with a lesion, stored in some way, with any Patient Orientation or none.

    The heat map is empty, so that the picture is grey but for the outline around the lesion.
    """
    hung = phantoms.lesion_in(laterality, rows=ROWS, columns=COLUMNS)
    display = phantoms.breast_pixels(laterality, rows=ROWS, columns=COLUMNS, lesion=hung)
    preview = stored.pixels(np.round(display * 255).astype(np.uint8))
    network_input = to_network_input(np.asarray(preview / 255, np.float32), (96, 72))
    row, column, radius = (round(number) for number in stored.disc(hung))
    source = study_results.without_pixels(phantoms.mammogram(laterality=laterality))
    source.Rows, source.Columns = preview.shape
    source.PatientOrientation = orientation
    return InstanceResult(
        source=source,
        dataset_sha256="a" * 64,
        laterality=Laterality(laterality),
        view_position=view_position,
        score=0.5,
        preview=preview,
        heat_map=HeatMap(
            values=np.zeros((96, 72), np.float32),
            breast_mask=network_input.breast_mask,
            geometry=network_input.geometry,
        ),
        regions=(
            Region(
                top=row - radius,
                left=column - radius,
                bottom=row + radius,
                right=column + radius,
                peak_row=row,
                peak_column=column,
                peak_value=1.0,
            ),
        ),
    )


def middle_of(mask: BoolArray) -> tuple[float, float]:
    """Row and column of the middle of what is true."""
    row, column = np.nonzero(mask)
    return (row.min() + row.max() + 1) / 2, (column.min() + column.max() + 1) / 2


def assert_hangs(instance: InstanceResult, laterality: str) -> None:
    """Picture and outline have the lesion where it is in the hung view."""
    source = draw_source(instance, rows=ROWS, columns=COLUMNS)
    with_outline, without = (
        draw_view(one, rows=ROWS, columns=COLUMNS)
        for one in (instance, replace(instance, regions=()))
    )
    expected = phantoms.lesion_in(laterality, rows=ROWS, columns=COLUMNS)
    assert source.shape == with_outline.shape == (ROWS, COLUMNS, 3)
    for mask in (source[..., 0] > IS_LESION, (with_outline != without).any(axis=2)):
        row, column = middle_of(mask)
        assert np.hypot(row - expected.row, column - expected.column) < TOLERANCE_PX


def as_stored(instance: InstanceResult) -> bool:
    return hanging_of(instance).transformation == AS_STORED


@pytest.mark.parametrize("stored", EIGHT, ids=str)
@pytest.mark.parametrize(("laterality", "view_position"), VIEWS)
def test_a_view_hangs_the_right_way_round_however_it_is_stored(
    laterality: str, view_position: str, stored: Stored
) -> None:
    hung = HUNG[laterality, view_position]
    instance = view(stored, laterality, view_position, orientation=[*stored.orientation(*hung)])

    hanging = hanging_of(instance)

    assert_hangs(instance, laterality)
    assert hanging.patient_orientation == hung
    assert hanging.is_chest_wall_right == (laterality == "R")
    assert (hanging.transformation == AS_STORED) == (stored == AS_HUNG)


def test_the_eight_ways_to_turn_are_eight() -> None:
    corners = np.arange(6, dtype=np.uint8).reshape(2, 3)

    turned = {(one.apply(corners).shape, one.apply(corners).tobytes()) for one in TRANSFORMATIONS}

    assert len(turned) == 8
    assert all(one.apply_to_size(2, 3) == one.apply(corners).shape for one in TRANSFORMATIONS)


@pytest.mark.parametrize("orientation", [None, "CC", "MLO", ["CC", "MLO"], ["P", "A"], ["P", "PL"]])
@pytest.mark.parametrize("laterality", ["R", "L"])
@pytest.mark.parametrize("stored", [AS_HUNG, ONLY_MIRRORED])
def test_without_an_orientation_the_chest_wall_decides_whether_it_is_mirrored(
    stored: Stored, laterality: str, orientation: object
) -> None:
    instance = view(stored, laterality, orientation=orientation)

    hanging = hanging_of(instance)

    assert_hangs(instance, laterality)
    assert hanging.transformation == (AS_STORED if stored == AS_HUNG else MIRRORED)
    assert hanging.patient_orientation is None


@pytest.mark.parametrize("told", [one for one in EIGHT if one != AS_HUNG], ids=str)
@pytest.mark.parametrize(("laterality", "view_position"), VIEWS)
def test_a_view_that_hangs_already_stays_when_its_orientation_puts_the_chest_wall_elsewhere(
    laterality: str, view_position: str, told: Stored
) -> None:
    orientation = told.orientation(*HUNG[laterality, view_position])
    moves_the_wall = told.is_transposed or told.is_mirrored

    instance = view(AS_HUNG, laterality, view_position, orientation=[*orientation])

    # Which way up it is nothing but the header tells: there it is believed.
    assert as_stored(instance) == moves_the_wall
    assert (hanging_of(instance).patient_orientation is None) == moves_the_wall


def test_an_orientation_that_the_picture_contradicts_gives_way_to_the_chest_wall() -> None:
    instance = view(ONLY_MIRRORED, "R", "CC", orientation=["P", "L"])

    assert hanging_of(instance) == Hanging(
        transformation=MIRRORED, is_chest_wall_right=True, patient_orientation=None
    )


@pytest.mark.parametrize(
    ("view_position", "orientation"),
    [("CC", ["A", "H"]), ("ML", ["A", "R"]), ("SIO", ["A", "R"])],
)
def test_an_orientation_that_no_such_view_can_have_turns_nothing(
    view_position: str, orientation: list[str]
) -> None:
    instance = view(AS_HUNG, "R", view_position, orientation=orientation)

    assert as_stored(instance)
    assert hanging_of(instance).patient_orientation is None


@pytest.mark.parametrize("orientation", [["A", "R"], ["A", "H"], ["A", "HR"], ["AR", "RH"]])
@pytest.mark.parametrize("view_position", ["MLO", "LMO", None])
def test_an_oblique_or_unknown_view_is_set_upright_by_either_direction(
    view_position: str | None, orientation: list[str]
) -> None:
    instance = view(TURNED_BY_HALF, "R", view_position, orientation=orientation)

    assert_hangs(instance, "R")


@pytest.mark.parametrize("view_position", ["ML", "LM", "SIO", "ISO"])
def test_a_view_from_the_side_hangs_with_the_head_up(view_position: str) -> None:
    instance = view(ON_ITS_SIDE, "L", view_position, orientation=["F", "A"])

    assert_hangs(instance, "L")


@pytest.mark.parametrize("view_position", ["XCCL", "XCCM", "FB"])
def test_a_view_from_above_or_below_hangs_with_the_lateral_side_up(view_position: str) -> None:
    instance = view(TURNED_BY_HALF, "L", view_position, orientation=["P", "L"])

    assert_hangs(instance, "L")


@pytest.mark.parametrize("orientation", [None, ("P", "L"), ("A", "R"), ("L", "P")])
def test_an_image_of_an_unknown_side_is_drawn_as_it_is_stored(
    orientation: tuple[str, str] | None,
) -> None:
    for stored, is_right in ((AS_HUNG, True), (ONLY_MIRRORED, False)):
        instance = view(stored, "R", "CC", orientation=[*orientation] if orientation else None)

        assert hanging_of(replace(instance, laterality=None)) == Hanging(
            transformation=AS_STORED,
            is_chest_wall_right=is_right,
            patient_orientation=orientation,
        )


def test_without_an_orientation_an_image_that_lies_on_its_side_is_drawn_as_it_is_stored() -> None:
    for stored in EIGHT:
        if stored.is_transposed:
            assert as_stored(view(stored, "R", "CC"))


def test_without_an_orientation_a_picture_full_of_tissue_is_drawn_as_it_is_stored() -> None:
    instance = view(AS_HUNG, "L", "CC")
    assert instance.heat_map is not None
    full = replace(instance.heat_map, breast_mask=np.ones((96, 72), np.bool_))

    assert as_stored(replace(instance, heat_map=full))


def test_a_chest_wall_that_is_not_clearly_seen_neither_turns_nor_contradicts() -> None:
    untold = view(ONLY_MIRRORED, "L", "CC")
    told = view(ONLY_MIRRORED, "L", "CC", orientation=["A", "R"])
    assert untold.heat_map is not None
    box = untold.heat_map.geometry.content
    notched = np.ones((96, 72), np.bool_)
    notched[round(box.top) : round(box.top) + 6, round(box.right) - 12 : round(box.right)] = False
    unclear = replace(untold.heat_map, breast_mask=notched)

    hangings = [hanging_of(replace(one, heat_map=unclear)) for one in (untold, told)]

    assert [hanging.transformation for hanging in hangings] == [AS_STORED, AS_STORED]
    assert [hanging.patient_orientation for hanging in hangings] == [None, ("A", "R")]


def test_what_was_done_is_said() -> None:
    assert [one.words for one in TRANSFORMATIONS] == [
        "",
        "turned by 90 degrees clockwise",
        "turned by 180 degrees",
        "turned by 270 degrees clockwise",
        "mirrored",
        "turned by 90 degrees clockwise and mirrored",
        "turned by 180 degrees and mirrored",
        "turned by 270 degrees clockwise and mirrored",
    ]


def test_an_image_that_was_not_analysed_hangs_nowhere() -> None:
    with pytest.raises(ValueError, match="analysed view"):
        hanging_of(study_results.triaged(phantoms.mammogram()))
