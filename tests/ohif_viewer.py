"""One tab of a real browser with OHIF in it: what a reader does there, and what is to be seen.

What is drawn where is asked of Cornerstone, the library that draws OHIF's images and marks; OHIF
puts it on the page's ``window``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.sync_api import (
    Browser,
    Locator,
    Page,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

from validators import require_peer

Float64Array = npt.NDArray[np.float64]

DEADLINE_MS = 30_000
_LISTED = "[data-cy^=study-browser-thumbnail]"
_THUMBNAILS = "[data-cy=study-browser-thumbnail]"
_PANES = "[data-cy=viewport-pane]"
SIZE_PX = ViewportSize(width=1600, height=1000)
_FLAGS = (
    "--no-sandbox",  # Chromium starts no sandbox for root
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--disable-background-networking",
)
# A reader closes both once, and is not shown them again.
_CLOSE_TOUR_AND_NOTICE = """
    localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']));
    sessionStorage.setItem('investigationalUseDialog', 'hidden');
"""
_VIEWPORTS = """
    const viewports = () => (window.cornerstone?.getEnabledElements() ?? [])
        .map(one => one.viewport)
        .filter(one => one.getCurrentImageId?.() && one.viewportStatus === 'rendered')
        .map(one => ({one, box: one.element.getBoundingClientRect()}))
        .sort((a, b) => a.box.top - b.box.top || a.box.left - b.box.left)
        .map(({one}) => one);
"""


class Viewer:
    """OHIF in a tab.

    Attributes
    ----------
    problems
        Errors that the page threw or wrote to the console, requests that failed, and requests to
        another host.
    """

    def __init__(self, page: Page, origin: str) -> None:
        self.problems: list[str] = []
        self._page = page
        self._origin = origin
        page.set_default_timeout(DEADLINE_MS)
        page.add_init_script(_CLOSE_TOUR_AND_NOTICE)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on(
            "console",
            lambda message: (
                self.problems.append(f"console: {message.text}")
                if message.type == "error"
                else None
            ),
        )
        page.on("response", self._look_at)
        page.on(
            "requestfailed",
            lambda request: self.problems.append(f"request failed: {request.url}"),
        )

    def open_study(
        self, study_instance_uid: str, *, hanging_protocol: str = "", images: int = 1
    ) -> None:
        """Open a study by its address, as a link in a worklist does.

        Parameters
        ----------
        study_instance_uid
            Which study.
        hanging_protocol
            OHIF's name of a layout other than its default.
        images
            How many images are waited for; and for every thumbnail of the list.
        """
        protocol = f"&hangingProtocolId={hanging_protocol}" if hanging_protocol else ""
        self._page.goto(f"{self._origin}/viewer?StudyInstanceUIDs={study_instance_uid}{protocol}")
        self._wait(f"() => viewports().length === {images}")
        self._wait(
            f"""() => [...document.querySelectorAll('{_THUMBNAILS}')]
                .every(one => one.querySelector('img[src^="data:"]'))"""
        )

    def series_descriptions(self) -> list[tuple[int, str]]:
        """Read Series Number and Series Description of each entry of the study's list."""
        return [
            (int(one.get_attribute("data-series") or 0), _description_of(one))
            for one in self._page.locator(_LISTED).all()
        ]

    def unsupported(self) -> set[int]:
        """Series Numbers of the entries that are marked as not supported."""
        marked = self._page.locator(_LISTED, has=self._page.locator("#status-warning"))
        return {int(one.get_attribute("data-series") or 0) for one in marked.all()}

    def open_series(self, number: int, *, pane: int = 0) -> None:
        """Double-click the first series of this number, which brings it into a pane."""
        self._pane(pane).click()
        self._page.locator(f"{_LISTED}[data-series='{number}']").first.dblclick()

    def wait_for_image(self, sop_instance_uid: str) -> None:
        """Wait until an instance is shown."""
        uid = f"/instances/{sop_instance_uid}/"
        self._wait(f"() => viewports().some(one => one.getCurrentImageId().includes('{uid}'))")

    def wait_for_mark(self, sop_instance_uid: str) -> None:
        """Wait until an instance is shown, and a mark is drawn where it belongs at this zoom."""
        self.wait_for_image(sop_instance_uid)
        self._wait(
            """() => {
                const [viewport] = viewports();
                const drawn = document.querySelector('svg.svg-layer polyline')?.points[0];
                const own = cornerstoneTools.annotation.state.getAllAnnotations().filter(one =>
                    one.metadata.referencedImageId === viewport.getCurrentImageId());
                return drawn && own.some(one => one.data.handles.points?.some(point => {
                    const [x, y] = viewport.worldToCanvas(point);
                    return Math.hypot(x - drawn.x, y - drawn.y) < 1;
                }));
            }"""
        )

    def shown(self) -> list[str]:
        """SOP Instance UIDs of the images in the viewports, row by row."""
        image_ids = self._ask("() => viewports().map(one => one.getCurrentImageId())")
        found = [re.search(r"/instances/([0-9.]+)/", one) for one in image_ids]
        return [match.group(1) for match in found if match]

    def colours(self, points: Float64Array) -> Float64Array:
        """Read the screen where points of the image in the first viewport lie.

        Parameters
        ----------
        points
            Shape (points, 2): (column, row) in pixels from the corner of the image's first pixel.

        Returns
        -------
        colours
            Shape (points, 3), RGB, values 0 to 255.
        """
        sampled = self._ask(
            """points => {
                const [viewport] = viewports();
                const canvas = viewport.getCanvas();
                const scale = canvas.width / canvas.clientWidth;
                const drawn = canvas.getContext('2d');
                const imageId = viewport.getCurrentImageId();
                return points.map(point => {
                    const world = cornerstone.utilities.imageToWorldCoords(imageId, point);
                    const [x, y] = viewport.worldToCanvas(world).map(one => one * scale);
                    return [...drawn.getImageData(x, y, 1, 1).data].slice(0, 3);
                });
            }""",
            points.tolist(),
        )
        return np.array(sampled, np.float64)

    def outline(self) -> Float64Array:
        """Read the one mark that is drawn, in pixels of the image under it.

        Returns
        -------
        points
            Shape (points, 2): (column, row) in pixels from the corner of the first pixel.
        """
        assert self._marks.count() == 1
        drawn = str(self._marks.first.get_attribute("points")).replace(",", " ").split()
        on_canvas = np.array(drawn, np.float64).reshape(-1, 2)
        points = self._ask(
            """points => {
                const [viewport] = viewports();
                const imageId = viewport.getCurrentImageId();
                return points.map(point => cornerstone.utilities.worldToImageCoords(
                    imageId, viewport.canvasToWorld(point)));
            }""",
            on_canvas.tolist(),
        )
        return np.array(points, np.float64)

    def label(self) -> str:
        """Read what is written beside the mark."""
        return self._page.locator("svg.svg-layer text").first.text_content() or ""

    def scroll(self) -> None:
        """Go on to the next image of the series."""
        self._page.keyboard.press("ArrowDown")

    def text(self, title: str, *, pane: int = 0) -> list[str]:
        """Wait for a report as text in a pane, and read its lines."""
        heading = self._pane(pane).get_by_text(f"1. {title}")
        expect(heading).to_be_visible(timeout=DEADLINE_MS)
        lines = self._pane(pane).inner_text().replace("\N{NO-BREAK SPACE}", " ").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def bring_into_view(self, line: str) -> None:
        """Scroll a report until this line of it can be read."""
        self._page.get_by_text(line).first.scroll_into_view_if_needed()

    def wait_for_refusal(self) -> None:
        """Wait until OHIF says that it does not show what was double-clicked."""
        refusal = self._page.get_by_text("could not be added to the viewport")
        expect(refusal.first).to_be_visible(timeout=DEADLINE_MS)

    def set_layout(self, rows: int, columns: int) -> None:
        """Divide the screen into panes."""
        self._page.locator("[data-cy=Layout]").click()
        self._page.locator(f"[data-cy=Layout-{columns - 1}-{rows - 1}]").click()
        expect(self._page.locator(_PANES)).to_have_count(rows * columns, timeout=DEADLINE_MS)

    def take_screenshot(self, path: Path) -> None:
        """Keep what is on the screen, as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=path)

    def _pane(self, number: int) -> Locator:
        return self._page.locator(_PANES).nth(number)

    @property
    def _marks(self) -> Locator:
        return self._page.locator("svg.svg-layer polyline")

    def _look_at(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"status {response.status}: {response.url}")
        if response.url.startswith("http") and not response.url.startswith(self._origin):
            self.problems.append(f"another host: {response.url}")

    def _ask(self, function: str, argument: object = None) -> Any:
        program = f"argument => {{ {_VIEWPORTS} return ({function})(argument); }}"
        return self._page.evaluate(program, argument)

    def _wait(self, function: str) -> None:
        self._page.wait_for_function(f"() => {{ {_VIEWPORTS} return ({function})(); }}")


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run Debian's Chromium without a window as long as the block lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_peer("chromium"), args=list(_FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()


def _description_of(listed: Locator) -> str:
    return listed.locator("[data-cy=series-description-label]").inner_text().strip()
