import phantoms
import study_results
from node.report import provenance
from node.report.regions import centre, outline, tracking_identifier


def test_the_centre_of_a_region_lies_inside_its_outline() -> None:
    image = study_results.positive().instances[2]
    for region in image.regions:
        corners, (point,) = outline(region), centre(region)

        assert (corners[0] == corners[-1]).all()
        assert (corners.min(axis=0) < point).all()
        assert (point < corners.max(axis=0)).all()


def test_a_region_is_called_by_its_view_and_number() -> None:
    image = study_results.positive().instances[2]

    assert tracking_identifier(image, 2) == "AI R MLO 2"


def test_every_region_of_a_study_has_a_uid_of_its_own_that_a_late_image_leaves_alone() -> None:
    early = study_results.positive()
    late = study_results.analysed(phantoms.mammogram(instance_number=9), score=0.9)
    joined = study_results.study(*early.instances, late)

    before, after = (
        [
            provenance.region_uid(result, image, number)
            for image in result.instances
            for number, _ in enumerate(image.regions, start=1)
        ]
        for result in (early, joined)
    )

    assert len(before) == 4
    assert after[:4] == before
    assert len(set(after)) == len(after) == 6
