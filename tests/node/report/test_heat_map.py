import io
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import phantoms
import study_results
from node.report.heat_map import write_heat_maps
from node.report.overlay import COLUMNS, draw_overlay
from node.report.overlay_panel import ROWS
from node.results import StudyResult


def written(result: StudyResult) -> list[Dataset]:
    """Write the heat maps and read them back."""
    return [
        dcmread(io.BytesIO(phantoms.to_bytes(made.dataset))) for made in write_heat_maps(result)
    ]


def test_each_analysed_view_has_one_in_the_same_series() -> None:
    result = study_results.partly_triaged()

    made = write_heat_maps(result)

    assert [m.source_sop_instance_uid for m in made] == [
        i.sop_instance_uid for i in result.analysed
    ]
    assert [m.index for m in made] == [0, 1]
    assert len({m.dataset.SeriesInstanceUID for m in made}) == 1
    assert len({m.dataset.SOPInstanceUID for m in made}) == 2


def test_without_an_analysed_view_there_is_none() -> None:
    assert write_heat_maps(study_results.all_triaged()) == []


def test_its_pixels_are_the_overlay() -> None:
    result = study_results.one_view()

    (ds,) = written(result)

    assert (ds.Rows, ds.Columns) == (ROWS, COLUMNS[result.form.heat_map])
    assert ds.PhotometricInterpretation == "RGB"
    assert np.array_equal(ds.pixel_array, draw_overlay(result, result.instances[0]))


def test_all_views_of_a_study_have_the_same_size_and_attributes() -> None:
    first, second, third, fourth = phantoms.screening_study()
    larger = phantoms.mammogram(laterality="L", view_position="CC", rows=300, columns=290)
    views = (first, larger, third, fourth)
    assert second.Rows != larger.Rows
    result = study_results.study(*(study_results.analysed(ds, score=0.5) for ds in views))

    found = written(result)

    assert len({(ds.Rows, ds.Columns) for ds in found}) == 1
    assert len({tuple(ds.keys()) for ds in found}) == 1


def test_it_says_what_it_is_and_where_it_comes_from() -> None:
    result = study_results.positive()

    ds = written(result)[2]

    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert ds.Modality == "OT"
    assert ds.ConversionType == "WSD"
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY"]
    assert ds.BurnedInAnnotation == "YES"
    assert ds.RecognizableVisualFeatures == "NO"
    assert ds.LossyImageCompression == "00"
    assert "Grad-CAM of phantom-net 1.2.0" in ds.DerivationDescription
    assert "not for diagnostic use" in ds.DerivationDescription
    (source,) = ds.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == result.instances[2].sop_instance_uid
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


def test_side_view_and_orientation_are_those_of_the_source() -> None:
    ds = written(study_results.positive())[2]

    assert ds.ImageLaterality == "R"
    assert ds.ViewCodeSequence[0].CodeValue == "399368009"
    assert list(ds.PatientOrientation) == ["P", "FL"]


def test_what_was_turned_says_so_and_has_the_orientation_of_what_is_drawn() -> None:
    mirrored, turned, on_its_side, unsaid = written(study_results.oddly_stored())

    assert list(mirrored.PatientOrientation) == ["P", "L"]
    assert list(turned.PatientOrientation) == ["A", "R"]
    assert list(on_its_side.PatientOrientation) == ["P", "FL"]
    assert not unsaid.PatientOrientation
    assert "source image, mirrored, with" in mirrored.DerivationDescription
    assert "source image, turned by 180 degrees, with" in turned.DerivationDescription
    assert "turned by 90 degrees clockwise and mirrored" in on_its_side.DerivationDescription
    assert "source image, mirrored, with" in unsaid.DerivationDescription


def test_what_hangs_as_it_is_stored_says_nothing_of_a_turn() -> None:
    for ds in written(study_results.positive()):
        assert "source image, with score" in ds.DerivationDescription


def test_turned_views_have_the_size_and_attributes_of_others() -> None:
    turned, others = written(study_results.oddly_stored()), written(study_results.positive())

    assert len({(ds.Rows, ds.Columns, tuple(ds.keys())) for ds in [*turned, *others]}) == 1


def test_the_view_is_kept_without_its_modifiers() -> None:
    source = phantoms.mammogram()
    rolled = phantoms.code("399197002", "SCT", "Rolled lateral")
    source.ViewCodeSequence[0].ViewModifierCodeSequence = [rolled]
    result = study_results.study(study_results.analysed(source, score=0.5))

    (ds,) = written(result)

    assert ds.ViewCodeSequence[0].CodeValue == "399162004"
    assert "ViewModifierCodeSequence" not in ds.ViewCodeSequence[0]


def test_a_film_gets_a_view_code_and_no_orientation() -> None:
    cc, mlo = written(study_results.films())

    assert cc.ViewCodeSequence[0].CodeValue == "399162004"
    assert mlo.ViewCodeSequence[0].CodeValue == "399368009"
    assert not cc.PatientOrientation
    assert "LossyImageCompression" not in cc


def test_lossy_compression_of_the_source_is_owned_up_to() -> None:
    source = phantoms.mammogram(
        LossyImageCompression="01",
        LossyImageCompressionRatio="12.5",
        LossyImageCompressionMethod="ISO_15444_1",
    )
    result = study_results.study(study_results.analysed(source, score=0.5))

    (ds,) = written(result)

    assert ds.LossyImageCompression == "01"
    assert float(ds.LossyImageCompressionRatio) == 12.5
    assert ds.LossyImageCompressionMethod == "ISO_15444_1"


def test_what_nobody_says_is_not_invented() -> None:
    (ds,) = written(study_results.unknown_side())

    assert "ImageLaterality" not in ds
    assert "ViewCodeSequence" not in ds


@pytest.mark.parametrize("position", [0, 4])
def test_a_late_view_changes_neither_number_nor_uid_of_the_others(position: int) -> None:
    early = study_results.positive()
    late = study_results.analysed(
        phantoms.mammogram(view_position="ML", instance_number=7), score=0.2
    )
    instances = [*early.instances]
    instances.insert(position, late)

    before = {ds.SOPInstanceUID: ds.InstanceNumber for ds in written(early)}
    after = {
        ds.SOPInstanceUID: ds.InstanceNumber
        for ds in written(replace(early, instances=tuple(instances)))
    }

    assert list(before.values()) == [1, 2, 3, 4]
    assert before.items() <= after.items()
    assert len(set(after.values())) == 5
