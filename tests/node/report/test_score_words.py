import pytest

import study_results
from node.report.score_words import score_words


def test_a_score_is_said_with_its_operating_point() -> None:
    words = score_words(study_results.positive(), 0.866)

    assert words.sentence == "AI malignancy score 0.87, at or above operating point 0.40"
    assert words.percent == pytest.approx(86.6)


def test_a_score_below_the_operating_point_is_not_called_benign() -> None:
    words = score_words(study_results.normal(), 0.05)

    assert words.sentence == "AI malignancy score 0.05, below operating point 0.40"


def test_where_the_prevalence_is_known_the_score_is_a_probability() -> None:
    words = score_words(study_results.with_prevalence(), 0.62)

    # Odds 0.62/0.38 at 25 %, times (0.006/0.994)/(0.25/0.75): 0.02955, 2.87 %.
    assert words.sentence == "Probability of cancer (AI) 2.9 %, at or above operating point 1.2 %"
    assert words.percent == pytest.approx(2.87, abs=0.005)


@pytest.mark.parametrize(("score", "is_called"), [(0.39999, False), (0.4, True), (1.0, True)])
def test_a_score_is_called_at_or_above_the_operating_point(score: float, is_called: bool) -> None:
    assert score_words(study_results.normal(), score).is_called is is_called


def test_a_score_just_below_the_operating_point_reads_as_another_number() -> None:
    words = score_words(study_results.normal(), 0.3996)

    assert words.sentence == "AI malignancy score 0.3996, below operating point 0.4000"


def test_a_score_stands_on_a_scale_from_0_to_1() -> None:
    words = score_words(study_results.normal(), 0.25)

    assert (words.scale_end, words.share, words.operating_share) == ("1", 0.25, 0.4)


def test_a_probability_stands_on_a_scale_in_percent_that_shows_the_operating_point() -> None:
    words = score_words(study_results.with_prevalence(), 0.62)

    # 2.87 % and the operating point of 1.19 % on a scale that ends at 5 %.
    assert words.scale_end == "5 %"
    assert words.share == pytest.approx(0.574, abs=0.001)
    assert words.operating_share == pytest.approx(0.239, abs=0.001)


def test_a_probability_beyond_the_scale_is_at_its_end() -> None:
    assert score_words(study_results.with_prevalence(), 0.99).share == 1.0
