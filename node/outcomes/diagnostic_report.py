"""Outcomes as FHIR R4 DiagnosticReports: one resource, a Bundle, or one resource a line (NDJSON).

What is read of a report, and nothing else:

``status``
    ``final``, ``amended``, ``corrected`` or ``appended``; one of another status is passed over.
``subject``
    ``identifier``, or a reference to a Patient in the file. Its ``value`` is the Patient ID and its
    ``assigner.display`` the Issuer of Patient ID; its ``system`` is not looked at.
``category``
    A code of HL7's table 0074: SP or PAT for histopathology, RAD or IMG for follow-up.
``effectiveDateTime``
    A day at the least.
``result``, or ``conclusionCode`` and ``specimen``
    Observations in the file, each with a ``bodySite`` and a ``valueCodeableConcept``; or else one
    code for all of the report, and a Specimen in the file with ``collection.bodySite``. A report
    with an Observation that was withdrawn, or is not final, is passed over.

References
----------
HL7 FHIR R4, DiagnosticReport, Observation, Specimen; DICOM PS3.16 CID 6022 and 6063, SNOMED CT.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

from node.errors import PermanentError
from node.outcomes.csv_table import decoded
from node.outcomes.fhir_resources import References, Resource, part_of, parts_of, resources_of
from node.outcomes.rows import Faults, GivenFile, GivenOutcome, outcomes_of
from node.study_log.tables import OutcomeResult, OutcomeSource

SNOMED = "http://snomed.info/sct"
CATEGORIES = "http://terminology.hl7.org/CodeSystem/v2-0074"
HOLDS = ("final", "amended", "corrected")
"""Status of an Observation, and of a DiagnosticReport."""
FINAL = (*HOLDS, "appended")
SOURCES: Mapping[str, OutcomeSource] = MappingProxyType(
    {
        "SP": OutcomeSource.HISTOPATHOLOGY,
        "PAT": OutcomeSource.HISTOPATHOLOGY,
        "RAD": OutcomeSource.FOLLOW_UP,
        "IMG": OutcomeSource.FOLLOW_UP,
    }
)
SIDES: Mapping[str, str] = MappingProxyType({"73056007": "R", "80248007": "L", "63762007": "B"})
"""Right, left and both breasts, CID 6022."""
RESULTS: Mapping[str, OutcomeResult] = MappingProxyType(
    {
        "21594007": OutcomeResult.MALIGNANT,
        "86049000": OutcomeResult.MALIGNANT,
        "30807003": OutcomeResult.BENIGN,
        "260385009": OutcomeResult.NEGATIVE,
        "397140005": OutcomeResult.NEGATIVE,
        "397141009": OutcomeResult.NEGATIVE,
    }
)
"""Malignant; malignant neoplasm, primary; benign (CID 6063); negative; BI-RADS 1; BI-RADS 2."""


def read_reports(data: bytes, *, today: date) -> GivenFile:
    """Read diagnostic reports.

    Parameters
    ----------
    data
        The file: JSON in UTF-8.
    today
        No outcome is of a later day.

    Returns
    -------
    file
        Each DiagnosticReport is a row, counted from 1.

    Raises
    ------
    PermanentError
        If it is no JSON, holds no DiagnosticReport, or one is not accepted; says which and why.
    """
    resources = list(resources_of(decoded(data)))
    there = References(resources)
    reports = [entry for entry in resources if entry.get("resourceType") == "DiagnosticReport"]
    if not reports:
        raise PermanentError(
            reason="Expected a FHIR DiagnosticReport, a Bundle with some, or one resource a line; "
            "found none in the file"
        )
    faults = Faults()
    outcomes: list[GivenOutcome] = []
    passed_over: list[tuple[str, str]] = []
    for number, report in enumerate(reports, 1):
        row = f"report {number}"
        if report.get("status") not in FINAL:
            passed_over.append((row, f"its status is none of {', '.join(FINAL)}"))
            continue
        if not _observations_hold(report, there.of(report)):
            said = f"of an Observation the status is none of {', '.join(HOLDS)}"
            passed_over.append((row, said))
            continue
        for values in _values_of(report, there.of(report), row, faults):
            outcomes += outcomes_of(values, row, faults, today=today)
    faults.raise_if_any()
    return GivenFile(rows=len(reports), outcomes=tuple(outcomes), passed_over=tuple(passed_over))


def _values_of(
    report: Resource, there: Mapping[str, Resource], row: str, faults: Faults
) -> Iterator[Mapping[str, str]]:
    """Give the values of each breast that a report speaks of, by column of the CSV table."""
    before = len(faults.found)
    source = _code(parts_of(report, "category"), CATEGORIES, SOURCES)
    if source is None:
        faults.add(row, f"category: expected one code of {', '.join(SOURCES)} in {CATEGORIES}")
    patient_id, issuer = _patient(report, there, row, faults)
    day = report.get("effectiveDateTime")
    if not isinstance(day, str):
        faults.add(row, "effectiveDateTime: expected a day as YYYY-MM-DD, found nothing")
    said = list(_said(report, there))
    if not said:
        faults.add(
            row,
            "expected Observations of the file in result, or else a conclusionCode and a "
            "Specimen of the file",
        )
    for site, result in said:
        if site is None:
            faults.add(row, f"bodySite: expected one code of {', '.join(SIDES)} in {SNOMED}")
        if result is None:
            faults.add(row, f"expected one code of {', '.join(RESULTS)} in {SNOMED} for the result")
    if len(faults.found) > before or source is None or not isinstance(day, str):
        return
    for site, result in said:
        if site is not None and result is not None:
            yield {
                "patient_id": patient_id,
                "issuer_of_patient_id": issuer,
                "laterality": site,
                "date": day[:10],
                "source": source,
                "result": result,
            }


def _observations_hold(report: Resource, there: Mapping[str, Resource]) -> bool:
    """Say whether none of those that a report refers to was withdrawn, or is not final."""
    observations = (
        there.get(str(reference.get("reference")), {}) for reference in parts_of(report, "result")
    )
    return all(observation.get("status", HOLDS[0]) in HOLDS for observation in observations)


def _said(
    report: Resource, there: Mapping[str, Resource]
) -> Iterator[tuple[str | None, OutcomeResult | None]]:
    """Give side and result as often as the report says them; None for what is not understood."""
    references = parts_of(report, "result")
    if references:
        for reference in references:
            observation = there.get(str(reference.get("reference")), {})
            yield (
                _code(part_of(observation, "bodySite"), SNOMED, SIDES),
                _code(part_of(observation, "valueCodeableConcept"), SNOMED, RESULTS),
            )
        return
    result = _code(parts_of(report, "conclusionCode"), SNOMED, RESULTS)
    for reference in parts_of(report, "specimen"):
        specimen = there.get(str(reference.get("reference")), {})
        collection = specimen.get("collection")
        site = part_of(collection, "bodySite") if isinstance(collection, dict) else []
        yield _code(site, SNOMED, SIDES), result


def _patient(
    report: Resource, there: Mapping[str, Resource], row: str, faults: Faults
) -> tuple[str, str]:
    """Give Patient ID and issuer."""
    subject = report.get("subject")
    subject = subject if isinstance(subject, dict) else {}
    identifiers = part_of(subject, "identifier")
    if not identifiers:
        identifiers = parts_of(there.get(str(subject.get("reference")), {}), "identifier")
    if len(identifiers) != 1:
        faults.add(
            row,
            "subject: expected an identifier, or a Patient of the file with one identifier, "
            f"found {len(identifiers) or 'none'}",
        )
        return "", ""
    assigner = identifiers[0].get("assigner")
    issuer = assigner.get("display") if isinstance(assigner, dict) else None
    return str(identifiers[0].get("value") or "").strip(), str(issuer or "").strip()


def _code(
    concepts: Sequence[Resource], system: str, meanings: Mapping[str, Any]
) -> Any:  # a meaning
    """Look up the one code of a system that is understood; None if there is none, or several."""
    found = {
        meanings[coding["code"]]
        for concept in concepts
        for coding in parts_of(concept, "coding")
        if coding.get("system") == system
        and isinstance(coding.get("code"), str)
        and coding["code"] in meanings
    }
    return found.pop() if len(found) == 1 else None
