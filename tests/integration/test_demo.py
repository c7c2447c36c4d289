"""The demo from end to end, with small untrained weights in place of the shipped ones."""

import contextlib
import re
from pathlib import Path

import pytest
from PIL import Image
from pydicom import dcmread

from node.demo.run import run_demo
from node.errors import PermanentError

pytestmark = pytest.mark.integration


def processes_naming(text: str) -> list[str]:
    """Command lines of the running processes that hold a text."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if text in line]


def test_both_studies_come_back_whole_and_nothing_stays_behind(
    tmp_path: Path, untrained_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"

    is_complete = run_demo(out, weights=str(untrained_weights))

    assert is_complete, (out / "node.log").read_text()
    received = [dcmread(path) for path in (out / "pacs").rglob("*.dcm")]
    titles = [ds.ConceptNameCodeSequence[0].CodeValue for ds in received if ds.Modality == "SR"]
    heat_maps = [ds for ds in received if "Rows" in ds]
    assert titles.count("126001") == 2
    assert len(heat_maps) == 8
    assert {ds.PatientID for ds in received} == {"P_00173", "P_00820"}
    assert len({ds.StudyInstanceUID for ds in received}) == 2
    assert processes_naming(str(out)) == []
    shown = capsys.readouterr().out
    for path in (out / "pacs").rglob("*.dcm"):
        assert str(path.relative_to(out)) in shown
    assert len(re.findall(r"\b0\.\d{3}\b|\b1\.000\b", shown)) == 10
    (picture,) = re.findall(r"A heat map to look at: (.*)", shown)
    with Image.open(picture) as image:
        assert image.size == (heat_maps[0].Columns, heat_maps[0].Rows)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "pacs" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")

    with pytest.raises(PermanentError, match="not empty"):
        run_demo(tmp_path)

    assert precious.read_text() == "years of work"


def test_a_node_that_does_not_start_is_told_with_its_reason(
    tmp_path: Path, untrained_weights: Path
) -> None:
    with pytest.raises(PermanentError, match="ended at its start"):
        run_demo(tmp_path / "demo", weights=str(tmp_path / "no-weights-here"))

    assert processes_naming(str(tmp_path)) == []
