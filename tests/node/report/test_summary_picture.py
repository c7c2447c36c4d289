from dataclasses import replace

import numpy as np
import pytest

import phantoms
import study_results
from node.errors import TriageReason
from node.report.summary_picture import COLUMNS, ROWS, draw_summary, hung
from node.results import InstanceResult, StudyResult, UInt8Array

AMBER = (255, 184, 77)
RIGHT_PANEL = np.s_[130:1300, :340]
LEFT_PANEL = np.s_[130:1300, -340:]
HEAD = np.s_[:120, :]
FOOT = np.s_[-130:, :]
# The pictures of the four places, without the strips above them.
PLACES = {
    "R CC": np.s_[170:716, 362:918],
    "L CC": np.s_[170:716, 922:1478],
    "R MLO": np.s_[762:1306, 362:918],
    "L MLO": np.s_[762:1306, 922:1478],
}


def changed(one: UInt8Array, other: UInt8Array) -> set[str]:
    """Name the parts of the page in which two pages differ."""
    parts: dict[str, tuple[slice, ...]] = {
        "head": HEAD,
        "foot": FOOT,
        "right": RIGHT_PANEL,
        "left": LEFT_PANEL,
        **PLACES,
    }
    return {name for name, part in parts.items() if not np.array_equal(one[part], other[part])}


def with_score(result: StudyResult, number: int, score: float) -> StudyResult:
    """Give one image another score, as another heat map strength would not."""
    instances = list(result.instances)
    instances[number] = replace(instances[number], score=score)
    return study_results.study(*instances)


def is_amber(part: UInt8Array) -> bool:
    return bool((part == AMBER).all(axis=2).any())


@pytest.mark.parametrize("study", ["positive", "one_view", "films", "all_triaged", "unknown_side"])
def test_every_page_has_the_same_size(study: str) -> None:
    page = draw_summary(study_results.STUDIES[study]())

    assert page.shape == (ROWS, COLUMNS, 3)
    assert page.dtype == np.uint8


@pytest.mark.parametrize(
    "study", ["positive", "with_prevalence", "failed", "all_triaged", "unknown_side"]
)
def test_nothing_stands_in_the_upper_corners_where_viewers_write(study: str) -> None:
    result = study_results.STUDIES[study]()
    if result.failure:
        result = replace(result, failure="a reason of many words " * 20)

    page = draw_summary(result)

    for corner in (page[:120, :340], page[:120, -340:]):
        assert (corner == corner[0, 0]).all()
    assert (page[:120, 340:-340] != page[0, 0]).any()


def test_nothing_stands_in_the_lower_left_corner_where_viewers_write() -> None:
    weights = study_results.manifest(name="a-very-long-name-of-weights-with-hyphens-in-it")
    result = study_results.study(*study_results.positive().instances, weights=weights)

    page = draw_summary(result)

    corner = page[FOOT][:, :340]
    assert (corner == corner[0, 0]).all()
    assert changed(page, draw_summary(study_results.positive())) == {"foot"}


@pytest.mark.parametrize("study", ["normal", "oddly_stored"])
def test_right_and_left_views_hang_back_to_back(study: str) -> None:
    page = draw_summary(study_results.STUDIES[study]())

    for right, left in (("R CC", "L CC"), ("R MLO", "L MLO")):
        one, other = (page[PLACES[name]].max(axis=(0, 2)) > 40 for name in (right, left))
        # Tissue from the middle of the page on, air at the outer edges.
        assert one[-20:].all()
        assert other[:20].all()
        assert not one[:60].any()
        assert not other[-60:].any()


def test_an_image_hangs_in_the_place_of_its_view() -> None:
    full = study_results.normal()

    for number, place in enumerate(PLACES):
        others = [i for n, i in enumerate(full.instances) if n != number]
        page = draw_summary(study_results.study(*others))

        found = changed(draw_summary(full), page)
        assert found & set(PLACES) == {place}


def test_of_two_images_of_a_view_the_more_suspicious_hangs() -> None:
    result = study_results.eight_views()

    right_cc, left_cc, right_mlo, left_mlo = hung(result)

    assert right_cc is result.instances[4]
    assert (left_cc, right_mlo, left_mlo) == result.instances[1:4]


def test_another_view_of_the_breast_stands_in_where_a_standard_one_is_missing() -> None:
    source = phantoms.mammogram(view_position="ML", ViewCodeSequence=None)
    lateral = study_results.analysed(source, score=0.1)

    places = hung(study_results.study(lateral))

    assert places == (None, None, lateral, None)


def test_an_image_that_could_not_be_analysed_keeps_its_place_empty_with_the_reason() -> None:
    first, second, *_ = phantoms.screening_study()
    seen = study_results.analysed(first, score=0.1)
    pages = [
        draw_summary(study_results.study(seen, *more))
        for more in (
            [],
            [study_results.triaged(second)],
            [study_results.triaged(second, TriageReason.NO_BREAST_FOUND)],
        )
    ]

    assert "L CC" in changed(pages[0], pages[1])
    assert "L CC" in changed(pages[1], pages[2])


def test_breast_and_study_stand_out_where_they_are_called() -> None:
    page = draw_summary(study_results.positive())

    assert is_amber(page[RIGHT_PANEL])
    assert not is_amber(page[LEFT_PANEL])
    assert is_amber(page[HEAD])


def test_below_the_operating_point_only_the_disclaimer_stands_out() -> None:
    page = draw_summary(study_results.normal())

    assert is_amber(page[FOOT])
    assert not is_amber(page[:-130])


def test_a_score_changes_its_breast_and_the_study_and_no_picture() -> None:
    before = study_results.normal()

    after = with_score(before, 1, 0.35)

    assert changed(draw_summary(before), draw_summary(after)) == {"head", "left"}


def test_an_image_of_unknown_side_is_counted_and_hung_nowhere() -> None:
    known = study_results.normal()
    (unknown,) = study_results.unknown_side().instances

    joined = study_results.study(*known.instances, unknown)

    assert hung(joined) == hung(known)
    found = changed(draw_summary(known), draw_summary(joined))
    assert "head" in found
    assert not found & set(PLACES)


def test_a_breast_with_more_images_than_the_panel_has_lines_stays_inside_it() -> None:
    def image(number: int) -> InstanceResult:
        return study_results.triaged(phantoms.mammogram(instance_number=number))

    page = draw_summary(study_results.study(*(image(number) for number in range(1, 40))))

    # Between the panel's text and the foot nothing is written.
    assert (page[1290:1308, :340] == page[1308, 0]).all()


def test_the_page_holds_nothing_of_the_patient() -> None:
    one = study_results.positive(PatientName="A^B", PatientID="1", AccessionNumber="1")
    other = study_results.positive(PatientName="C^D", PatientID="2", AccessionNumber="2")

    assert np.array_equal(draw_summary(one), draw_summary(other))
