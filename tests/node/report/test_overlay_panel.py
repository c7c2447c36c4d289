from dataclasses import replace

import numpy as np
import pytest

import phantoms
import study_results
from model.views import Laterality
from node.report.overlay_panel import PANEL_COLUMNS, ROWS, draw_panel
from node.results import InstanceResult, StudyResult, UInt8Array

AMBER = (255, 184, 77)


def view(*, score: float = 0.5) -> InstanceResult:
    return study_results.analysed(phantoms.mammogram(), score=score)


def drawn(instance: InstanceResult, result: StudyResult | None = None) -> UInt8Array:
    assert instance.score is not None
    panel = draw_panel(result or study_results.study(instance), instance, instance.score)
    return np.asarray(panel)


def test_the_panel_has_its_size() -> None:
    assert drawn(view()).shape == (ROWS, PANEL_COLUMNS, 3)


@pytest.mark.parametrize("laterality", ["R", None])
def test_nothing_stands_at_the_upper_edge_where_viewers_write(laterality: str | None) -> None:
    panel = drawn(replace(view(), laterality=Laterality(laterality) if laterality else None))

    assert (panel[:72] == panel[0, 0]).all()
    assert (panel[72:140] != panel[0, 0]).any()


@pytest.mark.parametrize(("score", "is_called"), [(0.39, False), (0.4, True)])
def test_a_score_at_the_operating_point_stands_out(score: float, is_called: bool) -> None:
    panel = drawn(view(score=score))

    number = panel[180:320]
    assert (number == AMBER).all(axis=2).any() == is_called


@pytest.mark.parametrize(
    "change",
    [
        {"score": 0.51},
        {"view_position": "MLO"},
        {"laterality": None},
    ],
)
def test_what_is_said_changes_the_panel(change: dict[str, object]) -> None:
    instance = view()
    other = replace(instance, **change)  # type: ignore[arg-type]
    result = study_results.study(instance)

    assert not np.array_equal(drawn(instance, result), drawn(other, result))


def test_a_probability_is_not_shown_as_a_score() -> None:
    result = study_results.with_prevalence()
    instance = result.instances[0]

    as_probability = drawn(instance, result)
    as_score = drawn(instance, replace(result, prevalence=None))

    assert not np.array_equal(as_probability[:370], as_score[:370])


@pytest.mark.parametrize(
    "name", ["a-very-long-name-of-weights-with-hyphens-in-it", "averylongnameofweights" * 3]
)
def test_a_long_name_of_a_model_stays_inside_the_panel(name: str) -> None:
    instance = view()
    weights = study_results.manifest(name=name)

    panel = drawn(instance, study_results.study(instance, weights=weights))

    margin = panel[:, -20:]
    assert (margin == margin[0, 0]).all()
