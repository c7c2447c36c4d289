import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

import phantoms
import study_results
from many_studies import CHARACTER_SETS, UNKNOWN_TO_DCIODVFY, in_character_set
from node.report import envelope
from node.results import ResultKind, StudyResult


def written(result: StudyResult, **options: Any) -> Dataset:
    """Begin an object, write it and read it back."""
    ds = envelope.begin(
        result,
        kind=ResultKind.SCORE_REPORT,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        modality="SR",
        series_number=9001,
        series_description="A kind",
        instance_number=1,
        index=0,
        inputs=result.instances,
        **options,
    )
    return dcmread(io.BytesIO(phantoms.to_bytes(ds)))


def one_view(**attributes: Any) -> StudyResult:
    ds = phantoms.mammogram(**attributes)
    return study_results.study(study_results.analysed(ds, score=0.7))


def test_patient_and_study_are_those_of_the_source() -> None:
    source = phantoms.mammogram(
        IssuerOfPatientID="HOSPITAL",
        PatientIdentityRemoved="YES",
        DeidentificationMethod="a test",
        ReferringPhysicianName="Doe^Jane",
    )
    result = study_results.study(study_results.analysed(source, score=0.7))

    ds = written(result)

    for keyword in (
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "StudyDescription",
        "AccessionNumber",
        "ReferringPhysicianName",
    ):
        assert ds[keyword].value == source[keyword].value, keyword


def test_what_the_source_lacks_is_empty_where_it_must_stand_and_absent_elsewhere() -> None:
    missing = dict.fromkeys(
        ("PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDescription")
    )

    ds = written(one_view(**missing))

    assert not ds.PatientID
    assert not ds.PatientBirthDate
    assert not ds.PatientSex
    assert not ds.StudyID
    assert "StudyDescription" not in ds
    assert "IssuerOfPatientID" not in ds


def test_a_value_that_the_standard_forbids_is_passed_on_as_it_came() -> None:
    result = one_view()
    source = result.instances[0].source
    source["PatientSex"]._value = "FEMALE"

    ds = written(result)

    assert ds.PatientSex == "FEMALE"


@pytest.mark.parametrize("name", [*CHARACTER_SETS, *UNKNOWN_TO_DCIODVFY])
def test_a_name_in_another_character_set_comes_back_as_it_was(name: str) -> None:
    result = in_character_set(name)
    source = result.instances[0].source

    ds = written(result)

    assert str(ds.PatientName) == str(source.PatientName)
    assert ds.PatientID == source.PatientID
    assert ds.StudyDescription == source.StudyDescription
    assert ds.ContributingEquipmentSequence[1].InstitutionName == source.InstitutionName


@pytest.mark.parametrize(
    "name", [name for name, (declared, _) in CHARACTER_SETS.items() if declared != "ISO_IR 13"]
)
def test_the_character_set_stays_as_it_was(name: str) -> None:
    result = in_character_set(name)
    source = result.instances[0].source

    ds = written(result)

    assert ds.SpecificCharacterSet == source.SpecificCharacterSet
    assert ds.PatientName.original_string == source.PatientName.original_string


def test_katakana_beside_latin_letters_are_kept_in_utf_8() -> None:
    source = phantoms.mammogram(SpecificCharacterSet="ISO_IR 13", PatientName="ﾔﾏﾀﾞ^ﾊﾅｺ")
    tag, value = Tag("StudyDescription"), "ﾏﾝﾓ CC".encode("shift_jis")
    source[tag] = RawDataElement(tag, "LO", len(value), value, 0, False, True)

    ds = written(study_results.study(study_results.analysed(source, score=0.7)))

    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert ds.StudyDescription == "ﾏﾝﾓ CC"
    assert str(ds.PatientName) == "ﾔﾏﾀﾞ^ﾊﾅｺ"


def test_text_of_ours_outside_the_source_character_set_makes_it_utf_8() -> None:
    result = replace(study_results.latin_1(), manifest=study_results.manifest(name="сеть"))

    ds = written(result)

    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == "Müller^Jördis"
    assert "сеть" in ds.SoftwareVersions[1]


def test_values_in_sequences_of_the_source_become_utf_8_too() -> None:
    other = Dataset()
    other.PatientID, other.IssuerOfPatientID = "Ä1", "Krankenhaus Köln"
    source = phantoms.mammogram(
        SpecificCharacterSet="ISO_IR 100", OtherPatientIDsSequence=[other], IssuerOfPatientID="Köln"
    )
    weights = study_results.manifest(name="сеть")
    # Read anew: whatever a fixture looked at is no longer the bytes that came.
    source = dcmread(io.BytesIO(phantoms.to_bytes(source)))
    result = study_results.study(
        study_results.analysed(source, score=0.7, weights=weights), weights=weights
    )

    ds = written(result)

    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert ds.IssuerOfPatientID == "Köln"
    assert ds.OtherPatientIDsSequence[0].PatientID == "Ä1"
    assert ds.OtherPatientIDsSequence[0].IssuerOfPatientID == "Krankenhaus Köln"


def test_text_of_ours_within_the_source_character_set_leaves_it() -> None:
    weights = study_results.manifest(name="größer")

    ds = written(replace(study_results.latin_1(), manifest=weights))

    assert ds.SpecificCharacterSet == "ISO_IR 100"


@pytest.mark.parametrize("value", [None, ""])
def test_a_source_without_a_character_set_gets_none_while_our_text_is_ascii(
    value: str | None,
) -> None:
    ds = written(one_view(SpecificCharacterSet=value))

    assert "SpecificCharacterSet" not in ds


def test_dates_are_those_of_the_close_out() -> None:
    ds = written(one_view())

    assert ds.ContentDate == ds.InstanceCreationDate == ds.SeriesDate == "20240517"
    assert ds.ContentTime == ds.InstanceCreationTime == ds.SeriesTime == "103107.250000"
    own = ds.ContributingEquipmentSequence[0]
    assert str(own.ContributionDateTime) == "20240517103107.250000+0000"


def test_dates_are_in_the_time_zone_that_the_source_declares() -> None:
    result = one_view(TimezoneOffsetFromUTC="-1130")
    result = replace(result, closed_at=datetime(2024, 1, 1, 3, 0, tzinfo=UTC))

    ds = written(result)

    assert ds.TimezoneOffsetFromUTC == "-1130"
    assert (ds.ContentDate, ds.ContentTime) == ("20231231", "153000.000000")


def test_a_series_that_revisions_share_has_no_date_of_its_own() -> None:
    ds = written(one_view(), is_series_shared=True)

    assert "SeriesDate" not in ds
    assert "SeriesTime" not in ds


def test_equipment_is_ours_and_the_device_that_made_the_image_is_kept() -> None:
    ds = written(one_view())

    assert ds.Manufacturer == ds.ManufacturerModelName == "mammonode"
    assert ds.DeviceSerialNumber == "0123456789abcdef"
    assert ds.SoftwareVersions[1] == "phantom-net 1.2.0"
    own, device = ds.ContributingEquipmentSequence
    assert own.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert "not for diagnostic use" in own.ContributionDescription
    assert device.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert device.Manufacturer == "Phantom Works"


def test_the_series_description_says_that_it_is_no_diagnosis() -> None:
    ds = written(one_view())

    assert ds.SeriesDescription == "A kind (AI, not for diagnostic use)"
    assert len(ds.SeriesDescription) <= 64


def test_the_file_is_explicit_little_endian_with_complete_meta_information() -> None:
    ds = written(one_view())

    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert str(ds.file_meta.ImplementationVersionName).startswith("MAMMONODE")


def test_a_name_in_an_undeclared_character_set_keeps_its_bytes() -> None:
    source = phantoms.mammogram(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jördis")
    data = phantoms.to_bytes(source).replace(b"ISO_IR 100", b"          ")
    undeclared = dcmread(io.BytesIO(data))
    result = study_results.study(study_results.analysed(undeclared, score=0.7))

    ds = written(result)

    assert ds.PatientName.original_string == "Müller^Jördis".encode("latin-1")
