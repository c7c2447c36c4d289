"""Live figures of a simulated year with known truth, against scikit-learn's on the same rows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score

from databases import SqliteLogs
from model.manifest import SHIPPED_WEIGHTS, Interval, describe_weights
from node.outcomes.importing import import_outcomes, read_file
from node.performance.figures import LevelFigures, LevelName, Performance
from node.performance.measure import measure
from node.settings import ModelSettings, Settings
from node.study_log.database import Database
from node.study_log.study_filter import StudyFilter
from node.study_log.tables import Study
from simulated_year import (
    AE_TITLES,
    FIRST_DAY,
    VERSIONS,
    Year,
    draw_year,
    write_outcomes,
    write_studies,
)

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings()
THRESHOLD = describe_weights(SHIPPED_WEIGHTS).operating_point.threshold
EXACT = 1e-12
"""How far a figure may be from scikit-learn's: the last digits of a float."""


@pytest.fixture(scope="module")
def year() -> Year:
    return draw_year()


@pytest.fixture(scope="module")
def log(
    year: Year, sqlite_logs: SqliteLogs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Give a log with the year and its outcomes, imported from a file."""
    folder = tmp_path_factory.mktemp("year")
    database = Database(sqlite_logs.fresh(folder))
    write_studies(year, database)
    write_outcomes(year, folder / "outcomes.csv")
    given = read_file(folder / "outcomes.csv", today=NOW.date())
    import_outcomes(database, given, SETTINGS.outcomes, by="someone", at=NOW)
    yield database
    database.close()


@pytest.fixture(scope="module")
def measured(log: Database) -> Performance:
    return measured_of(log)


def measured_of(
    log: Database, which: StudyFilter | None = None, settings: Settings = SETTINGS
) -> Performance:
    return measure(log, settings, which or StudyFilter(), narrowed_to="", at=NOW)


def rows_of(
    year: Year, level: LevelName, inside: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Give truth and scores of the rows whose outcome is known, from what was drawn."""
    inside = np.ones(len(year.days), np.bool_) if inside is None else inside
    if level is LevelName.STUDY:
        known = inside & year.is_study_known
        return np.asarray(year.is_cancer[known].any(axis=1)), year.study_scores[known]
    known = inside[:, None] & year.is_breast_known
    return year.is_cancer[known], year.scores[known]


def require_same(found: LevelFigures, truth: np.ndarray, scores: np.ndarray) -> None:
    """Compare every figure with scikit-learn's."""
    called = scores >= THRESHOLD
    (spared, false), (missed, true) = confusion_matrix(truth, called)
    counts = found.confusion
    assert (found.rows, found.cancers) == (len(truth), truth.sum())
    assert (counts.true_negatives, counts.false_positives) == (spared, false)
    assert (counts.false_negatives, counts.true_positives) == (missed, true)
    expected = {
        "auc": roc_auc_score(truth, scores),
        "sensitivity": recall_score(truth, called),
        "specificity": recall_score(~truth, ~called),
        "positive_predictive_value": precision_score(truth, called),
        "negative_predictive_value": precision_score(~truth, ~called),
    }
    for name, value in expected.items():
        figure = getattr(found, name)
        assert isinstance(figure, Interval)
        assert figure.value == pytest.approx(value, abs=EXACT), name
        assert figure.low <= figure.value <= figure.high


@pytest.mark.parametrize("level", LevelName)
def test_the_figures_of_a_year_are_those_of_scikit_learn(
    year: Year, measured: Performance, level: LevelName
) -> None:
    require_same(measured.level(level), *rows_of(year, level))


@pytest.mark.parametrize("level", LevelName)
def test_the_calibration_is_that_of_scikit_learn(
    year: Year, measured: Performance, level: LevelName
) -> None:
    truth, scores = rows_of(year, level)
    shares, means = calibration_curve(truth, scores, n_bins=10, strategy="quantile")

    found = measured.level(level).calibration

    assert found is not None
    assert [one.cancer_share.value for one in found.bins] == pytest.approx(shares, abs=EXACT)
    assert [one.mean_score for one in found.bins] == pytest.approx(means, abs=EXACT)
    sizes = np.array([one.rows for one in found.bins])
    error = float((sizes * np.abs(shares - means)).sum() / sizes.sum())
    assert found.error == pytest.approx(error, abs=EXACT)
    assert found.expected == pytest.approx(scores.mean(), abs=EXACT)
    assert found.observed.value == pytest.approx(truth.mean(), abs=EXACT)


@pytest.mark.parametrize("place", range(2))
def test_the_figures_of_an_ae_title_are_those_of_its_rows(
    year: Year, log: Database, measured: Performance, place: int
) -> None:
    inside = year.ae_title == place
    (one,) = (found for found in measured.by_ae_title if found.value == AE_TITLES[place])
    narrowed = measured_of(log, StudyFilter(calling_ae_title=AE_TITLES[place]))

    assert one.studies == narrowed.verification.studies == inside.sum()
    for level in LevelName:
        truth, scores = rows_of(year, level, inside)
        require_same(one.level(level), truth, scores)
        require_same(narrowed.level(level), truth, scores)


def test_a_model_version_is_measured_alone(year: Year, log: Database) -> None:
    narrowed = measured_of(log, StudyFilter(model_version=VERSIONS[1]))

    require_same(
        narrowed.level(LevelName.BREAST), *rows_of(year, LevelName.BREAST, year.version == 1)
    )
    assert [one.value for one in narrowed.by_model_version] == [VERSIONS[1]]
    assert not any("Several versions" in caution for caution in narrowed.cautions)


def test_months_are_those_of_the_study_and_a_date_range_takes_some(
    year: Year, log: Database, measured: Performance
) -> None:
    assert [one.value for one in measured.by_month] == [
        f"2023-{month:02d}" for month in range(1, 13)
    ]
    assert sum(one.studies for one in measured.by_month) == len(year.days)
    narrowed = measured_of(log, StudyFilter(study_date_from="20230501", study_date_to="20230531"))
    may = (year.days >= 120) & (year.days < 151)
    require_same(narrowed.level(LevelName.STUDY), *rows_of(year, LevelName.STUDY, may))
    assert [one.value for one in narrowed.by_month] == ["2023-05"]


def test_it_is_said_of_how_many_studies_the_outcome_is_known(
    year: Year, measured: Performance
) -> None:
    found, known = measured.verification, year.is_study_known
    called = year.study_scores >= THRESHOLD

    assert (found.studies, found.known) == (len(year.days), known.sum())
    assert (found.called, found.called_known) == (called.sum(), (called & known).sum())
    assert found.partly == (year.is_breast_known.any(axis=1) & ~known).sum()
    assert found.known + found.partly + found.in_conflict + found.without == found.studies
    assert "have no known outcome and are in no figure" in measured.cautions[0]


def test_with_the_prevalence_of_the_site_scores_are_carried_to_it(
    year: Year, log: Database, measured: Performance
) -> None:
    settings = Settings(model=ModelSettings(prevalence=0.003))
    calibration = describe_weights(SHIPPED_WEIGHTS).calibration

    carried = measured_of(log, settings=settings)

    _, scores = rows_of(year, LevelName.BREAST)
    found, before = (one.level(LevelName.BREAST) for one in (carried, measured))
    assert found.calibration is not None
    expected = np.mean([calibration.at_prevalence(score, 0.003) for score in scores])
    assert found.calibration.expected == pytest.approx(expected, abs=EXACT)
    assert (found.auc, found.sensitivity) == (before.auc, before.sensitivity)
    assert not any("prevalence is not set" in caution for caution in carried.cautions)


def test_months_that_no_follow_up_can_have_reached_are_said_to_be_too_recent(
    log: Database,
) -> None:
    soon = datetime(2024, 6, 1, tzinfo=UTC)

    early = measure(log, SETTINGS, StudyFilter(), narrowed_to="", at=soon)

    assert [one.value for one in early.by_month if one.is_too_recent] == [
        f"2023-{month:02d}" for month in range(7, 13)
    ]
    assert any("days old: no follow-up can have found" in caution for caution in early.cautions)


def test_the_figures_are_the_same_on_either_database(database: Database, tmp_path: Path) -> None:
    small = draw_year(studies=800, seed=6, prevalence=0.05)
    write_studies(small, database)
    write_outcomes(small, tmp_path / "outcomes.csv")
    given = read_file(tmp_path / "outcomes.csv", today=NOW.date())
    import_outcomes(database, given, SETTINGS.outcomes, by="someone", at=NOW)
    inside = (small.ae_title == 0) & (small.days >= 59)
    which = StudyFilter(calling_ae_title="*1", study_date_from="20230301", model_version="1.?.0")

    for level in LevelName:
        require_same(measured_of(database).level(level), *rows_of(small, level))
        require_same(measured_of(database, which).level(level), *rows_of(small, level, inside))


def test_weights_that_are_gone_have_no_call_by_breast(
    year: Year, sqlite_logs: SqliteLogs, tmp_path: Path
) -> None:
    small = draw_year(studies=600, seed=4)
    database = Database(sqlite_logs.fresh(tmp_path))
    write_studies(small, database, known_weights=False)
    write_outcomes(small, tmp_path / "outcomes.csv")
    given = read_file(tmp_path / "outcomes.csv", today=NOW.date())
    import_outcomes(database, given, SETTINGS.outcomes, by="someone", at=NOW)

    found = measured_of(database)

    breast, study = (found.level(level) for level in LevelName)
    assert (breast.called_rows, breast.specificity) == (0, None)
    assert study.called_rows == study.rows
    assert any("operating point is not known" in caution for caution in found.cautions)
    database.close()


def test_too_few_rows_make_no_figure(sqlite_logs: SqliteLogs, tmp_path: Path) -> None:
    few = draw_year(studies=60, seed=3)
    database = Database(sqlite_logs.fresh(tmp_path))
    write_studies(few, database)
    none = measured_of(database)
    write_outcomes(few, tmp_path / "outcomes.csv")
    given = read_file(tmp_path / "outcomes.csv", today=NOW.date())
    import_outcomes(database, given, SETTINGS.outcomes, by="someone", at=NOW)

    found = measured_of(database).level(LevelName.STUDY)

    assert none.verification.known == 0
    (caution,) = none.cautions
    assert caution.startswith("No study here has a known outcome yet: there is nothing to measure.")
    assert found.cancers < 5
    assert (found.auc, found.sensitivity, found.calibration, found.roc) == (None,) * 4
    assert found.specificity is not None
    database.close()


def test_a_study_without_a_date_belongs_to_no_month(
    year: Year, sqlite_logs: SqliteLogs, tmp_path: Path
) -> None:
    small = draw_year(studies=40, seed=4)
    database = Database(sqlite_logs.fresh(tmp_path))
    write_studies(small, database)
    with database.writing() as session:
        study = session.get(Study, 1)
        assert study is not None
        study.study_date = ""

    months = measured_of(database).by_month

    assert (months[-1].value, months[-1].studies, months[-1].is_too_recent) == ("no date", 1, False)
    assert f"{FIRST_DAY:%Y-%m}" == months[0].value
    database.close()
