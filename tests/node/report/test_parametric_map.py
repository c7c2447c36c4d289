import io
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report.parametric_map import LONGEST_SIDE_PX, write_parametric_maps
from node.results import StudyResult


def written(result: StudyResult) -> list[Dataset]:
    """Write the parametric maps and read them back."""
    return [
        dcmread(io.BytesIO(phantoms.to_bytes(made.dataset)))
        for made in write_parametric_maps(result)
    ]


def values(ds: Dataset) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.frombuffer(ds.FloatPixelData, "<f4").reshape(ds.Rows, ds.Columns)


def shared(ds: Dataset, keyword: str) -> Dataset:
    """Give the one item of a shared functional group."""
    item: Dataset
    (item,) = ds.SharedFunctionalGroupsSequence[0][keyword].value
    return item


def test_every_analysed_view_has_its_heat_map_value_by_value() -> None:
    result = study_results.positive()

    maps = written(result)

    assert len(maps) == len(result.analysed)
    for ds, instance in zip(maps, result.analysed, strict=True):
        assert instance.heat_map is not None
        assert np.array_equal(values(ds), instance.heat_map.on_original())
        assert (ds.Rows, ds.Columns) == (instance.source.Rows, instance.source.Columns)
        assert list(map(str, shared(ds, "PixelMeasuresSequence").PixelSpacing)) == ["0.1", "0.1"]
        assert shared(ds, "FrameAnatomySequence").FrameLaterality == instance.laterality


def test_the_values_mean_themselves() -> None:
    ds = written(study_results.positive())[0]

    mapping = shared(ds, "RealWorldValueMappingSequence")
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    (quantity,) = mapping.QuantityDefinitionSequence
    assert quantity.ConceptCodeSequence[0].CodeValue == "130403"
    assert 0.0 <= values(ds).min() < values(ds).max() <= 1.0


def test_a_large_grid_is_reduced_and_keeps_its_size_in_millimetres() -> None:
    view = phantoms.mammogram(rows=2 * LONGEST_SIDE_PX, columns=1500)
    result = study_results.study(study_results.analysed(view, score=0.7))

    (ds,) = written(result)

    assert (ds.Rows, ds.Columns) == (LONGEST_SIDE_PX, 750)
    down_mm, across_mm = shared(ds, "PixelMeasuresSequence").PixelSpacing
    assert down_mm * ds.Rows == pytest.approx(0.1 * 2 * LONGEST_SIDE_PX)
    assert across_mm * ds.Columns == pytest.approx(0.1 * 1500)
    description = shared(ds, "DerivationImageSequence").DerivationDescription
    assert f"reduced from {2 * LONGEST_SIDE_PX} x 1500 to {LONGEST_SIDE_PX} x 750" in description


def test_each_has_a_frame_of_reference_of_its_own_and_says_that_it_is_made_up() -> None:
    maps = written(study_results.positive())

    assert len({ds.FrameOfReferenceUID for ds in maps}) == len(maps)
    assert len({ds.SeriesInstanceUID for ds in maps}) == len(maps)
    for ds in maps:
        description = shared(ds, "DerivationImageSequence").DerivationDescription
        assert "made up" in description
        assert "not for diagnostic use" in description
        assert "made-up frame of reference" in ds.ContentDescription


def test_a_source_that_is_silent_about_compression_had_none() -> None:
    result = study_results.one_view(LossyImageCompression=None)

    (ds,) = written(result)

    # Type 1 in a parametric map (PS3.3 C.8.32.2), type 3 in its source.
    assert ds.LossyImageCompression == "00"


def test_a_film_without_spacing_has_none() -> None:
    assert written(study_results.films()) == []


def test_it_is_the_same_object_in_a_later_revision() -> None:
    first = study_results.positive()
    late = study_results.analysed(phantoms.mammogram(instance_number=9), score=0.2)
    second = replace(first, revision=2, instances=(*first.instances, late))

    uids = [ds.SOPInstanceUID for ds in written(first)]

    assert [ds.SOPInstanceUID for ds in written(second)][: len(uids)] == uids
