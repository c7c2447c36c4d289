"""Which files are images, and of which study: by what they hold, wherever they lie."""

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pydicom.config
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.errors import TriageReason
from node.predict.find import UNDATED, find_studies
from phantoms import mammogram, screening_study, to_bytes, write


@pytest.fixture(autouse=True)
def _odd_values_are_read_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the commands set it, `node.logs.quiet_libraries`."""
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)


def view(**attributes: object) -> Dataset:
    return mammogram(**attributes)  # type: ignore[arg-type]


def test_images_are_grouped_by_study_wherever_they_lie(tmp_path: Path) -> None:
    for seed in (1, 2):
        for index, ds in enumerate(screening_study(seed=seed)):
            folder = tmp_path / str(index) / "deep"
            folder.mkdir(parents=True, exist_ok=True)
            write(ds, folder)

    found = find_studies([tmp_path])

    assert [len(study.instances) for study in found.studies] == [4, 4]
    uids = [study.study_instance_uid for study in found.studies]
    assert uids == sorted(uids)


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    files = [write(ds, tmp_path) for ds in screening_study()]

    assert find_studies(files) == find_studies(files[::-1]) == find_studies([tmp_path])


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    file = write(view(), tmp_path)

    found = find_studies([tmp_path, file])

    assert len(found.studies[0].instances) == 1
    assert found.left_out == ()


def test_files_that_are_not_dicom_are_passed_over_and_counted(tmp_path: Path) -> None:
    write(view(), tmp_path)
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "notes.txt").write_text("words " * 100)
    os.mkfifo(tmp_path / "pipe")

    found = find_studies([tmp_path])

    assert len(found.studies) == 1
    assert found.not_dicom == 2


def test_a_damaged_file_is_left_out_with_the_reason(tmp_path: Path) -> None:
    content = to_bytes(view())
    (tmp_path / "short.dcm").write_bytes(content[: len(content) // 2])
    (tmp_path / "noise.dcm").write_bytes(content[:132] + b"\xff" * 400)

    found = find_studies([tmp_path])

    assert found.studies == ()
    assert {left.path.name for left in found.left_out} == {"short.dcm", "noise.dcm"}
    assert all(left.reason for left in found.left_out)


def test_what_is_no_image_is_left_out(tmp_path: Path) -> None:
    ds = view()
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(ds, keyword)
    write(ds, tmp_path)

    found = find_studies([tmp_path])

    assert [left.reason for left in found.left_out] == ["not an image"]


def test_a_uid_that_could_leave_the_folder_is_left_out(tmp_path: Path) -> None:
    ds = view()
    content = to_bytes(ds).replace(
        ds.StudyInstanceUID.encode(), b"../../evil".ljust(len(ds.StudyInstanceUID), b"/")
    )
    (tmp_path / "a.dcm").write_bytes(content)

    found = find_studies([tmp_path])

    assert found.studies == ()
    assert found.left_out[0].reason == "expected a UID in StudyInstanceUID"


def test_what_the_header_excludes_stays_in_the_study_with_its_reason(tmp_path: Path) -> None:
    write(view(PresentationIntentType="FOR PROCESSING"), tmp_path)

    (instance,) = find_studies([tmp_path]).studies[0].instances

    assert instance.triage_reason is TriageReason.FOR_PROCESSING


def test_the_same_instance_twice_counts_once(tmp_path: Path) -> None:
    content = to_bytes(view())
    (tmp_path / "a.dcm").write_bytes(content)
    (tmp_path / "b.dcm").write_bytes(content)

    found = find_studies([tmp_path])

    assert len(found.studies[0].instances) == 1
    (left,) = found.left_out
    assert left.path.name == "b.dcm"
    assert left.reason == f"the same data set as {tmp_path / 'a.dcm'}"


def test_another_data_set_under_the_same_uid_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    ds = view()
    (tmp_path / "a.dcm").write_bytes(to_bytes(ds))
    ds.PatientName = "Other^Name"
    (tmp_path / "b.dcm").write_bytes(to_bytes(ds))

    (left,) = find_studies([tmp_path]).left_out

    assert left.reason.startswith("another data set with the same UID")


def test_the_hash_is_of_the_data_set_without_the_file_meta_information(tmp_path: Path) -> None:
    content = to_bytes(view())
    file = tmp_path / "a.dcm"
    file.write_bytes(content)
    meta_bytes = dcmread(file).file_meta.FileMetaInformationGroupLength

    (instance,) = find_studies([file]).studies[0].instances

    data_set = content[128 + 4 + 12 + meta_bytes :]
    assert instance.dataset_sha256 == hashlib.sha256(data_set).hexdigest()


@pytest.mark.parametrize(
    ("attributes", "moment"),
    [
        (
            {"ContentDate": "20260302", "ContentTime": "093001.5"},
            datetime(2026, 3, 2, 9, 30, 1, tzinfo=UTC),
        ),
        (
            {
                "ContentDate": "20260302",
                "ContentTime": "003001",
                "TimezoneOffsetFromUTC": "+0100",
            },
            datetime(2026, 3, 1, 23, 30, 1, tzinfo=UTC),
        ),
        (
            {"ContentDate": "", "AcquisitionDate": "20260304", "AcquisitionTime": ""},
            datetime(2026, 3, 4, tzinfo=UTC),
        ),
        (
            {"ContentDate": "not a date", "AcquisitionDate": "20260304", "AcquisitionTime": "12"},
            datetime(2026, 3, 4, 12, tzinfo=UTC),
        ),
        (
            {"ContentDate": "", "AcquisitionDate": "", "SeriesDate": "", "StudyDate": ""},
            UNDATED,
        ),
    ],
)
def test_an_image_is_as_old_as_it_says(
    tmp_path: Path, attributes: dict[str, str], moment: datetime
) -> None:
    ds = view()
    for keyword, value in attributes.items():
        ds.add_new(keyword, "SH" if keyword.startswith("Time") else "LO", value)
    write(ds, tmp_path)

    assert find_studies([tmp_path]).studies[0].closed_at == moment


def test_a_study_is_dated_by_its_newest_image(tmp_path: Path) -> None:
    for minute, ds in enumerate(screening_study()):
        ds.ContentDate, ds.ContentTime = "20260302", f"09{minute:02d}00"
        write(ds, tmp_path)

    closed_at = find_studies([tmp_path]).studies[0].closed_at

    assert closed_at == datetime(2026, 3, 2, 9, 3, tzinfo=UTC)


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_studies([tmp_path / "none"])
