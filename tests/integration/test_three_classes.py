"""Weights that tell normal, benign and malignant apart, through the node to valid objects."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
from model.classify import Classifier
from model.manifest import NOT_FOR_DIAGNOSTIC_USE
from model.network import THREE_CLASSES
from networks import write_untrained_weights
from node.analysis.decode import PixelReader
from node.analysis.pipeline import Analyser
from node.analysis.sources import SourceInstance
from node.report.write import write_results
from node.result_kinds import REPORT_KINDS
from node.results import ResultKind, StudyResult
from validators import dciodvfy_errors, pixelmed_errors

pytestmark = [pytest.mark.integration]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudyResult]:
    """A screening study, analysed by a small untrained network of three classes."""
    folder = tmp_path_factory.mktemp("three")
    # Any score reaches this point, so that the study has regions and a call.
    weights = write_untrained_weights(folder / "weights", classes=THREE_CLASSES, threshold=0.01)
    sources = []
    for ds in phantoms.screening_study(seed=3):
        path = phantoms.write(ds, folder)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sources.append(SourceInstance(path=path, dataset_sha256=digest))
    reader = PixelReader(timeout_s=60, memory_bytes=2**30, children=1)
    with Analyser(
        classifier=Classifier.load(weights), pixel_reader=reader, prevalence=None
    ) as analyser:
        yield analyser.analyse(
            study_instance_uid=phantoms.uid("study"),
            revision=1,
            closed_at=datetime(2024, 5, 17, 11, 0, tzinfo=UTC),
            sources=sources,
        )


@pytest.fixture(scope="module")
def written(
    result: StudyResult, tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, ResultKind]:
    """Every object of every kind, as files."""
    folder = tmp_path_factory.mktemp("objects")
    files = {}
    for made in write_results(result, tuple(ResultKind)):
        path = folder / f"{made.kind}-{made.index}.dcm"
        path.write_bytes(phantoms.to_bytes(made.dataset))
        files[path] = made.kind
    return files


def test_views_breasts_and_study_have_a_score(result: StudyResult) -> None:
    scores = [view.score for view in result.instances]

    assert len([score for score in scores if score is not None and 0 < score < 1]) == 4
    assert all(breast.score is not None for breast in result.breasts)
    assert result.score is not None
    assert all(
        view.heat_map is not None and view.heat_map.values.max() > 0 for view in result.analysed
    )


def test_every_object_is_valid(written: dict[Path, ResultKind]) -> None:
    assert set(written.values()) == set(ResultKind)
    for path in written:
        assert dciodvfy_errors(path) == [], path.name


@pytest.mark.parametrize("kind", REPORT_KINDS)
def test_every_report_passes_the_validator_of_its_template(
    written: dict[Path, ResultKind], kind: ResultKind
) -> None:
    (path,) = (path for path, made in written.items() if made is kind)

    assert pixelmed_errors(path) == []


def texts(ds: Dataset) -> list[str]:
    """Every text and every code meaning of a report."""
    found = [str(ds[name].value) for name in ("TextValue", "CodeMeaning") if name in ds]
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                found += texts(item)
    return found


def test_no_report_calls_anybody_normal_or_benign(written: dict[Path, ResultKind]) -> None:
    for path in (path for path, kind in written.items() if kind in REPORT_KINDS):
        said = " ".join(texts(dcmread(path)))

        assert NOT_FOR_DIAGNOSTIC_USE in said
        assert "normal" not in said
        assert said.count("benign") == said.count("does not mean benign")


def test_the_score_report_says_what_the_score_is_about(written: dict[Path, ResultKind]) -> None:
    (path,) = (path for path, kind in written.items() if kind is ResultKind.SCORE_REPORT)

    assert "of the class malignant against all others" in " ".join(texts(dcmread(path)))
