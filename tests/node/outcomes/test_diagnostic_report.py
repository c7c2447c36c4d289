"""FHIR diagnostic reports: what is read of them, and what is refused."""

import json
from datetime import date
from typing import Any

import pytest

from node.errors import PermanentError
from node.outcomes.diagnostic_report import CATEGORIES, SNOMED, read_reports
from node.outcomes.rows import GivenFile
from node.study_log.tables import OutcomeResult, OutcomeSource

TODAY = date(2026, 6, 1)
RIGHT, LEFT, BOTH = "73056007", "80248007", "63762007"
MALIGNANT, BENIGN, NEGATIVE = "21594007", "30807003", "260385009"


def concept(code: str, system: str = SNOMED) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], "text": "SECRET words"}


def report(**changes: Any) -> dict[str, Any]:
    """Make a pathology report of one observation; None takes an element away."""
    resource = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "category": [concept("SP", CATEGORIES)],
        "code": {"text": "Breast pathology"},
        "subject": {
            "identifier": {"value": "SECRET-1", "assigner": {"display": "SECRET-ISSUER"}},
            "display": "SECRET^NAME",
        },
        "effectiveDateTime": "2024-05-01T10:30:00+02:00",
        "result": [{"reference": "#o"}],
        "contained": [observation("o", RIGHT, MALIGNANT)],
    }
    return {name: value for name, value in (resource | changes).items() if value is not None}


def observation(name: str, site: str, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "bodySite": concept(site),
        "valueCodeableConcept": concept(code),
    }


def read(*resources: dict[str, Any]) -> GivenFile:
    return read_reports("\n".join(map(json.dumps, resources)).encode(), today=TODAY)


def refusal(*resources: Any) -> str:
    with pytest.raises(PermanentError) as caught:
        read(*resources)
    assert "SECRET" not in str(caught.value)
    return str(caught.value)


def test_a_report_is_read_by_its_observations() -> None:
    (item,) = read(report()).outcomes

    assert item.row == "report 1"
    assert item.outcome.key == (
        "SECRET-1", "SECRET-ISSUER", "20240501", "R", "histopathology", "malignant",
    )  # fmt: skip


def test_observations_of_both_breasts_give_an_outcome_each() -> None:
    given = read(
        report(
            result=[{"reference": "#o"}, {"reference": "#p"}],
            contained=[observation("o", RIGHT, BENIGN), observation("p", LEFT, MALIGNANT)],
        )
    )

    assert [(item.outcome.laterality, item.outcome.result) for item in given.outcomes] == [
        ("R", OutcomeResult.BENIGN),
        ("L", OutcomeResult.MALIGNANT),
    ]


def test_a_report_without_observations_says_it_by_conclusion_and_specimen() -> None:
    specimen = {"resourceType": "Specimen", "id": "s", "collection": {"bodySite": concept(LEFT)}}

    (item,) = read(
        report(
            result=None,
            conclusionCode=[concept(BENIGN)],
            specimen=[{"reference": "#s"}],
            contained=[specimen],
        )
    ).outcomes

    assert (item.outcome.laterality, item.outcome.result) == ("L", OutcomeResult.BENIGN)


def bundle(patient_id: str) -> dict[str, Any]:
    """Make a Bundle of a patient, who is the first of it, and a report on her."""
    patient = {"resourceType": "Patient", "id": "1", "identifier": [{"value": patient_id}]}
    entries = [patient, report(subject={"reference": "Patient/1"})]
    return {
        "resourceType": "Bundle",
        "entry": [{"resource": resource} for resource in entries],
    }


def test_a_reference_that_means_two_patients_of_the_file_is_refused_and_never_guessed() -> None:
    said = refusal(bundle("SECRET-1"), bundle("SECRET-2"))

    assert "report 1: subject: expected an identifier" in said
    assert "report 2: subject: expected an identifier" in said


def test_two_observations_of_one_name_are_refused() -> None:
    both = [observation("o", RIGHT, BENIGN), observation("o", RIGHT, MALIGNANT)]

    assert "report 1: bodySite" in refusal(report(contained=both))


def test_a_patient_who_is_in_the_file_twice_is_one() -> None:
    given = read(bundle("SECRET-1"), bundle("SECRET-1"))

    assert [item.outcome.patient_id for item in given.outcomes] == ["SECRET-1"] * 2


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "preliminary"])
def test_a_report_with_an_observation_that_does_not_hold_is_passed_over_and_named(
    status: str,
) -> None:
    withdrawn = observation("p", LEFT, MALIGNANT) | {"status": status}

    given = read(
        report(
            result=[{"reference": "#o"}, {"reference": "#p"}],
            contained=[observation("o", RIGHT, BENIGN), withdrawn],
        )
    )

    assert given.outcomes == ()
    assert given.passed_over == (
        ("report 1", "of an Observation the status is none of final, amended, corrected"),
    )


@pytest.mark.parametrize("sign", ["\u2028", "\u0085"])
def test_a_sign_that_ends_lines_elsewhere_ends_no_line_of_the_file(sign: str) -> None:
    lines = [json.dumps(report(conclusion=f"a{sign}b"), ensure_ascii=False)] * 2

    given = read_reports("\r\n".join(lines).encode(), today=TODAY)

    assert len(given.outcomes) == 2


def test_a_negative_follow_up_of_both_breasts_gives_two_outcomes() -> None:
    given = read(
        report(
            category=[concept("RAD", CATEGORIES)],
            contained=[observation("o", BOTH, NEGATIVE)],
        )
    )

    assert [item.outcome.source for item in given.outcomes] == [OutcomeSource.FOLLOW_UP] * 2


def test_a_bundle_has_patient_and_observations_beside_the_report() -> None:
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"value": "A-7"}]}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": patient},
            {"resource": observation("o9", LEFT, BENIGN)},
            {
                "resource": report(
                    subject={"reference": "urn:uuid:1"},
                    result=[{"reference": "Observation/o9"}],
                    contained=None,
                )
            },
        ],
    }

    (item,) = read(bundle).outcomes

    assert (item.outcome.patient_id, item.outcome.issuer_of_patient_id) == ("A-7", "")
    assert item.outcome.laterality == "L"


def test_one_resource_a_line_is_read_and_other_resources_are_passed_over() -> None:
    given = read(
        report(), {"resourceType": "Patient", "id": "x"}, report(effectiveDateTime="2024-06-01")
    )

    assert (given.rows, len(given.outcomes)) == (2, 2)


@pytest.mark.parametrize("status", ["preliminary", "entered-in-error", None])
def test_a_report_that_is_not_final_is_passed_over_and_said_to_be(status: str | None) -> None:
    given = read(report(status=status), report())

    assert len(given.outcomes) == 1
    assert [row for row, _ in given.passed_over] == ["report 1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"category": [concept("LAB", CATEGORIES)]}, "report 2: category: expected one code of SP"),
        ({"category": None}, "category"),
        ({"subject": {"display": "SECRET"}}, "subject: expected an identifier"),
        ({"subject": {"identifier": {"value": ""}}}, "patient_id: expected one"),
        ({"subject": ["SECRET"]}, "subject: expected an identifier"),
        ({"effectiveDateTime": None}, "effectiveDateTime: expected a day"),
        ({"effectiveDateTime": "2024"}, "date: expected a day"),
        ({"result": [{"reference": "#none"}]}, "bodySite: expected one code"),
        ({"result": None}, "expected Observations of the file"),
        ({"contained": [observation("o", RIGHT, "SECRET")]}, "for the result"),
        ({"contained": [observation("o", "SECRET", BENIGN)]}, "bodySite: expected one code"),
        ({"contained": [observation("o", BOTH, BENIGN)]}, "one row for each breast"),
        ({"contained": "SECRET"}, "bodySite"),
    ],
)
def test_a_report_that_is_not_understood_is_named_and_not_quoted(
    changes: dict[str, Any], said: str
) -> None:
    assert said in refusal(report(), report(**changes))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "line 1 is none"),
        (b'{"resourceType": "Patient"}', "Expected a FHIR DiagnosticReport"),
        (b"[1, 2]", "found JSON that is none"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "Expected UTF-8"),
    ],
)
def test_what_holds_no_report_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        read_reports(data, today=TODAY)
