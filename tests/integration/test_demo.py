"""The demo from end to end, with small untrained weights in place of the shipped ones."""

import contextlib
import json
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from model.views import STANDARD_VIEWS, read_view
from node.demo.run import run_demo
from node.demo.show import describe
from node.errors import PermanentError
from validators import dciodvfy_errors, dsrdump_text

pytestmark = pytest.mark.integration


PATIENCE_S = 240
"""For TensorFlow's start on a machine that has other things to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run of the demo left behind."""

    out: Path
    is_complete: bool
    described: list[dict[str, Any]]
    shown: str
    still_running: list[str]

    @property
    def received(self) -> list[Path]:
        """The files that the demo's PACS filed."""
        return sorted((self.out / "pacs").rglob("*.dcm"))

    @property
    def heat_maps(self) -> list[Dataset]:
        """The Secondary Captures of one view among them."""
        received: list[Dataset] = [
            dcmread(path) for path in self.received if "heat_map" in path.name
        ]
        assert {ds.SOPClassUID for ds in received} == {SecondaryCaptureImageStorage}
        return received


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, untrained_weights: Path) -> Run:
    out = tmp_path_factory.mktemp("demo")
    shown = StringIO()
    with contextlib.redirect_stdout(shown):
        result = run_demo(out, weights=str(untrained_weights), patience_s=PATIENCE_S)
    return Run(
        out=out,
        is_complete=result.is_complete,
        described=[describe(row) for row in result.rows],
        shown=shown.getvalue(),
        still_running=processes_naming(str(out)),
    )


def processes_naming(text: str) -> list[str]:
    """Command lines of the running processes that hold a text."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if text in line]


def test_the_description_of_a_run_is_json_and_names_every_file_that_came_back(run: Run) -> None:
    described = json.loads(json.dumps(run.described))

    received = [item for study in described for item in study["received"]]
    assert sorted(item["path"] for item in received) == [str(path) for path in run.received]
    assert all(item["kind"] for item in received)
    assert {view["truth"] for study in described for view in study["views"]} == {
        "benign",
        "malignant",
    }


def test_both_studies_come_back_whole(run: Run) -> None:
    reports = [ds for ds in map(dcmread, run.received) if ds.Modality == "SR"]
    titles = [ds.ConceptNameCodeSequence[0].CodeValue for ds in reports]

    assert run.is_complete, (run.out / "node.log").read_text()
    assert titles.count("126001") == 2
    assert len(run.heat_maps) == 8
    assert {ds.PatientID for ds in (*reports, *run.heat_maps)} == {"P_00173", "P_00820"}
    assert len({ds.StudyInstanceUID for ds in (*reports, *run.heat_maps)}) == 2


def test_each_study_has_a_heat_map_of_each_view(run: Run) -> None:
    shown = [(ds.PatientID, read_view(ds)) for ds in run.heat_maps]
    views = [(number, view.laterality, view.view_position) for number, view in shown]

    assert sorted(views, key=str) == sorted(
        [(number, *view) for number in ("P_00173", "P_00820") for view in STANDARD_VIEWS], key=str
    )


def test_what_comes_back_is_valid_dicom(run: Run) -> None:
    for path in run.received:
        assert dciodvfy_errors(path) == [], path
        if dcmread(path).Modality == "SR":
            assert "not for diagnostic use" in dsrdump_text(path)


def test_scores_and_paths_are_shown(run: Run) -> None:
    scores = re.findall(r"\b0\.\d{3}\b|\b1\.000\b", run.shown)

    assert len(scores) == 2 + 8
    assert [
        path for path in run.received if f"{path.parent.name}/{path.name}" not in run.shown
    ] == []


def test_a_heat_map_is_there_to_look_at(run: Run) -> None:
    (picture,) = re.findall(r"A heat map to look at: (.*)", run.shown)

    with Image.open(picture) as image:
        assert image.size in {(ds.Columns, ds.Rows) for ds in run.heat_maps}


def test_no_process_is_left_behind(run: Run) -> None:
    assert run.still_running == []


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "pacs" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")

    with pytest.raises(PermanentError, match="not empty"):
        run_demo(tmp_path)

    assert precious.read_text() == "years of work"


def test_a_node_that_does_not_start_is_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="ended at its start"):
        run_demo(tmp_path / "demo", weights=str(tmp_path / "no-weights-here"))

    assert processes_naming(str(tmp_path)) == []
