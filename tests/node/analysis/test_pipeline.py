"""Studies through the real pipeline: child processes, the real network, small and untrained."""

import hashlib
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless
from stand_in_decoders import misbehave

from model.classify import Classifier
from model.image_statistics import image_statistics
from model.pixels import read_display
from model.preprocess import to_network_input
from model.views import STANDARD_VIEWS, Laterality
from node.analysis.decode import PixelReader
from node.analysis.pipeline import Analyser
from node.analysis.sources import SourceInstance
from node.errors import PermanentError, TriageReason
from node.results import PREVIEW_SIZE_PX, Predecessor, ResultKind, StudyResult
from phantoms import film, lesion_in, mammogram, screening_study, uid, write

CLOSED_AT = datetime(2024, 5, 17, 11, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def classifier(untrained_weights: Path) -> Classifier:
    return Classifier.load(untrained_weights)


@pytest.fixture(scope="module")
def analyser(classifier: Classifier) -> Iterator[Analyser]:
    reader = PixelReader(timeout_s=60, memory_bytes=2**30, children=2, read=misbehave)
    with Analyser(classifier=classifier, pixel_reader=reader, prevalence=0.006) as analyser:
        yield analyser


def source(ds: Dataset, folder: Path) -> SourceInstance:
    path = write(ds, folder)
    return SourceInstance(path=path, dataset_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def analyse(
    analyser: Analyser, sources: Sequence[SourceInstance], *, revision: int = 1
) -> StudyResult:
    return analyser.analyse(
        study_instance_uid=uid("study"), revision=revision, closed_at=CLOSED_AT, sources=sources
    )


def views(result: StudyResult) -> list[tuple[Laterality | None, str | None]]:
    return [(each.laterality, each.view_position) for each in result.instances]


@pytest.fixture(scope="module")
def screened(analyser: Analyser, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    folder = tmp_path_factory.mktemp("study")
    return analyse(analyser, [source(ds, folder) for ds in screening_study(seed=1)])


def test_a_screening_study_gets_four_scores_two_breasts_and_one_study_score(
    screened: StudyResult, classifier: Classifier
) -> None:
    scores = {(i.laterality, i.view_position): i.score or 0.0 for i in screened.instances}
    right = (scores[Laterality.RIGHT, "CC"] + scores[Laterality.RIGHT, "MLO"]) / 2
    left = (scores[Laterality.LEFT, "CC"] + scores[Laterality.LEFT, "MLO"]) / 2

    assert views(screened) == list(STANDARD_VIEWS)
    assert len(set(scores.values())) == 4
    assert [b.laterality for b in screened.breasts] == [Laterality.RIGHT, Laterality.LEFT]
    assert [b.score for b in screened.breasts] == pytest.approx([right, left])
    assert screened.score == pytest.approx(max(right, left))
    assert screened.manifest is classifier.manifest
    assert (screened.closed_at, screened.revision) == (CLOSED_AT, 1)
    assert screened.prevalence == 0.006


def test_each_view_has_the_statistics_of_what_the_network_was_given(
    screened: StudyResult, classifier: Classifier
) -> None:
    size_px = classifier.manifest.input_size_px
    expected = {
        ds.SOPInstanceUID: image_statistics(to_network_input(read_display(ds), size_px))
        for ds in screening_study(seed=1)
    }

    assert {i.sop_instance_uid: i.image_statistics for i in screened.instances} == expected


def test_each_view_has_a_map_a_preview_and_a_header_without_pixels(screened: StudyResult) -> None:
    for instance in screened.instances:
        assert instance.heat_map is not None
        assert instance.preview is not None
        assert instance.preview.shape == (256, 192)
        assert instance.heat_map.on_original().shape == (256, 192)
        assert "PixelData" not in instance.source
        assert instance.triage_reason is None
        assert len(instance.dataset_sha256) == 64


def test_the_order_of_arrival_changes_nothing(
    analyser: Analyser, screened: StudyResult, tmp_path: Path
) -> None:
    sources = [source(ds, tmp_path) for ds in screening_study(seed=1)]

    result = analyse(analyser, sources[::-1])

    assert views(result) == list(STANDARD_VIEWS)
    assert [i.score for i in result.instances] == [i.score for i in screened.instances]
    assert result.score == screened.score


def test_a_monochrome1_twin_and_another_transfer_syntax_score_the_same(
    analyser: Analyser, tmp_path: Path
) -> None:
    plain = mammogram(bits_stored=12)
    twin = mammogram(bits_stored=12, photometric="MONOCHROME1")
    packed = mammogram(bits_stored=12, transfer_syntax=RLELossless)

    results = [
        analyse(analyser, [source(ds, tmp_path / str(number))])
        for number, ds in enumerate((plain, twin, packed))
    ]

    # 1 - x in float32 rounds the last bit of a grey value; 1e-4 of a score is less than any
    # report shows.
    assert results[1].score == pytest.approx(results[0].score, abs=1e-4)
    assert results[2].score == results[0].score


def test_an_instance_that_the_header_excluded_is_reported_and_not_read(
    analyser: Analyser, tmp_path: Path
) -> None:
    good, bad = mammogram(seed=1), mammogram(seed=2, PixelData=None, view_position="MLO")
    excluded = SourceInstance(
        path=write(bad, tmp_path),
        dataset_sha256="0" * 64,
        triage_reason=TriageReason.FOR_PROCESSING,
        triage_detail="Presentation Intent Type (0008,0068) FOR PROCESSING",
    )

    result = analyse(analyser, [excluded, source(good, tmp_path)])

    assert [i.sop_instance_uid for i in result.analysed] == [good.SOPInstanceUID]
    (left_out,) = result.triaged
    assert left_out.triage_reason is TriageReason.FOR_PROCESSING
    assert left_out.triage_detail == excluded.triage_detail
    assert left_out.score is None
    assert result.breasts[0].score == result.analysed[0].score


@pytest.mark.parametrize(
    ("ds", "reason"),
    [
        (mammogram(PixelData=b"\0" * (256 * 192 * 2)), TriageReason.ALL_ZERO_PIXELS),
        (mammogram(PixelData=b"\1" * (256 * 192 * 2)), TriageReason.NO_BREAST_FOUND),
        (mammogram(PixelData=b"\1\2\3\4"), TriageReason.UNDECODABLE_PIXELS),
        (mammogram(NumberOfFrames=2), TriageReason.MULTI_FRAME),
    ],
    ids=lambda value: value.value if isinstance(value, TriageReason) else "",
)
def test_pixels_that_cannot_be_analysed_cost_their_view_alone(
    analyser: Analyser, tmp_path: Path, ds: Dataset, reason: TriageReason
) -> None:
    good = mammogram(laterality="L")

    result = analyse(analyser, [source(ds, tmp_path), source(good, tmp_path)])

    assert [i.triage_reason for i in result.instances] == [reason, None]
    assert result.triaged[0].triage_detail
    assert [(b.laterality, b.score is None) for b in result.breasts] == [
        (Laterality.RIGHT, True),
        (Laterality.LEFT, False),
    ]
    assert result.score == result.instances[1].score


def test_a_decoder_that_crashes_costs_its_view_alone(analyser: Analyser, tmp_path: Path) -> None:
    good, bad = source(mammogram(laterality="L"), tmp_path), source(mammogram(), tmp_path)
    crash = bad.path.rename(tmp_path / "abort.dcm")

    result = analyse(
        analyser, [good, SourceInstance(path=crash, dataset_sha256=bad.dataset_sha256)]
    )

    assert [i.triage_reason for i in result.instances] == [TriageReason.UNDECODABLE_PIXELS, None]
    assert "SIGABRT" in result.instances[0].triage_detail


def test_a_study_without_an_analysable_image_has_no_score_and_says_why(
    analyser: Analyser, tmp_path: Path
) -> None:
    result = analyse(analyser, [source(mammogram(NumberOfFrames=2), tmp_path)])

    assert result.score is None
    assert result.analysed == ()
    assert [b.score for b in result.breasts] == [None]
    assert [i.triage_reason for i in result.triaged] == [TriageReason.MULTI_FRAME]


def test_films_of_unknown_and_known_side_are_kept_apart(analyser: Analyser, tmp_path: Path) -> None:
    known = film(laterality="L", view_position="MLO", seed=1)
    unknown = film(laterality="R", view_position="CC", seed=2)
    del unknown.Laterality, unknown.PatientOrientation

    result = analyse(analyser, [source(unknown, tmp_path), source(known, tmp_path)])

    assert views(result) == [(Laterality.LEFT, "MLO"), (None, None)]
    assert [b.laterality for b in result.breasts] == [Laterality.LEFT, None]
    assert result.score == max(i.score for i in result.instances if i.score is not None)


def test_what_is_not_a_mammogram_makes_no_breast(analyser: Analyser, tmp_path: Path) -> None:
    other = SourceInstance(
        path=write(mammogram(ImageLaterality=None, Modality="CT"), tmp_path),
        dataset_sha256="0" * 64,
        triage_reason=TriageReason.NOT_MAMMOGRAPHY,
        triage_detail="Modality (0008,0060) CT",
    )

    result = analyse(analyser, [other, source(mammogram(seed=4), tmp_path)])

    assert [b.laterality for b in result.breasts] == [Laterality.RIGHT]


def test_a_large_image_has_a_preview_of_its_shape_and_regions_on_its_own_grid(
    analyser: Analyser, tmp_path: Path
) -> None:
    rows, columns = 2000, 1500
    ds = mammogram(rows=rows, columns=columns, lesion=lesion_in("R", rows=rows, columns=columns))

    (instance,) = analyse(analyser, [source(ds, tmp_path)]).instances

    assert instance.preview is not None
    assert instance.preview.shape == (PREVIEW_SIZE_PX, PREVIEW_SIZE_PX * columns // rows)
    assert instance.preview.max() == np.round(0.9 * 255)
    assert instance.preview[:10].max() == 0
    assert instance.regions
    for region in instance.regions:
        assert 0 <= region.top < region.bottom <= rows
        assert 0 <= region.left < region.right <= columns


def test_progress_is_told_once_for_each_image(analyser: Analyser, tmp_path: Path) -> None:
    calls: list[None] = []

    analyser.analyse(
        study_instance_uid=uid("study"),
        revision=1,
        closed_at=CLOSED_AT,
        sources=[source(ds, tmp_path) for ds in screening_study(seed=9)],
        on_image=lambda: calls.append(None),
    )

    assert len(calls) == 4


def test_a_corrected_patient_stands_in_the_headers_that_results_are_written_from(
    analyser: Analyser, tmp_path: Path
) -> None:
    as_it_came = source(mammogram(), tmp_path)

    result = analyse(analyser, [replace(as_it_came, corrections={"PatientID": "RIGHT"})])

    assert [instance.source.PatientID for instance in result.instances] == ["RIGHT"]
    assert result.instances[0].score is not None


def test_predecessors_and_revision_are_passed_on(analyser: Analyser) -> None:
    predecessor = Predecessor(
        kind=ResultKind.SCORE_REPORT,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        sop_instance_uid="1.2.3",
        series_instance_uid="1.2.4",
    )

    result = analyser.analyse(
        study_instance_uid=uid("study"),
        revision=2,
        closed_at=CLOSED_AT,
        sources=[],
        predecessors=[predecessor],
    )

    assert result.predecessors == (predecessor,)
    assert (result.revision, result.instances, result.breasts) == (2, (), ())


@pytest.mark.parametrize(
    "transfer_syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_a_long_value_and_a_file_that_inflates_take_no_memory_of_the_worker(
    analyser: Analyser, tmp_path: Path, transfer_syntax: str
) -> None:
    ds = mammogram(transfer_syntax=transfer_syntax)
    ds.private_block(0x0009, "TEST", create=True).add_new(1, "OB", bytes(64 * 2**20))
    ds.PixelData = bytes(64 * 2**20)
    given = source(ds, tmp_path)
    tracemalloc.start()

    try:
        (instance,) = analyse(analyser, [given]).instances
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert instance.triage_reason is TriageReason.UNDECODABLE_PIXELS
    assert instance.source.PatientID == ds.PatientID
    # Deflated data are inflated to a file once they are more than 16 MiB.
    assert peak_bytes < 48 * 2**20


def test_a_file_that_is_not_dicom_fails_the_study(analyser: Analyser, tmp_path: Path) -> None:
    path = tmp_path / "text.dcm"
    path.write_text("not DICOM, but longer than a preamble: " + "x" * 200)

    with pytest.raises(PermanentError, match="DICOM file"):
        analyse(analyser, [SourceInstance(path=path, dataset_sha256="0" * 64)])


def test_a_missing_file_fails_the_study(analyser: Analyser, tmp_path: Path) -> None:
    gone = SourceInstance(path=tmp_path / "gone.dcm", dataset_sha256="0" * 64)

    with pytest.raises(PermanentError, match="gone"):
        analyse(analyser, [gone])
