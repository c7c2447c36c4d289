"""Results as files of their own: what is written, what is told, what is left alone."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from sqlalchemy import select

from log_entries import RECEIVED_AT
from node.errors import PermanentError, UnknownStudy
from node.export import ExportedStudy, export_studies
from node.study_log.tables import Gone, Revision, Study, StudyState
from resulting import ResultingNode, resulting_node

GONE_AT = RECEIVED_AT + timedelta(days=30)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ResultingNode]:
    with resulting_node(tmp_path / "data") as node:
        yield node


def export(node: ResultingNode, out: Path, *, overwrites: bool = False) -> ExportedStudy:
    (exported,) = export_studies(
        node.database, node.store, [node.study_instance_uid], out, overwrites=overwrites
    )
    return exported


def test_every_result_is_written_as_it_is_stored(node: ResultingNode, tmp_path: Path) -> None:
    exported = export(node, tmp_path / "out")

    folder = tmp_path / "out" / node.study_instance_uid
    assert exported.folder == folder
    assert exported.lacks == ()
    assert sorted(path.name for path in folder.iterdir()) == sorted(exported.files)
    written = [path.read_bytes() for path in folder.glob("*.dcm")]
    assert sorted(written) == sorted(node.contents.values())


def test_pictures_have_the_pixels_of_the_captures(node: ResultingNode, tmp_path: Path) -> None:
    export(node, tmp_path)

    folder = tmp_path / node.study_instance_uid
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == [
        *(f"heat_map_{number}.png" for number in (1, 2, 3, 4)),
        "summary_page_1.png",
    ]
    for name in pictures:
        with Image.open(folder / name) as picture:
            assert picture.mode == "RGB"
            pixels = dcmread(folder / name.replace(".png", ".dcm")).pixel_array
            assert np.array_equal(np.asarray(picture), pixels)


def test_the_index_has_kinds_uids_and_scores_and_no_patient(
    node: ResultingNode, tmp_path: Path
) -> None:
    export(node, tmp_path)

    text = (tmp_path / node.study_instance_uid / "index.json").read_text()
    index = json.loads(text)
    assert (index["revision"], index["score"]) == (1, 0.89)
    by_uid = {result["sop_instance_uid"]: result for result in index["results"]}
    assert by_uid.keys() == node.contents.keys()
    heat_maps = [result for result in index["results"] if result["kind"] == "heat_map"]
    assert [result["score"] for result in heat_maps] == [0.91, 0.11, 0.87, 0.12]
    assert [result["file"] for result in heat_maps][:2] == ["heat_map_1.dcm", "heat_map_2.dcm"]
    assert "SECRET" not in text


def test_nothing_is_overwritten_unless_that_is_asked_for(
    node: ResultingNode, tmp_path: Path
) -> None:
    folder = tmp_path / node.study_instance_uid
    export(node, tmp_path)
    (folder / "notes.txt").write_text("mine")
    (folder / "heat_map_9.dcm").write_bytes(b"of an earlier revision")
    index = json.loads((folder / "index.json").read_bytes())
    index["results"].append({"file": "heat_map_9.dcm", "picture": "../../outside.png"})
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "score_report_1.dcm").write_bytes(b"changed")

    with pytest.raises(PermanentError, match=r"There is something at .* already"):
        export(node, tmp_path)
    assert (folder / "score_report_1.dcm").read_bytes() == b"changed"

    export(node, tmp_path, overwrites=True)

    assert (folder / "score_report_1.dcm").read_bytes() in node.contents.values()
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "heat_map_9.dcm").exists()


def test_what_is_gone_or_damaged_is_said_and_the_rest_is_written(
    node: ResultingNode, tmp_path: Path
) -> None:
    with node.database.writing() as session:
        expired, damaged, missing, *_ = session.scalars(select(Revision)).one().results
        expired.removed_at, expired.removed_because = GONE_AT, Gone.EXPIRED
        node.store.path(damaged.path).write_bytes(b"damaged")
        node.store.remove(missing.path)
        kinds = [row.kind for row in (expired, damaged, missing)]

    exported = export(node, tmp_path)

    assert exported.lacks == (
        f"{kinds[0]} 1 is not here: expired at 2026-04-01 09:30 UTC",
        f"{kinds[1]} 1 is not here: its file is damaged: `mammonode fsck` says more",
        f"{kinds[2]} 1 is not here: its file cannot be read: No such file or directory",
    )
    written = list((tmp_path / node.study_instance_uid).glob("*.dcm"))
    assert len(written) == len(node.contents) - 3


def test_a_study_without_results_leaves_no_folder(node: ResultingNode, tmp_path: Path) -> None:
    with node.database.writing() as session:
        revision = session.scalars(select(Revision)).one()
        for row in list(revision.results):
            session.delete(row)
        revision.state = StudyState.IN_PROGRESS
        session.scalars(select(Study)).one().state = StudyState.IN_PROGRESS

    exported = export(node, tmp_path / "out")

    assert exported.folder is None
    assert exported.lacks == ("no results: revision 1 is IN PROGRESS",)
    assert not (tmp_path / "out").exists()


def test_an_unknown_study_is_refused(node: ResultingNode, tmp_path: Path) -> None:
    with pytest.raises(UnknownStudy):
        export_studies(node.database, node.store, ["1.2.3"], tmp_path)
