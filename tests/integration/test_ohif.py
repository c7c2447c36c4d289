"""A real OHIF on a real Orthanc, in a real browser: what its reader sees of our results.

Only the network is put out of its place, by `bright_spots`, so that it is known where a region
has to be. Pictures of the screen stay in ``test-artefacts/ohif/``.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser
from pydicom import dcmread

import phantoms
import study_results
from bright_spots import SCORE_WITH_SPOT, SCORE_WITHOUT, BrightSpotClassifier
from model.views import STANDARD_VIEWS, Laterality
from node.analysis.decode import PixelReader
from node.analysis.pipeline import Analyser
from node.analysis.sources import SourceInstance
from node.delivery.send import StoredObject, send
from node.demo.films import find_films, regroup
from node.report.write import write_results
from node.result_kinds import PROFILES, ResultKind
from node.results import ResultObject, StudyResult
from node.settings import DestinationSettings, Settings
from ohif import serving_ohif
from ohif_viewer import SIZE_PX, Viewer, running_browser
from orthanc import AE_TITLE, Orthanc, running_orthanc
from validators import require_peer

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ARTEFACTS = Path(__file__).parents[2] / "test-artefacts" / "ohif"
ROWS, COLUMNS = 1024, 768
CLOSED_AT = datetime(2024, 5, 17, 10, 31, tzinfo=UTC)
SCORE_REPORT, REGIONS, HEAT_MAPS, CAD_REPORT, MARKS, SUMMARY_PAGE = range(9001, 9007)
"""Series Numbers, as node/report/ has them."""
SCORE_REPORT_TITLE = "Oncology Measurement Report"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredStudy:
    """A study in Orthanc, its results beside the sources."""

    result: StudyResult
    objects: tuple[ResultObject, ...]

    def source(self, laterality: Laterality, view_position: str) -> str:
        """SOP Instance UID of a view."""
        (found,) = (
            one.sop_instance_uid
            for one in self.result.instances
            if (one.laterality, one.view_position) == (laterality, view_position)
        )
        return found

    def of_kind(self, kind: ResultKind) -> list[ResultObject]:
        return [one for one in self.objects if one.kind is kind]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    plugin = require_peer("orthanc-dicomweb")
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), plugins=[plugin]) as peer:
        yield peer


@pytest.fixture(scope="module")
def origin(orthanc: Orthanc) -> Iterator[str]:
    with serving_ohif(orthanc) as origin:
        yield origin


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def viewer(browser: Browser, origin: str, request: pytest.FixtureRequest) -> Iterator[Viewer]:
    """A tab of its own; whatever the test shows, the page has no error, and is photographed."""
    with browser.new_context(viewport=SIZE_PX) as context:
        viewer = Viewer(context.new_page(), origin)
        yield viewer
        name = re.sub(r"\W+", "_", request.node.name.removeprefix("test_")).strip("_")
        viewer.take_screenshot(ARTEFACTS / f"{name}.png")
        assert viewer.problems == []


@pytest.fixture(scope="module")
def spot_finder() -> Iterator[Analyser]:
    manifest = study_results.manifest().model_copy(update={"input_size_px": (448, 336)})
    reader = PixelReader(timeout_s=60, memory_bytes=2**30, children=2)
    with Analyser(classifier=BrightSpotClassifier(manifest), pixel_reader=reader) as analyser:
        yield analyser


@pytest.fixture(scope="module")
def ohif_study(
    orthanc: Orthanc, spot_finder: Analyser, tmp_path_factory: pytest.TempPathFactory
) -> DeliveredStudy:
    folder = tmp_path_factory.mktemp("ohif")
    return deliver(orthanc, spot_finder, phantom_study(folder, seed=1), PROFILES["ohif"], folder)


@pytest.fixture(scope="module")
def everything_study(
    orthanc: Orthanc, spot_finder: Analyser, tmp_path_factory: pytest.TempPathFactory
) -> DeliveredStudy:
    folder = tmp_path_factory.mktemp("everything")
    sources = phantom_study(folder, seed=2)
    return deliver(orthanc, spot_finder, sources, PROFILES["everything"], folder)


def phantom_study(
    folder: Path,
    *,
    seed: int,
    showing_lesion: Collection[tuple[str, str]] = (("R", "CC"), ("R", "MLO")),
) -> list[Path]:
    """Write four views, a lesion in some of them, their series called as a modality does."""
    return [
        phantoms.write(
            phantoms.mammogram(
                laterality=view[0],
                view_position=view[1],
                instance_number=number,
                seed=seed,
                rows=ROWS,
                columns=COLUMNS,
                lesion=lesion_in(view[0]) if view in showing_lesion else None,
                SeriesDescription=" ".join(view),
            ),
            folder,
        )
        for number, view in enumerate(phantoms.SCREENING_VIEWS, start=1)
    ]


def lesion_in(laterality: str) -> phantoms.Disc:
    return phantoms.lesion_in(laterality, rows=ROWS, columns=COLUMNS)


def deliver(
    orthanc: Orthanc,
    analyser: Analyser,
    sources: Sequence[Path],
    kinds: Collection[ResultKind],
    folder: Path,
) -> DeliveredStudy:
    """Analyse a study, write its results, and send them to Orthanc beside the sources."""
    result = analyser.analyse(
        study_instance_uid=str(dcmread(sources[0], stop_before_pixels=True).StudyInstanceUID),
        revision=1,
        closed_at=CLOSED_AT,
        sources=[
            SourceInstance(path=path, dataset_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sources
        ],
    )
    objects = write_results(result, kinds)
    paths = [*sources, *(phantoms.write(made.dataset, folder) for made in objects)]
    stored = [
        StoredObject(
            key=key,
            path=path,
            sop_class_uid=str(ds.SOPClassUID),
            sop_instance_uid=str(ds.SOPInstanceUID),
        )
        for key, path in enumerate(paths)
        for ds in [dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"])]
    ]
    archive = DestinationSettings(
        name="archive",
        ae_title=AE_TITLE,
        host="127.0.0.1",
        port=orthanc.dicom_port,
        results=tuple(kinds),
    )
    answers = list(send(stored, archive, calling_ae_title="MAMMONODE"))
    assert [answer.status for answer in answers] == [0x0000] * len(stored)
    return DeliveredStudy(result=result, objects=tuple(objects))


def grid(rows: int, columns: int) -> npt.NDArray[np.float64]:
    """Points all over an image: shape (points, 2), each the (column, row) of a pixel's middle."""
    row, column = np.mgrid[0.05:0.95:25j, 0.05:0.95:25j]
    return np.stack([np.floor(column * columns), np.floor(row * rows)], -1).reshape(-1, 2) + 0.5


def assert_lies_around_the_lesion(outline: npt.NDArray[np.float64], laterality: str) -> None:
    """The lesion's middle is inside, and within 2 % of the diagonal of the outline's own."""
    disc = lesion_in(laterality)
    first, last = outline.min(axis=0), outline.max(axis=0)
    middle = (disc.column, disc.row)
    assert (first < middle).all()
    assert (last > middle).all()
    assert np.hypot(*((first + last) / 2 - middle)) < 0.02 * np.hypot(ROWS, COLUMNS)


def assert_shown_in_its_colours(viewer: Viewer, made: ResultObject) -> None:
    """The screen has, all over the picture, the colours that were delivered."""
    pixels = made.dataset.pixel_array.astype(np.float64)
    points = grid(*pixels.shape[:2])
    delivered = pixels[points[:, 1].astype(int), points[:, 0].astype(int)]

    differences = np.abs(viewer.colours(points) - delivered).max(axis=1)

    # The screen has fewer pixels than the picture: edges and letters may fall between them.
    assert np.mean(differences <= 8) > 0.9
    assert delivered.std(axis=0).min() > 5


def test_every_series_of_results_is_listed(viewer: Viewer, ohif_study: DeliveredStudy) -> None:
    viewer.open_study(ohif_study.result.study_instance_uid)

    listed = viewer.series_descriptions()

    written = {
        (int(made.dataset.SeriesNumber), made.dataset.SeriesDescription)
        for made in ohif_study.objects
    }
    assert len(written) == 4
    assert written < set(listed)
    assert len(listed) == 4 + len(ohif_study.result.instances)
    assert viewer.unsupported() == set()


def test_the_most_suspicious_region_is_drawn_around_the_lesion(
    viewer: Viewer, ohif_study: DeliveredStudy
) -> None:
    viewer.open_study(ohif_study.result.study_instance_uid)

    viewer.open_series(REGIONS)
    viewer.wait_for_mark(ohif_study.source(Laterality.RIGHT, "CC"))

    assert_lies_around_the_lesion(viewer.outline(), "R")
    assert viewer.label() == f"AI malignancy score: {SCORE_WITH_SPOT} {{0:1}}"


def test_a_region_is_drawn_on_the_one_view_that_shows_the_lesion(
    viewer: Viewer, orthanc: Orthanc, spot_finder: Analyser, tmp_path: Path
) -> None:
    sources = phantom_study(tmp_path, seed=4, showing_lesion=(("L", "MLO"),))
    study = deliver(orthanc, spot_finder, sources, [ResultKind.MEASUREMENT_REPORT], tmp_path)
    viewer.open_study(study.result.study_instance_uid)

    viewer.open_series(REGIONS)
    viewer.wait_for_mark(study.source(Laterality.LEFT, "MLO"))

    assert_lies_around_the_lesion(viewer.outline(), "L")


def test_the_score_report_is_text_that_can_be_read(
    viewer: Viewer, ohif_study: DeliveredStudy
) -> None:
    viewer.open_study(ohif_study.result.study_instance_uid)

    viewer.open_series(SCORE_REPORT)
    lines = viewer.text(SCORE_REPORT_TITLE)

    assert lines[0] == f"1. {SCORE_REPORT_TITLE}"
    assert "Intended use: Research software, not for diagnostic use." in lines
    labels = [line.partition(": ")[2] for line in lines if line.startswith("Tracking Identifier:")]
    scores = [line.partition(": ")[2] for line in lines if line.startswith("AI malignancy score:")]
    assert dict(zip(labels, scores, strict=True)) == {
        "Study": f"{SCORE_WITH_SPOT} {{0:1}}",
        "Right breast": f"{SCORE_WITH_SPOT} {{0:1}}",
        "Left breast": f"{SCORE_WITHOUT} {{0:1}}",
        "Image 1: R CC": f"{SCORE_WITH_SPOT} {{0:1}}",
        "Image 2: L CC": f"{SCORE_WITHOUT} {{0:1}}",
        "Image 3: R MLO": f"{SCORE_WITH_SPOT} {{0:1}}",
        "Image 4: L MLO": f"{SCORE_WITHOUT} {{0:1}}",
    }


def test_the_heat_maps_are_shown_in_their_colours(
    viewer: Viewer, ohif_study: DeliveredStudy
) -> None:
    viewer.open_study(ohif_study.result.study_instance_uid)
    heat_maps = ohif_study.of_kind(ResultKind.HEAT_MAP)

    viewer.open_series(HEAT_MAPS)

    assert len(heat_maps) == 4
    for made in heat_maps:
        viewer.wait_for_image(str(made.dataset.SOPInstanceUID))
        assert_shown_in_its_colours(viewer, made)
        viewer.scroll()


def test_the_summary_page_is_shown_in_its_colours(
    viewer: Viewer, ohif_study: DeliveredStudy
) -> None:
    viewer.open_study(ohif_study.result.study_instance_uid)
    (page,) = ohif_study.of_kind(ResultKind.SUMMARY_PAGE)

    viewer.open_series(SUMMARY_PAGE)
    viewer.wait_for_image(str(page.dataset.SOPInstanceUID))

    assert_shown_in_its_colours(viewer, page)


def test_what_ohif_does_not_support_is_marked_so_and_harms_nothing(
    viewer: Viewer, everything_study: DeliveredStudy
) -> None:
    viewer.open_study(everything_study.result.study_instance_uid)
    listed = {number for number, _ in viewer.series_descriptions()}
    before = viewer.shown()

    for number in (CAD_REPORT, MARKS):
        viewer.open_series(number)
        viewer.wait_for_refusal()

    assert {int(o.dataset.SeriesNumber) for o in everything_study.objects} < listed
    assert viewer.unsupported() == {CAD_REPORT, MARKS}
    assert viewer.shown() == before
    viewer.open_series(HEAT_MAPS)
    first = everything_study.of_kind(ResultKind.HEAT_MAP)[0]
    viewer.wait_for_image(str(first.dataset.SOPInstanceUID))
    viewer.open_series(REGIONS)
    viewer.wait_for_mark(everything_study.source(Laterality.RIGHT, "CC"))
    viewer.open_series(SCORE_REPORT)
    assert viewer.text(SCORE_REPORT_TITLE)[0] == f"1. {SCORE_REPORT_TITLE}"


def test_the_mammography_layout_hangs_the_same_views_with_all_results_but_text_reports(
    viewer: Viewer, orthanc: Orthanc, spot_finder: Analyser, tmp_path: Path
) -> None:
    text_reports = {ResultKind.SCORE_REPORT, ResultKind.MEASUREMENT_REPORT}
    kinds = set(PROFILES["everything"]) - text_reports
    study = deliver(orthanc, spot_finder, phantom_study(tmp_path, seed=3), kinds, tmp_path)

    viewer.open_study(study.result.study_instance_uid, hanging_protocol="@ohif/hpMammo", images=3)

    # OHIF's own rule for R MLO refuses P and FL, the orientation of R MLO: docs/viewers.md.
    views = [view for view in STANDARD_VIEWS if view != (Laterality.RIGHT, "MLO")]
    assert viewer.shown() == [study.source(*view) for view in views]


def test_real_films_and_all_their_results_are_shown_side_by_side(
    viewer: Viewer, orthanc: Orthanc, tmp_path: Path
) -> None:
    """The picture of the README."""
    *_, woman = regroup(find_films(), tmp_path)
    films = [film.path for film in woman.films]
    with Analyser.load(Settings()) as analyser:
        study = deliver(orthanc, analyser, films, PROFILES["ohif"], tmp_path)
    viewer.open_study(study.result.study_instance_uid)

    viewer.set_layout(2, 2)
    viewer.open_series(HEAT_MAPS, pane=1)
    viewer.open_series(SUMMARY_PAGE, pane=2)
    viewer.open_series(SCORE_REPORT, pane=3)

    lines = viewer.text(SCORE_REPORT_TITLE, pane=3)
    assert f"AI malignancy score: {study.result.score:.4f} {{0:1}}" in lines
    viewer.bring_into_view("Call at the operating point")
