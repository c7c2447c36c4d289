"""Outcomes of analyses, written and read back by another process."""

import io
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, RLELossless

import study_results
from node.analysis.record import load, save
from node.errors import PermanentError, TransientError
from node.result_kinds import SRClass
from node.results import InstanceResult, Predecessor, ResultKind, StudyResult
from node.settings import ResultsSettings
from older_version import as_record_of_format_2
from phantoms import mammogram, screening_study, to_bytes

PREDECESSOR = Predecessor(
    kind=ResultKind.SCORE_REPORT,
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
    sop_instance_uid="1.2.3",
    series_instance_uid="1.2.4",
)


@pytest.fixture
def result() -> StudyResult:
    """A study with scores that no short decimal number is, and an image left out."""
    right, left, *_ = screening_study(seed=1)
    twin = mammogram(seed=2, photometric="MONOCHROME1")
    made = study_results.study(
        with_header_of(right, study_results.analysed(right, score=2 / 3)),
        with_header_of(left, study_results.analysed(left, score=0.1 + 0.2)),
        with_header_of(twin, study_results.triaged(twin)),
        prevalence=1 / 3,
        predecessors=(PREDECESSOR,),
    )
    return replace(made, form=ResultsSettings(sr_class=SRClass.COMPREHENSIVE_3D))


def with_header_of(ds: Dataset, instance: InstanceResult) -> InstanceResult:
    """Give an instance the header as the pipeline reads it, file meta information included."""
    header = dcmread(io.BytesIO(to_bytes(ds)), stop_before_pixels=True)
    return replace(instance, source=header)


def assert_same(one: StudyResult, other: StudyResult) -> None:
    """Compare field by field; arrays to the last bit, headers to the last byte."""
    for field in fields(StudyResult):
        if field.name != "instances":
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert len(one.instances) == len(other.instances)
    for left, right in zip(one.instances, other.instances, strict=True):
        assert_same_instance(left, right)


def assert_same_instance(one: InstanceResult, other: InstanceResult) -> None:
    for field in fields(InstanceResult):
        if field.name not in ("source", "preview", "heat_map"):
            ours, theirs = getattr(one, field.name), getattr(other, field.name)
            assert (ours, type(ours)) == (theirs, type(theirs)), field.name
    assert to_bytes(one.source) == to_bytes(other.source)
    assert (one.preview is None) == (other.preview is None)
    if one.preview is not None and other.preview is not None:
        assert one.preview.dtype == other.preview.dtype
        np.testing.assert_array_equal(one.preview, other.preview)
    assert (one.heat_map is None) == (other.heat_map is None)
    if one.heat_map is not None and other.heat_map is not None:
        assert one.heat_map.geometry == other.heat_map.geometry
        assert one.heat_map.values.dtype == other.heat_map.values.dtype
        np.testing.assert_array_equal(one.heat_map.values, other.heat_map.values)
        np.testing.assert_array_equal(one.heat_map.breast_mask, other.heat_map.breast_mask)


def test_what_was_saved_comes_back_exactly(result: StudyResult, tmp_path: Path) -> None:
    save(result, tmp_path / "deep" / "analysis.npz")

    assert_same(load(tmp_path / "deep" / "analysis.npz"), result)


@pytest.mark.parametrize("transfer_syntax", [RLELossless, ExplicitVRBigEndian])
def test_headers_of_any_transfer_syntax_come_back(tmp_path: Path, transfer_syntax: str) -> None:
    source = mammogram(transfer_syntax=transfer_syntax, PatientName="Müller^Änne")
    result = study_results.study(with_header_of(source, study_results.triaged(source)))

    save(result, tmp_path / "record")

    assert_same(load(tmp_path / "record"), result)


def test_a_study_without_instances_comes_back(result: StudyResult, tmp_path: Path) -> None:
    empty = replace(result, instances=(), breasts=(), score=None)

    save(empty, tmp_path / "record")

    assert_same(load(tmp_path / "record"), empty)


def test_saving_again_replaces_and_leaves_nothing_else(result: StudyResult, tmp_path: Path) -> None:
    save(result, tmp_path / "record")
    save(replace(result, revision=2), tmp_path / "record")

    assert load(tmp_path / "record").revision == 2
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_an_unfinished_file_does_not_hide_the_finished_one(
    result: StudyResult, tmp_path: Path
) -> None:
    save(result, tmp_path / "record")
    (tmp_path / "record.unfinished").write_bytes(b"half of it")

    save(replace(result, revision=3), tmp_path / "record")

    assert load(tmp_path / "record").revision == 3


def test_a_disk_that_fails_is_worth_another_try(result: StudyResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(TransientError, match="outcome"):
        save(result, tmp_path / "file" / "record")


def test_a_damaged_file_is_no_outcome(result: StudyResult, tmp_path: Path) -> None:
    save(result, tmp_path / "record")
    whole = (tmp_path / "record").read_bytes()
    (tmp_path / "record").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(PermanentError, match="Analyse the study again"):
        load(tmp_path / "record")


def test_an_outcome_with_other_fields_is_refused(result: StudyResult, tmp_path: Path) -> None:
    save(result, tmp_path / "record")
    change_json(tmp_path / "record", b'"peak_row"', b'"peak_RAW"')

    with pytest.raises(PermanentError, match="TypeError"):
        load(tmp_path / "record")


def test_an_outcome_that_cannot_be_read_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="directory"):
        load(tmp_path)


def test_an_outcome_of_another_version_is_refused(result: StudyResult, tmp_path: Path) -> None:
    save(result, tmp_path / "record")
    change_json(tmp_path / "record", b'"format": 3', b'"format": 99')

    with pytest.raises(PermanentError, match="99"):
        load(tmp_path / "record")


def test_an_outcome_of_the_version_before_comes_back_without_image_statistics(
    result: StudyResult, tmp_path: Path
) -> None:
    save(result, tmp_path / "record")
    as_record_of_format_2(tmp_path / "record")

    instances = tuple(replace(each, image_statistics=None) for each in result.instances)
    assert_same(load(tmp_path / "record"), replace(result, instances=instances))


def change_json(record: Path, old: bytes, new: bytes) -> None:
    """Replace what stands in the part of a record that is JSON."""
    with zipfile.ZipFile(record) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert old in members["study.json"]
    members["study.json"] = members["study.json"].replace(old, new)
    with zipfile.ZipFile(record, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_reading_an_outcome_does_without_tensorflow() -> None:
    program = "import sys, node.analysis.record; sys.exit('tensorflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
