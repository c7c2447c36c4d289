import pytest

import study_results
from node.report import structured_report


def test_a_score_is_no_probability_until_the_site_has_set_its_prevalence() -> None:
    result = study_results.positive()

    measurement = structured_report.score_measurement(result, 0.62)

    assert measurement.name.meaning == "AI malignancy score"
    assert measurement.value == 0.62
    assert measurement.unit.value == "1"


def test_a_score_is_carried_over_to_the_prevalence_of_the_site() -> None:
    result = study_results.with_prevalence()

    measurement = structured_report.score_measurement(result, 0.62)

    # Odds 0.62/0.38 at 25 %, times (0.006/0.994)/(0.25/0.75): 0.02955, 2.87 %.
    assert measurement.name.meaning == "Probability of cancer"
    assert measurement.value == pytest.approx(2.87, abs=0.005)
    assert measurement.unit.value == "%"


@pytest.mark.parametrize(("score", "is_called"), [(0.39999, False), (0.4, True), (1.0, True)])
def test_a_score_is_called_at_or_above_the_operating_point(score: float, is_called: bool) -> None:
    assert structured_report.is_called(study_results.normal(), score) is is_called


def test_references_are_grouped_by_series() -> None:
    items = structured_report.references("1.2", [("1.3", "1.4", "1.5"), ("1.3", "1.4", "1.6")])

    series = items[0].ReferencedSeriesSequence
    assert len(items) == len(series) == 1
    found = [item.ReferencedSOPInstanceUID for item in series[0].ReferencedSOPSequence]
    assert found == ["1.5", "1.6"]
