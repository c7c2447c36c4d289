import io
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

import phantoms
import study_results
from node.report.measurement_report import write_measurement_report
from node.report.presentation_state import write_presentation_states
from node.results import StudyResult


def written(result: StudyResult) -> list[Dataset]:
    """Write the presentation states and read them back."""
    return [
        dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))
        for made in write_presentation_states(result)
    ]


def of(source: Dataset) -> Dataset:
    """Write the presentation state of one view above the operating point."""
    (ds,) = written(study_results.study(study_results.analysed(source, score=0.7)))
    return ds


def lut(entries: list[int], first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.LUTExplanation = "a curve"
    item.add_new("LUTData", "US", entries)
    return item


def test_each_view_with_a_region_has_one() -> None:
    result = study_results.positive()

    made = write_presentation_states(result)

    marked = [i.sop_instance_uid for i in result.instances if i.regions]
    assert [m.source_sop_instance_uid for m in made] == marked
    for m in made:
        (series,) = m.dataset.ReferencedSeriesSequence
        (image,) = series.ReferencedImageSequence
        assert image.ReferencedSOPInstanceUID == m.source_sop_instance_uid


def test_without_a_region_there_is_none() -> None:
    assert write_presentation_states(study_results.normal()) == []
    assert write_presentation_states(study_results.all_triaged()) == []


def test_a_source_in_colour_has_none() -> None:
    result = study_results.one_view()
    result.instances[0].source.PhotometricInterpretation = "RGB"

    assert write_presentation_states(result) == []


def test_a_region_is_drawn_on_the_pixels_of_its_view() -> None:
    result = study_results.positive()
    image = result.instances[0]

    (annotation,) = written(result)[0].GraphicAnnotationSequence

    for graphic, region in zip(annotation.GraphicObjectSequence, image.regions, strict=True):
        points = np.array(graphic.GraphicData).reshape(-1, 2)
        assert graphic.GraphicAnnotationUnits == "PIXEL"
        assert graphic.GraphicType == "POLYLINE"
        assert graphic.NumberOfGraphicPoints == len(points) == 5
        assert tuple(points[0]) == tuple(points[-1])
        assert tuple(points.min(axis=0)) == (region.left, region.top)
        assert tuple(points.max(axis=0)) == (region.right, region.bottom)


def test_a_mark_and_a_measurement_of_the_same_region_have_the_same_tracking_uid() -> None:
    result = study_results.positive()
    (report,) = write_measurement_report(result)
    measured = {
        (group.ContentSequence[0].TextValue, group.ContentSequence[1].UID)
        for container in report.dataset.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeValue == "126010"
        for group in container.ContentSequence
        if group.ValueType == "CONTAINER"
    }

    marked = {
        (graphic.TrackingID, graphic.TrackingUID)
        for ds in written(result)
        for graphic in ds.GraphicAnnotationSequence[0].GraphicObjectSequence
    }

    assert len(marked) == 4
    assert marked == measured


def test_its_text_says_score_and_view_and_that_it_is_not_for_diagnostic_use() -> None:
    ds = written(study_results.positive())[0]

    texts = ds.GraphicAnnotationSequence[0].TextObjectSequence

    assert [text.UnformattedTextValue for text in texts[:-1]] == ["AI R CC 1", "AI R CC 2"]
    foot = texts[-1].UnformattedTextValue
    assert "R CC: AI malignancy score 0.62, at or above operating point 0.40" in foot
    assert "not for diagnostic use" in foot


@pytest.mark.parametrize(
    ("laterality", "justification"),
    [("R", "LEFT"), ("L", "RIGHT")],
)
def test_its_text_keeps_away_from_the_chest_wall(laterality: str, justification: str) -> None:
    ds = of(phantoms.mammogram(laterality=laterality))

    foot = ds.GraphicAnnotationSequence[0].TextObjectSequence[-1]

    assert foot.BoundingBoxTextHorizontalJustification == justification
    left, right = foot.BoundingBoxTopLeftHandCorner[0], foot.BoundingBoxBottomRightHandCorner[0]
    assert 0 <= left < right <= 1
    assert (left + right < 1) == (laterality == "R")


def test_every_series_holds_one_side() -> None:
    sources = phantoms.screening_study()
    result = study_results.study(*(study_results.analysed(ds, score=0.7) for ds in sources))

    sides = {(ds.SeriesInstanceUID, ds.Laterality) for ds in written(result)}

    assert len({uid for uid, _ in sides}) == len(sides) == 2
    assert {side for _, side in sides} == {"R", "L"}


def test_a_side_that_nobody_knows_is_left_empty() -> None:
    (ds,) = written(study_results.unknown_side())

    assert ds.Laterality == ""


def test_a_late_image_leaves_the_others_as_they_are() -> None:
    early = study_results.positive()
    late = study_results.analysed(phantoms.mammogram(instance_number=9), score=0.2)
    joined = study_results.study(*early.instances, late)

    before, after = (
        {ds.SOPInstanceUID: ds.to_json() for ds in written(result)} for result in (early, joined)
    )

    assert before == after


def test_the_window_of_the_source_stays_as_it_is() -> None:
    source = phantoms.mammogram(
        WindowCenter=["1800", "900"],
        WindowWidth=["2500", "1200"],
        WindowCenterWidthExplanation=["NORMAL", "HARDER"],
        VOILUTFunction="SIGMOID",
    )

    (voi,) = of(source).SoftcopyVOILUTSequence

    assert (float(voi.WindowCenter), float(voi.WindowWidth)) == (1800, 2500)
    assert voi.WindowCenterWidthExplanation == "NORMAL"
    assert voi.VOILUTFunction == "SIGMOID"


def test_a_window_that_is_none_is_passed_over() -> None:
    source = phantoms.mammogram(WindowCenter=["0", "900"], WindowWidth=["0", "1200"])

    (voi,) = of(source).SoftcopyVOILUTSequence

    assert (float(voi.WindowCenter), float(voi.WindowWidth)) == (900, 1200)


def test_a_film_without_a_window_gets_none() -> None:
    (ds,) = written(study_results.films())

    assert "SoftcopyVOILUTSequence" not in ds
    assert "RescaleSlope" not in ds
    assert list(ds.DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio) == [1, 1]


@pytest.mark.parametrize("transfer_syntax", [None, ImplicitVRLittleEndian])
@pytest.mark.parametrize("first", [0, -16])
def test_the_voi_lut_of_the_source_goes_before_its_window(
    first: int, transfer_syntax: str | None
) -> None:
    entries = [0, 1000, 40000, 65535]
    source = phantoms.mammogram(PixelRepresentation=int(first < 0))
    source.VOILUTSequence = Sequence([lut(entries, first, 16), lut([0, 1], 0, 16)])
    if transfer_syntax is not None:
        source.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    source = dcmread(io.BytesIO(phantoms.to_bytes(source)))

    (voi,) = of(source).SoftcopyVOILUTSequence

    (item,) = voi.VOILUTSequence
    assert [int(value) for value in item.LUTDescriptor] == [4, first, 16]
    assert np.frombuffer(item.LUTData, "<u2").tolist() == entries
    assert item.LUTExplanation == "a curve"
    assert "WindowCenter" not in voi


def test_a_lut_of_65536_entries_fits() -> None:
    source = phantoms.mammogram()
    full = lut([0], 0, 16)
    full.add_new("LUTDescriptor", "US", [0, 0, 16])
    full.add_new("LUTData", "OW", np.arange(65536, dtype="<u2").tobytes())
    source.VOILUTSequence = Sequence([full])

    (voi,) = of(source).SoftcopyVOILUTSequence

    assert len(voi.VOILUTSequence[0].LUTData) == 2 * 65536
    assert voi.VOILUTSequence[0].LUTDescriptor[0] == 0


def test_the_modality_transformation_of_the_source_is_carried_over() -> None:
    ds = of(phantoms.mammogram(RescaleSlope="2", RescaleIntercept="-5", RescaleType="HU"))

    assert (float(ds.RescaleSlope), float(ds.RescaleIntercept)) == (2, -5)
    assert ds.RescaleType == "HU"


def test_a_modality_lut_goes_before_rescale() -> None:
    source = phantoms.mammogram()
    table = lut(list(range(16)), 0, 8)
    table.ModalityLUTType = "US"
    source.ModalityLUTSequence = Sequence([table])

    ds = of(source)

    assert ds.ModalityLUTSequence[0].ModalityLUTType == "US"
    assert "RescaleSlope" not in ds


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_the_polarity_of_the_source_is_kept(photometric: str, shape: str) -> None:
    assert of(phantoms.mammogram(photometric=photometric)).PresentationLUTShape == shape


def test_a_source_that_is_shown_inverted_stays_inverted() -> None:
    source = phantoms.mammogram(photometric="MONOCHROME2", PresentationLUTShape="INVERSE")

    assert of(source).PresentationLUTShape == "INVERSE"


def test_a_lut_of_a_big_endian_source_is_written_little_endian() -> None:
    entries = np.arange(4096, dtype=">u2")
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 12])
    table.add_new("LUTData", "OW", entries.tobytes())
    source = phantoms.mammogram(transfer_syntax=ExplicitVRBigEndian, VOILUTSequence=[table])

    (item,) = of(source).SoftcopyVOILUTSequence

    written = np.frombuffer(item.VOILUTSequence[0].LUTData, "<u2")
    np.testing.assert_array_equal(written, np.arange(4096))


def test_the_whole_view_is_shown_in_its_own_spacing() -> None:
    source = phantoms.mammogram(rows=200, columns=150, ImagerPixelSpacing=["0.07", "0.085"])

    (area,) = of(source).DisplayedAreaSelectionSequence

    assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]
    assert list(area.DisplayedAreaBottomRightHandCorner) == [150, 200]
    assert [float(size) for size in area.PresentationPixelSpacing] == [0.07, 0.085]


def test_it_is_dated_by_the_close_out() -> None:
    result = study_results.one_view()

    (ds,) = written(replace(result, closed_at=study_results.CLOSED_AT))

    assert ds.PresentationCreationDate == "20240517"
    assert ds.PresentationCreationTime == "103107.250000"
    assert "ContentDate" not in ds
