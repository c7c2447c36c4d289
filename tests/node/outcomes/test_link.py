"""Which studies an outcome is about, and what is known of a breast in the end."""

import pytest

from node.outcomes.link import LinkedBreast, Unmatched, link
from node.settings import OutcomeSettings
from node.study_log.outcomes import LoggedStudy, Outcome
from node.study_log.tables import OutcomeResult
from outcome_logs import biopsy, follow_up, logged

RULES = OutcomeSettings()


def breast_of(outcomes: list[Outcome], *studies: LoggedStudy) -> LinkedBreast:
    """Link, and give the one breast that is linked."""
    (study,) = link(outcomes, studies or [logged()], RULES).studies
    (breast,) = study.breasts
    return breast


def reason(outcome: Outcome, *studies: LoggedStudy) -> Unmatched:
    """Link one outcome that is about no study, and give the reason."""
    links = link([outcome], studies, RULES)
    assert links.studies == ()
    ((_, why),) = links.unmatched
    return why


@pytest.mark.parametrize("day", [0, 1, 365])
def test_histopathology_is_about_a_study_up_to_a_year_before_it(day: int) -> None:
    assert breast_of([biopsy(day=day)]).is_cancer is True
    assert breast_of([biopsy("benign", day=day)]).is_cancer is False


@pytest.mark.parametrize("day", [330, 2000])
def test_follow_up_is_about_a_study_eleven_months_before_it_or_more(day: int) -> None:
    assert breast_of([follow_up(day=day)]).result is OutcomeResult.NEGATIVE


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (biopsy(day=366), Unmatched.OUTSIDE_WINDOW),
        (follow_up(day=329), Unmatched.OUTSIDE_WINDOW),
        (biopsy(day=-1), Unmatched.BEFORE_STUDIES),
        (follow_up(day=-400), Unmatched.BEFORE_STUDIES),
        (biopsy(patient_id="Q"), Unmatched.UNKNOWN_PATIENT),
        (biopsy(issuer_of_patient_id="X"), None),
    ],
)
def test_what_is_about_no_study_says_why(outcome: Outcome, why: Unmatched | None) -> None:
    if why is None:
        assert breast_of([outcome]).is_cancer is True
    else:
        assert reason(outcome, logged()) is why


def test_a_study_without_a_date_is_in_no_window() -> None:
    undated = LoggedStudy(
        **{name: getattr(logged(), name) for name in LoggedStudy.__slots__ if name != "study_date"},
        study_date=None,
    )

    assert reason(biopsy(), undated) is Unmatched.OUTSIDE_WINDOW


def test_a_breast_without_a_score_is_linked_to_nothing() -> None:
    not_yet = logged(score=None, score_right=None, score_left=None, revision_id=None)

    assert reason(biopsy(), not_yet) is Unmatched.NOT_ANALYSED
    assert reason(biopsy(laterality="L"), logged(score_left=None)) is Unmatched.NOT_ANALYSED


def test_an_outcome_is_about_every_study_in_its_window() -> None:
    """Between the screening study and the biopsy lies a diagnostic one: the cancer was in both."""
    screening, diagnostic, years_ago = logged(1), logged(2, day=14), logged(3, day=-700)

    links = link([biopsy()], [screening, diagnostic, years_ago], RULES)

    assert [study.study.id for study in links.studies] == [1, 2]


def test_histopathology_beats_follow_up() -> None:
    breast = breast_of([follow_up(), biopsy("malignant", day=300)])

    assert breast.is_cancer is True
    assert [outcome.source.value for outcome in breast.deciding] == ["histopathology"]


def test_two_histologies_that_disagree_are_a_conflict_and_count_as_neither() -> None:
    links = link([biopsy("benign", day=10), biopsy("malignant", day=30)], [logged()], RULES)

    (breast,) = links.conflicts
    assert (breast.result, breast.is_cancer) == (None, None)
    assert links.studies[0].is_cancer is None


def test_two_that_agree_are_no_conflict() -> None:
    assert breast_of([biopsy(day=10), biopsy(day=30)]).is_cancer is True


def test_each_breast_has_its_own_outcome() -> None:
    links = link([biopsy(laterality="L"), follow_up(laterality="R")], [logged()], RULES)

    assert [(one.laterality, one.is_cancer) for one in links.studies[0].breasts] == [
        ("R", False),
        ("L", True),
    ]


@pytest.mark.parametrize(
    ("outcomes", "is_cancer"),
    [
        ([biopsy(laterality="L")], True),
        ([follow_up(laterality="R")], None),
        ([follow_up(laterality="R"), follow_up(laterality="L")], False),
        ([biopsy("benign", laterality="R"), follow_up(laterality="L")], False),
    ],
)
def test_a_study_has_no_cancer_only_if_that_is_known_of_both_breasts(
    outcomes: list[Outcome], is_cancer: bool | None
) -> None:
    assert link(outcomes, [logged()], RULES).studies[0].is_cancer is is_cancer


def test_of_a_study_of_one_breast_that_breast_is_enough() -> None:
    assert link([follow_up()], [logged(score_left=None)], RULES).studies[0].is_cancer is False


def test_one_patient_id_of_two_issuers_is_never_guessed() -> None:
    one, other = logged(1, issuer_of_patient_id="X"), logged(2, issuer_of_patient_id="Y")

    assert reason(biopsy(), one, other) is Unmatched.SEVERAL_ISSUERS
    assert breast_of([biopsy(issuer_of_patient_id="Y")], one, other).study.id == 2
    assert reason(biopsy(issuer_of_patient_id="Z"), one, other) is Unmatched.UNKNOWN_PATIENT


def test_a_study_without_an_issuer_is_hers_as_long_as_there_is_no_other_issuer() -> None:
    nameless, named, other = (
        logged(1),
        logged(2, issuer_of_patient_id="X"),
        logged(3, issuer_of_patient_id="Y"),
    )
    outcome = biopsy(issuer_of_patient_id="X")

    assert len(link([outcome], [nameless, named], RULES).studies) == 2
    assert len(link([outcome], [nameless, named, other], RULES).studies) == 1
    assert reason(biopsy(), nameless, named) is Unmatched.SEVERAL_ISSUERS


def test_one_patient_id_of_two_birth_dates_is_never_guessed() -> None:
    one, other = logged(1), logged(2, patient_birth_date="19550101")
    silent = logged(3, patient_birth_date="")

    assert reason(biopsy(), one, other, silent) is Unmatched.SEVERAL_PATIENTS
    assert len(link([biopsy()], [one, silent], RULES).studies) == 2


def test_the_windows_are_those_of_the_settings() -> None:
    rules = OutcomeSettings(diagnosis_within_days=10, negative_after_days=30)

    links = link([biopsy(day=11), follow_up(day=30)], [logged()], rules)

    assert [why for _, why in links.unmatched] == [Unmatched.OUTSIDE_WINDOW]
    assert links.studies[0].breasts[0].is_cancer is False
