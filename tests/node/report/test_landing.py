"""A region lands on the pixels that it is about, in every kind of object that points at one."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from model.explain import HeatMap, find_regions
from model.pixels import read_display
from model.preprocess import to_network_input
from model.views import Laterality
from node.report.overlay import PICTURE_COLUMNS
from node.report.overlay_panel import ROWS
from node.report.write import write_results
from node.results import PREVIEW_SIZE_PX, InstanceResult, ResultKind, StudyResult

Float64Array = npt.NDArray[np.float64]

SCORE = 0.8
TOLERANCE = 0.02
"""Of the image's diagonal."""
HILL_PX = 5.0
LESION_FROM = 240
"""In the network's input, where tissue is darker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An image whose lesion is at a known place."""

    source: Dataset
    disc: phantoms.Disc
    hung_shape: tuple[int, int] | None = None
    """Rows and columns of the image as it hangs; by default those of the source."""
    from_hung: Callable[[float, float], tuple[float, float]] = lambda row, column: (row, column)
    """From a point (row, column) of the image as it hangs to the same of the source."""


def plain(
    laterality: str, *, rows: int = 256, columns: int = 192, photometric: str = "MONOCHROME2"
) -> Case:
    disc = phantoms.lesion_in(laterality, rows=rows, columns=columns)
    source = phantoms.mammogram(
        laterality=laterality, rows=rows, columns=columns, photometric=photometric, lesion=disc
    )
    return Case(source=source, disc=disc)


def mirrored() -> Case:
    """A right breast that is stored with the chest wall on the left."""
    case = plain("L")
    case.source.ImageLaterality = "R"
    case.source.PatientOrientation = ["A", "L"]
    columns = case.source.Columns
    return replace(case, from_hung=lambda row, column: (row, columns - column))


def turned_by_half() -> Case:
    """A right breast upside down."""
    case = plain("R")
    source, disc = case.source, case.disc
    source.PixelData = source.pixel_array[::-1, ::-1].tobytes()
    source.PatientOrientation = ["A", "R"]
    return Case(
        source=source,
        disc=phantoms.Disc(source.Rows - disc.row, source.Columns - disc.column, disc.radius),
        from_hung=lambda row, column: (source.Rows - row, source.Columns - column),
    )


def turned_by_a_quarter() -> Case:
    """A right breast on its side, the chest wall at the foot: what was a row is a column."""
    case = plain("R")
    source, disc = case.source, case.disc
    source.PixelData = np.ascontiguousarray(source.pixel_array.T).tobytes()
    source.Rows, source.Columns = source.Columns, source.Rows
    source.PatientOrientation = ["L", "P"]
    return Case(
        source=source,
        disc=phantoms.Disc(disc.column, disc.row, disc.radius),
        hung_shape=(source.Columns, source.Rows),
        from_hung=lambda row, column: (column, row),
    )


def non_square() -> Case:
    """Pixels twice as high as they are wide, in half as many rows."""
    case = plain("L", rows=200, columns=300)
    case.source.ImagerPixelSpacing = [0.2, 0.1]
    return case


CASES = {
    "right": partial(plain, "R"),
    "left": partial(plain, "L"),
    "mirrored": mirrored,
    "turned by half": turned_by_half,
    "turned by a quarter": turned_by_a_quarter,
    "MONOCHROME1": partial(plain, "R", photometric="MONOCHROME1"),
    "larger than the previews": partial(plain, "L", rows=2048, columns=1600),
    "wide": partial(plain, "R", rows=300, columns=420),
    "non-square pixels": non_square,
}


@pytest.fixture(scope="module", params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    made: Case = request.param()
    return made


def analysed(case: Case) -> InstanceResult:
    """Bring the image to the network's input as the pipeline does, with a hill on the lesion.

    The hill is where the network would see the lesion: nothing but its brightness says so.
    """
    display = read_display(case.source)
    network_input = to_network_input(display, (448, 336))
    height, width = network_input.breast_mask.shape
    row, column = np.mgrid[0:height, 0:width] + 0.5
    is_lesion = network_input.pixels[..., 0] > LESION_FROM
    peak_row, peak_column = row[is_lesion].mean(), column[is_lesion].mean()
    hill = np.exp(-((row - peak_row) ** 2 + (column - peak_column) ** 2) / (2 * HILL_PX**2))
    heat_map = HeatMap(
        values=(hill * network_input.breast_mask).astype(np.float32),
        breast_mask=network_input.breast_mask,
        geometry=network_input.geometry,
    )
    smaller = min(1.0, PREVIEW_SIZE_PX / max(display.shape))
    preview = cv2.resize(display, None, fx=smaller, fy=smaller, interpolation=cv2.INTER_AREA)
    return InstanceResult(
        source=study_results.without_pixels(case.source),
        dataset_sha256="a" * 64,
        laterality=Laterality(case.source.ImageLaterality),
        view_position="CC",
        score=SCORE,
        preview=np.round(preview * 255).astype(np.uint8),
        heat_map=heat_map,
        regions=find_regions(heat_map, study_results.manifest().region_rule, score=SCORE),
    )


def written(result: StudyResult, kind: ResultKind) -> Dataset:
    (made,) = write_results(result, [kind])
    return dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))


def graphics(ds: Dataset, graphic_type: str) -> list[Float64Array]:
    """Every graphic of a type, wherever it stands: shape (points, 2), each (column, row)."""
    found = []
    if ds.get("GraphicType") == graphic_type:
        found.append(np.array(ds.GraphicData, np.float64).reshape(-1, 2))
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                found += graphics(item, graphic_type)
    return found


def assert_lands(case: Case, column: float, row: float) -> None:
    diagonal = np.hypot(case.source.Rows, case.source.Columns)
    assert np.hypot(column - case.disc.column, row - case.disc.row) < TOLERANCE * diagonal


@pytest.mark.parametrize(
    "kind", [ResultKind.CAD_REPORT, ResultKind.MEASUREMENT_REPORT, ResultKind.PRESENTATION_STATE]
)
def test_an_outline_lies_around_the_lesion(kind: ResultKind, case: Case) -> None:
    ds = written(study_results.study(analysed(case)), kind)

    (outline,) = graphics(ds, "POLYLINE")

    first, last = outline.min(axis=0), outline.max(axis=0)
    assert_lands(case, *(first + last) / 2)
    assert (first < (case.disc.column, case.disc.row)).all()
    assert (last > (case.disc.column, case.disc.row)).all()


def test_the_outline_in_the_picture_lies_around_the_lesion(case: Case) -> None:
    instance = analysed(case)
    with_outline, without = (
        written(study_results.study(one), ResultKind.HEAT_MAP).pixel_array
        for one in (instance, replace(instance, regions=()))
    )

    differs = (with_outline != without).any(axis=2)

    # The picture is as large as fits, in the middle, against the edge where its chest wall hangs.
    rows, columns = case.hung_shape or (case.source.Rows, case.source.Columns)
    row_mm, column_mm = case.source.ImagerPixelSpacing
    scale = min(ROWS / (rows * row_mm), PICTURE_COLUMNS / (columns * column_mm))
    down, across = scale * row_mm, scale * column_mm
    left = differs.shape[1] - columns * across if case.source.ImageLaterality == "R" else 0.0
    top = (ROWS - rows * down) / 2
    row, column = np.nonzero(differs)
    middle_row, middle_column = (
        (row.min() + row.max() + 1) / 2,
        (column.min() + column.max() + 1) / 2,
    )
    row_px, column_px = case.from_hung((middle_row - top) / down, (middle_column - left) / across)
    assert_lands(case, column_px, row_px)


def test_the_centre_in_the_cad_report_lies_on_the_lesion(case: Case) -> None:
    ds = written(study_results.study(analysed(case)), ResultKind.CAD_REPORT)

    ((point,),) = graphics(ds, "POINT")

    assert_lands(case, *point)


def test_the_highest_value_of_the_parametric_map_lies_on_the_lesion(case: Case) -> None:
    ds = written(study_results.study(analysed(case)), ResultKind.PARAMETRIC_MAP)

    values = np.frombuffer(ds.FloatPixelData, "<f4").reshape(ds.Rows, ds.Columns)

    row, column = np.unravel_index(values.argmax(), values.shape)
    spacing_mm = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    down, across = (
        own / theirs for own, theirs in zip(spacing_mm, case.source.ImagerPixelSpacing, strict=True)
    )
    assert_lands(case, (column + 0.5) * across, (row + 0.5) * down)
