import io
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

import phantoms
import study_results
import validators
from many_studies import MANY_STUDIES
from model.explain import HeatMap, find_regions
from model.preprocess import to_network_input
from node.report.write import WRITERS, write_results
from node.result_kinds import REPORT_KINDS
from node.results import PREVIEW_SIZE_PX, ResultKind, StudyResult

ALL = tuple(ResultKind)
PICTURES = {ResultKind.HEAT_MAP, ResultKind.SUMMARY_PAGE}
NOT_PICTURES = tuple(kind for kind in ResultKind if kind not in PICTURES)
PARTS = 2
"""Of the studies that PixelMed reads in one go: each under the time that a test may take."""
# Two zones that never have the same date: 26 hours lie between them.
TIME_ZONES = ("AAA-14", "BBB+12")
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)

DIGESTS = """
import hashlib, phantoms, study_results
from node.report.write import write_results
from node.results import ResultKind
for made in ("second_revision", "all_triaged"):
    for made in write_results(study_results.STUDIES[made](), tuple(ResultKind)):
        print(made.kind, hashlib.sha256(phantoms.to_bytes(made.dataset)).hexdigest())
"""


def files(result: StudyResult, kinds: Collection[ResultKind], folder: Path) -> list[Path]:
    paths = []
    for made in write_results(result, kinds):
        path = folder / f"{made.kind}-{made.index}.dcm"
        path.write_bytes(phantoms.to_bytes(made.dataset))
        paths.append(path)
    return paths


def documents(paths: list[Path]) -> list[Path]:
    """Those that have a content tree: Structured Reports and Key Object Selections."""
    return [path for path in paths if dcmread(path).Modality in ("SR", "KO")]


def test_every_kind_has_a_writer() -> None:
    assert set(WRITERS) == set(ResultKind)


@pytest.mark.parametrize("kind", ALL)
def test_only_what_was_asked_for_is_written(kind: ResultKind) -> None:
    made = write_results(study_results.positive(), [kind])

    assert {m.kind for m in made} == {kind}


def test_a_kind_written_alone_is_the_same_as_among_others() -> None:
    result = study_results.positive()

    together = {m.dataset.SOPInstanceUID for m in write_results(result, ALL)}
    alone = {m.dataset.SOPInstanceUID for kind in ALL for m in write_results(result, [kind])}

    assert alone == together


def test_each_kind_has_a_series_of_its_own_that_a_list_can_tell_apart() -> None:
    made = write_results(study_results.positive(), ALL)

    series = {m.kind: m.dataset for m in made}
    assert len({ds.SeriesInstanceUID for ds in series.values()}) == len(ALL)
    assert len({ds.SeriesNumber for ds in series.values()}) == len(ALL)
    assert len({ds.SeriesDescription[:22] for ds in series.values()}) == len(ALL)
    assert all(ds.SeriesNumber > 9000 for ds in series.values())


def test_another_process_on_another_day_writes_the_same_bytes() -> None:
    root = Path(study_results.__file__).parent
    path = os.pathsep.join([str(root), str(root.parent)])

    outputs = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env={**os.environ, "TZ": zone, "PYTHONPATH": path, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
        for seed, zone in enumerate(TIME_ZONES)
    ]

    assert outputs[0] == outputs[1]
    assert outputs[0].count("heat_map") == 4
    assert outputs[0].count("score_report") == 2
    own = write_results(study_results.second_revision(), [ResultKind.SCORE_REPORT])
    assert sha256(phantoms.to_bytes(own[0].dataset)).hexdigest() in outputs[0]


@pytest.mark.parametrize("made", MANY_STUDIES.values(), ids=list(MANY_STUDIES))
def test_every_object_is_valid_dicom(made: Callable[[], StudyResult], tmp_path: Path) -> None:
    paths = files(made(), ALL, tmp_path)

    errors = validators.dciodvfy_errors(*paths)

    assert paths
    assert errors == []


@pytest.mark.parametrize("made", MANY_STUDIES.values(), ids=list(MANY_STUDIES))
def test_every_document_is_read_by_another_toolkit(
    made: Callable[[], StudyResult], tmp_path: Path
) -> None:
    paths = documents(files(made(), NOT_PICTURES, tmp_path))

    texts = [validators.dsrdump_text(path) for path in paths]

    assert texts
    for text in texts:
        assert "not for diagnostic use" in text


def test_a_document_of_each_kind_keeps_to_its_template(tmp_path: Path) -> None:
    result = study_results.partly_triaged()
    paths = documents(files(result, NOT_PICTURES, tmp_path))

    errors = validators.pixelmed_errors(*paths)

    assert len(paths) >= len(REPORT_KINDS)
    assert errors == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_document_keeps_to_its_template(part: int, tmp_path: Path) -> None:
    paths = []
    for number, made in enumerate(MANY_STUDIES.values()):
        if number % PARTS == part:
            folder = tmp_path / str(number)
            folder.mkdir()
            paths += documents(files(made(), NOT_PICTURES, folder))

    errors = validators.pixelmed_errors(*paths)

    assert len(paths) > len(MANY_STUDIES) / PARTS
    assert errors == []


def test_what_is_read_back_is_what_was_written() -> None:
    for made in write_results(study_results.second_revision(), ALL):
        ds = dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))

        assert ds.SOPInstanceUID == made.dataset.SOPInstanceUID
        assert phantoms.to_bytes(ds) == phantoms.to_bytes(made.dataset)


@pytest.mark.parametrize("value", [b"", bytes(2), b"\0\1\0\1", b"\1\0\0"])
@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_a_source_without_one_size_is_reported_as_no_image(keyword: str, value: bytes) -> None:
    result = study_results.study(study_results.triaged(phantoms.mammogram()))
    tag = tag_for_keyword(keyword)
    assert tag is not None
    result.instances[0].source[tag] = RawDataElement(
        BaseTag(tag), "US", len(value), value, 0, False, True
    )

    (report, *_) = write_results(result, [ResultKind.SCORE_REPORT])

    assert b"Image 1: R CC: for processing" in phantoms.to_bytes(report.dataset)
    assert "CurrentRequestedProcedureEvidenceSequence" not in report.dataset


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", b"yesterday "),
        ("StudyTime", b"noon"),
        ("PatientBirthDate", b"1960.02.29"),
        ("PatientSex", b"FEMALE"),
        ("ImagerPixelSpacing", b"0.1 "),
        ("ImagerPixelSpacing", b"0\\0 "),
        ("ImagerPixelSpacing", b""),
        ("PatientOrientation", b"A\\R\\H "),
        ("TimezoneOffsetFromUTC", b"CET "),
        ("ViewCodeSequence", b""),
    ],
)
def test_odd_values_in_a_source_do_not_stop_a_result(keyword: str, value: bytes) -> None:
    source = phantoms.mammogram()
    tag = tag_for_keyword(keyword)
    assert tag is not None
    source[tag] = RawDataElement(
        BaseTag(tag), dictionary_VR(tag), len(value), value, 0, False, True
    )
    result = study_results.study(study_results.analysed(source, score=0.7))

    made = write_results(result, ALL)

    # A parametric map has a size in mm, or is not written.
    unsized = {ResultKind.PARAMETRIC_MAP} if keyword == "ImagerPixelSpacing" else set()
    assert {m.kind for m in made} == set(ALL) - unsized
    assert all(phantoms.to_bytes(m.dataset) for m in made)


def of_shape(rows: int, columns: int) -> StudyResult:
    """One view of any number of rows and columns, with a region that touches its edge."""
    display = phantoms.breast_pixels("L", rows=rows, columns=columns, seed=1)
    network_input = to_network_input(display, study_results.INPUT_SIZE_PX)
    height, width = network_input.breast_mask.shape
    row, column = np.mgrid[0:height, 0:width]
    hill = np.exp(-((row - height / 2) ** 2 + column**2) / 90) * network_input.breast_mask
    heat_map = HeatMap(
        values=(hill / hill.max()).astype(np.float32),
        breast_mask=network_input.breast_mask,
        geometry=network_input.geometry,
    )
    scale = min(1.0, PREVIEW_SIZE_PX / max(rows, columns))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    preview = cv2.resize(display, size, interpolation=cv2.INTER_AREA)
    instance = study_results.analysed(phantoms.mammogram(laterality="L"), score=0.7)
    instance.source.Rows, instance.source.Columns = rows, columns
    return study_results.study(
        replace(
            instance,
            preview=np.round(preview * 255).astype(np.uint8),
            heat_map=heat_map,
            regions=find_regions(heat_map, study_results.manifest().region_rule, score=0.7),
        )
    )


def of_source(**attributes: Any) -> StudyResult:
    """One view whose header lacks or bends what others have."""
    return study_results.study(study_results.analysed(phantoms.mammogram(**attributes), score=0.7))


ODD: dict[str, Callable[[], StudyResult]] = {
    "60000 x 200": lambda: of_shape(60_000, 200),
    "200 x 20000": lambda: of_shape(200, 20_000),
    "40 x 30": lambda: of_shape(40, 30),
    "no type 2": lambda: of_source(**dict.fromkeys(TYPE_2)),
    "empty type 2": lambda: of_source(**dict.fromkeys(TYPE_2, "")),
    "no laterality": lambda: of_source(ImageLaterality=None),
    "no view": lambda: of_source(ViewPosition=None, ViewCodeSequence=None),
    "turned": lambda: of_source(PatientOrientation=["F", "A"]),
    "no orientation": lambda: of_source(PatientOrientation=None),
    "pixels not square": lambda: of_source(ImagerPixelSpacing=[0.1, 0.2]),
    "aspect ratio alone": lambda: of_source(ImagerPixelSpacing=None, PixelAspectRatio=[2, 1]),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_every_kind_copes_with_an_odd_source(
    odd: Callable[[], StudyResult], tmp_path: Path
) -> None:
    result = odd()

    paths = files(result, ALL, tmp_path)

    spaced = "ImagerPixelSpacing" in result.instances[0].source
    expected = set(ALL) if spaced else set(ALL) - {ResultKind.PARAMETRIC_MAP}
    assert {ResultKind(path.stem.rpartition("-")[0]) for path in paths} == expected
    for path in paths:
        assert validators.dciodvfy_errors(path) == [], path.name
