"""Corrections of the patient, put into the headers that results are written from."""

import io
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite

import phantoms
import study_results
from node.analysis.sources import SourceInstance
from node.report.write import write_results
from node.result_kinds import PROFILES
from phantoms import mammogram

CORRECTED = {"PatientID": "RIGHT-1", "PatientName": "Right^Person", "PatientBirthDate": ""}


def source(**corrections: str) -> SourceInstance:
    return SourceInstance(path=Path("none"), dataset_sha256="ab", corrections=corrections)


def test_a_header_without_corrections_stays_as_it_is() -> None:
    ds = mammogram()
    before = ds.to_json()

    source().correct(ds)

    assert ds.to_json() == before


def test_what_is_named_is_corrected_and_nothing_else() -> None:
    ds, as_it_was = mammogram(), mammogram()

    source(**CORRECTED).correct(ds)

    assert (ds.PatientID, str(ds.PatientName), ds.PatientBirthDate) == (
        "RIGHT-1",
        "Right^Person",
        "",
    )
    assert {e.keyword for e in ds if e != as_it_was.get(e.tag)} == set(CORRECTED)


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_a_name_that_the_character_set_lacks_survives_with_its_neighbours(
    character_set: str,
) -> None:
    ds = mammogram(SpecificCharacterSet=character_set, StudyDescription="Früherkennung")
    item = phantoms.code("1", "99X", "Übersicht")
    ds.ProcedureCodeSequence = [item]
    ds = dcmread(io.BytesIO(phantoms.to_bytes(ds)))

    source(PatientName="Κόρη^Άννα").correct(ds)
    written = io.BytesIO()
    dcmwrite(written, ds, enforce_file_format=True)
    written.seek(0)

    again = dcmread(written)
    assert str(again.PatientName) == "Κόρη^Άννα"
    assert again.StudyDescription == "Früherkennung"
    assert again.ProcedureCodeSequence[0].CodeMeaning == "Übersicht"


def test_every_result_is_under_the_corrected_patient() -> None:
    result = study_results.positive()
    for instance in result.instances:
        source(**CORRECTED).correct(instance.source)

    for made in write_results(result, PROFILES["everything"]):
        assert made.dataset.PatientID == "RIGHT-1"
        assert str(made.dataset.PatientName) == "Right^Person"
