import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

import phantoms
import study_results
import validators
from node.report.measurement_report import write_measurement_report


def report() -> Dataset:
    (made,) = write_measurement_report(study_results.one_view())
    return made.dataset


def test_dciodvfy_finds_a_missing_attribute(tmp_path: Path) -> None:
    ds = report()
    del ds.CompletionFlag

    errors = validators.dciodvfy_errors(phantoms.write(ds, tmp_path))

    assert any("CompletionFlag" in line for line in errors)


def test_dciodvfy_finds_that_a_file_is_no_dicom(tmp_path: Path) -> None:
    path = tmp_path / "text.dcm"
    path.write_text("not a data set")

    assert validators.dciodvfy_errors(path)


def test_dsrdump_refuses_what_is_no_report(tmp_path: Path) -> None:
    path = phantoms.write(phantoms.mammogram(), tmp_path)
    validators.require_peer("dsrdump")

    with pytest.raises(AssertionError):
        validators.dsrdump_text(path)


@pytest.mark.slow
def test_pixelmed_finds_a_code_from_outside_its_context_group_and_says_in_which_file(
    tmp_path: Path,
) -> None:
    good = phantoms.write(report(), tmp_path / "good")
    ds = report()
    for item in items(ds):
        if item.get("ConceptNameCodeSequence") and name(item) == "Image Laterality":
            item.ConceptCodeSequence = [phantoms.code("80248007", "SCT", "Left breast")]
    ds.SOPInstanceUID = phantoms.uid("wrong")
    wrong = phantoms.write(ds, tmp_path / "wrong")

    errors = validators.pixelmed_errors(good, wrong, good)

    assert any("Image Laterality" in line for line in errors)
    assert all(line.startswith(wrong.name) for line in errors)


@pytest.mark.slow
def test_pixelmed_finds_that_a_file_is_no_document(tmp_path: Path) -> None:
    path = phantoms.write(phantoms.mammogram(), tmp_path)

    assert validators.pixelmed_errors(path)


def test_a_missing_peer_skips_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAMMONODE_REQUIRE_PEERS", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no-such-peer is not installed"):
        validators.require_peer("no-such-peer")


def test_a_missing_peer_fails_where_peers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAMMONODE_REQUIRE_PEERS", "1")

    with pytest.raises(pytest.fail.Exception, match="no-such-peer is not installed"):
        validators.require_peer("no-such-peer")


def test_a_namesake_beside_the_running_python_is_no_peer() -> None:
    found = validators.require_peer("storescu")

    assert found.parent != Path(sys.executable).parent


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def items(parent: Dataset) -> Iterator[Dataset]:
    """All content items below one."""
    for item in parent.get("ContentSequence", []):
        yield item
        yield from items(item)
