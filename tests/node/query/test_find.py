"""Queries over real associations: what is asked, and what is answered."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from sqlalchemy import text

from large_logs import fill_log, patient_id, study_instance_uid
from log_entries import revision_entry, study_entry
from many_studies import CHARACTER_SETS
from node.intake.contexts import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from node.intake.receive import Receiver
from node.keeping.deletion import delete_study
from node.logs import JSONFormatter
from node.settings import QuerySettings
from node.store import Store
from node.study_log.database import Database
from node.study_log.entities import Found
from node.study_log.tables import InstanceKind, Study, StudyState
from node.work_queue import WorkQueue
from peers import wait_until
from querying import (
    CREATOR,
    PENDING,
    PENDING_PARTLY_SUPPORTED,
    PRIVATE_GROUP,
    SUCCESS,
    asked_node,
    find,
    keys,
    private,
    querying,
    with_private,
)

OUT_OF_RESOURCES, DOES_NOT_MATCH, UNABLE, CANCELLED = 0xA700, 0xA900, 0xC000, 0xFE00
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture
def node(database: Database, tmp_path: Path) -> Iterator[Receiver]:
    """A receiver over a log of 120 studies of 60 patients, the newest still on their way."""
    fill_log(database, 120)
    with asked_node(database, tmp_path / "data") as receiver:
        yield receiver


@pytest.fixture
def assoc(node: Receiver) -> Iterator[Association]:
    with querying(node.port) as assoc:
        yield assoc


def add(database: Database, *studies: Study) -> None:
    with database.writing() as session:
        session.add_all(studies)


def test_a_patient_is_found_by_its_id_with_all_that_was_asked_for(assoc: Association) -> None:
    asked = keys(
        PatientID=patient_id(5), PatientName=None, StudyDate=None, StudyTime=None,
        AccessionNumber=None, StudyID=None, StudyDescription=None, ReferringPhysicianName=None,
        PatientBirthDate=None, PatientSex=None, IssuerOfPatientID=None, StudyInstanceUID=None,
    )  # fmt: skip

    answers = find(assoc, asked)

    assert answers.status.Status == SUCCESS
    assert answers.pending == (PENDING, PENDING)
    assert answers.values("StudyInstanceUID") == [study_instance_uid(6), study_instance_uid(5)]
    assert set(asked.dir()) <= set(answers.identifiers[0].dir())
    assert answers.identifiers[0].AccessionNumber == "A000000006"
    assert answers.identifiers[0].RetrieveAETitle == "MAMMONODE"
    assert answers.identifiers[0].QueryRetrieveLevel == "STUDY"


def test_what_matches_nothing_is_answered_with_success_alone(assoc: Association) -> None:
    answers = find(assoc, keys(PatientID="NOBODY"))

    assert (answers.status.Status, answers.pending) == (SUCCESS, ())


def test_what_is_answered_is_not_more_than_was_asked_for(assoc: Association) -> None:
    answers = find(assoc, keys(StudyInstanceUID=study_instance_uid(1)))

    assert answers.identifiers[0].dir() == [
        "QueryRetrieveLevel", "RetrieveAETitle", "StudyInstanceUID",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "asked, numbers",
    [
        ({"PatientID": "P000001*"}, range(19, 39)),
        ({"PatientID": "P00000?5"}, (9, 10, 29, 30, 49, 50, 69, 70, 89, 90, 109, 110)),
        ({"PatientID": "p0000001"}, ()),
        ({"PatientID": " P0000001 "}, (1, 2)),
        ({"PatientID": "*"}, range(1, 121)),
        ({"AccessionNumber": "A000000007"}, (7,)),
        ({"StudyID": "7"}, (7,)),
        ({"PatientSex": "F", "StudyID": "1?"}, range(10, 20)),
        ({"PatientSex": "M"}, ()),
        ({"IssuerOfPatientID": "HOSP*", "StudyID": "3"}, (3,)),
        ({"StudyDescription": "*DIAGNOSTIC", "StudyID": "?"}, (4, 8)),
        ({"StudyInstanceUID": [study_instance_uid(3), study_instance_uid(9), "1.2.3"]}, (3, 9)),
        ({"ModalitiesInStudy": "MG", "StudyID": "?"}, range(1, 10)),
        ({"ModalitiesInStudy": "M*", "StudyID": "?"}, range(1, 10)),
        ({"ModalitiesInStudy": ["CT", "MG"], "StudyID": "?"}, range(1, 10)),
        ({"ModalitiesInStudy": "CT"}, ()),
        ({"SOPClassesInStudy": MAMMOGRAPHY, "StudyID": "?"}, range(1, 10)),
        ({"SOPClassesInStudy": "1.2.840.10008.5.1.4.1.1.2"}, ()),
    ],
)
def test_studies_are_matched_as_the_standard_says(
    assoc: Association, asked: dict[str, Any], numbers: Any
) -> None:
    answers = find(assoc, keys(**{"StudyInstanceUID": None, **asked}))

    assert set(answers.pending) <= {PENDING}
    assert answers.values("StudyInstanceUID") == [
        study_instance_uid(number) for number in sorted(numbers, reverse=True)
    ]


@pytest.fixture
def dated(database: Database, tmp_path: Path) -> Iterator[Association]:
    """An association with a node that has a study of each of these dates and times."""
    moments = (
        ("20260101", "000000"), ("20260102", "104459"), ("20260102", "104500.5"),
        ("20260103", "1045"), ("20260104", "235959.999"), ("", ""),
    )  # fmt: skip
    for number, (date, time) in enumerate(moments, start=1):
        study = study_entry(number)
        study.study_date, study.study_time, study.study_id = date, time, str(number)
        study.patient_birth_date = date
        add(database, study)
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        yield assoc


@pytest.mark.parametrize(
    "asked, numbers",
    [
        ({"StudyDate": "20260102"}, "23"),
        ({"StudyDate": "20260102-20260103"}, "234"),
        ({"StudyDate": "20260103-"}, "45"),
        ({"StudyDate": "-20260102"}, "123"),
        ({"StudyDate": "20251231-20251231"}, ""),
        ({"StudyDate": None}, "123456"),
        ({"StudyTime": "104459"}, "2"),
        ({"StudyTime": "1045"}, "34"),
        ({"StudyTime": "10"}, "234"),
        ({"StudyTime": "-1044"}, "12"),
        ({"StudyTime": "1045-"}, "345"),
        ({"StudyTime": "235959-"}, "5"),
        ({"StudyDate": "20260102-20260104", "StudyTime": "1045-2359"}, "345"),
        ({"PatientBirthDate": "20260101-20260102"}, "123"),
    ],
)
def test_dates_and_times_are_matched_by_range(
    dated: Association, asked: dict[str, Any], numbers: str
) -> None:
    answers = find(dated, keys(StudyID=None, **asked))

    assert "".join(sorted(answers.values("StudyID"))) == numbers


ENCODED = {
    "Zhang^XiaoDong=张^小东": b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
}
"""As PS3.5 Annex K has it: pydicom reads the escapes of ISO 2022 IR 58, and writes none."""


@pytest.mark.parametrize("charset, name", CHARACTER_SETS.values(), ids=CHARACTER_SETS)
def test_a_name_is_found_in_the_character_set_that_it_is_asked_in(
    database: Database, tmp_path: Path, charset: Any, name: str
) -> None:
    study = study_entry()
    study.patient_name = name
    other = study_entry(2)
    other.patient_name = "Andere^Anna"
    add(database, study, other)
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        asked = keys(SpecificCharacterSet=charset, PatientName=ENCODED.get(name, name))
        answers = find(assoc, asked)

    assert [str(value) for value in answers.values("PatientName")] == [name]


@pytest.mark.parametrize(
    "name, character_set",
    [("SMITH^ANN", None), ("MÜLLER^ZOË", "ISO_IR 100"), ("DVOŘÁKOVÁ^ANNA", "ISO_IR 192")],
)
def test_an_answer_names_the_plainest_character_set_that_will_do(
    database: Database, tmp_path: Path, name: str, character_set: str | None
) -> None:
    study = study_entry()
    study.patient_name = name
    add(database, study)
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        answers = find(assoc, keys(SpecificCharacterSet="ISO_IR 192", PatientName=None))

    assert answers.identifiers[0].get("SpecificCharacterSet") == character_set
    assert str(answers.identifiers[0].PatientName) == name


def test_names_are_found_without_regard_to_case_and_accents_and_by_one_group(
    database: Database, tmp_path: Path
) -> None:
    study = study_entry()
    study.patient_name = "Dvořáková^Zdeňka=王^小东"
    add(database, study)
    questions = (
        "dvorakova^zdenka", "DVOŘÁKOVÁ*", "王*", "=王*", "=王^小东", "Dvo?akova^*", "Zdenka",
        "=张*",
    )  # fmt: skip
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        found = [
            len(find(assoc, keys(SpecificCharacterSet="ISO_IR 192", PatientName=name)).pending)
            for name in questions
        ]

    assert found == [1, 1, 1, 1, 1, 1, 0, 0]


def test_series_are_those_that_came_and_those_that_the_newest_revision_made(
    assoc: Association,
) -> None:
    uid = study_instance_uid(5)

    answers = find(
        assoc,
        keys(
            "SERIES", StudyInstanceUID=uid, SeriesInstanceUID=None, Modality=None,
            SeriesNumber=None, SeriesDescription=None, NumberOfSeriesRelatedInstances=None,
            InstanceAvailability=None,
        ),
    )  # fmt: skip

    assert set(answers.pending) == {PENDING}
    assert set(answers.values("StudyInstanceUID")) == {uid}
    assert dict(zip(answers.values("SeriesNumber"), answers.values("Modality"), strict=True)) == {
        1: "MG", 901: "SR", 902: "OT",
    }  # fmt: skip
    assert answers.identifiers[0].NumberOfSeriesRelatedInstances >= 4
    assert set(answers.values("InstanceAvailability")) == {"ONLINE"}


@pytest.mark.parametrize(
    "asked, numbers",
    [
        ({"Modality": "SR"}, [901]),
        ({"Modality": "?R"}, [901]),
        ({"SeriesNumber": "902"}, [902]),
        ({"SeriesDescription": "AI *"}, [901, 902]),
        ({"SeriesInstanceUID": [study_instance_uid(5) + ".1", "1.2.3"]}, [1]),
        ({"Modality": "CT"}, []),
        ({"PatientID": patient_id(5), "Modality": "MG"}, [1]),
        ({"PatientID": patient_id(9), "Modality": "MG"}, []),
    ],
)
def test_series_are_matched_and_what_stands_above_too(
    assoc: Association, asked: dict[str, Any], numbers: list[int]
) -> None:
    identifier = keys(
        "SERIES", **{"StudyInstanceUID": study_instance_uid(5), "SeriesNumber": None, **asked}
    )

    answers = find(assoc, identifier)

    assert sorted(answers.values("SeriesNumber")) == numbers


@pytest.mark.parametrize(
    "asked, uids",
    [
        ({}, ["1", "2", "3", "4"]),
        ({"InstanceNumber": "2"}, ["2"]),
        ({"SOPInstanceUID": f"{study_instance_uid(1)}.1.3"}, ["3"]),
        ({"SOPClassUID": MAMMOGRAPHY}, ["1", "2", "3", "4"]),
        ({"SOPClassUID": "1.2.3"}, []),
        ({"ImageLaterality": "R"}, ["1", "3"]),
        ({"ViewPosition": "ML*"}, ["3", "4"]),
    ],
)
def test_images_are_matched(assoc: Association, asked: dict[str, Any], uids: list[str]) -> None:
    uid = study_instance_uid(1)
    identifier = keys(
        "IMAGE",
        **{
            "StudyInstanceUID": uid,
            "SeriesInstanceUID": f"{uid}.1",
            "SOPInstanceUID": None,
            "ViewPosition": None,
            **asked,
        },
    )

    answers = find(assoc, identifier)

    found = [value.removeprefix(f"{uid}.1.") for value in answers.values("SOPInstanceUID")]
    assert [number for number in found if number != "5"] == uids


def test_a_result_is_listed_as_an_image_of_its_series(assoc: Association) -> None:
    uid = study_instance_uid(5)
    series = find(
        assoc, keys("SERIES", StudyInstanceUID=uid, Modality="SR", SeriesInstanceUID=None)
    ).identifiers[0]

    answers = find(
        assoc,
        keys(
            "IMAGE", StudyInstanceUID=uid, SeriesInstanceUID=series.SeriesInstanceUID,
            SOPClassUID=None, InstanceNumber=None, AvailableTransferSyntaxUID=None,
            ImageLaterality=None, SOPInstanceUID=None,
        ),
    )  # fmt: skip

    (report,) = answers.identifiers
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert report.AvailableTransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert report.ImageLaterality is None or report.ImageLaterality == ""


def test_a_result_that_an_archive_sent_back_is_counted_and_listed_once(
    database: Database, tmp_path: Path
) -> None:
    study = study_entry()
    report = study.revisions[0].results[0]
    came_back = study.instances[4]
    came_back.sop_instance_uid, came_back.kind = report.sop_instance_uid, InstanceKind.OWN_RESULT
    came_back.series_instance_uid = report.series_instance_uid
    add(database, study)
    uid = study.study_instance_uid
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        counted = find(assoc, keys(StudyInstanceUID=uid, NumberOfStudyRelatedInstances=None))
        listed = find(
            assoc,
            keys("IMAGE", StudyInstanceUID=uid, SeriesInstanceUID=report.series_instance_uid),
        )

    assert counted.values("NumberOfStudyRelatedInstances") == [9]
    assert listed.values("SOPInstanceUID") == [report.sop_instance_uid]


def test_results_of_an_older_revision_are_not_listed(database: Database, tmp_path: Path) -> None:
    study = study_entry()
    study.revisions.append(revision_entry(study, number=2, state=StudyState.COMPLETED))
    add(database, study)
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        answers = find(
            assoc,
            keys(StudyInstanceUID=study.study_instance_uid, NumberOfStudyRelatedInstances=None),
        )

    assert answers.values("NumberOfStudyRelatedInstances") == [10]


def test_what_is_gone_is_said_to_be_unavailable(database: Database, tmp_path: Path) -> None:
    study = study_entry()
    study.instances[0].removed_at = study.last_received_at
    add(database, study)
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        of_study = find(
            assoc, keys(StudyInstanceUID=study.study_instance_uid, InstanceAvailability=None)
        )
        of_images = find(
            assoc,
            keys(
                "IMAGE", StudyInstanceUID=study.study_instance_uid,
                SeriesInstanceUID=study.instances[0].series_instance_uid,
                InstanceAvailability=None,
            ),
        )  # fmt: skip

    assert of_study.values("InstanceAvailability") == ["UNAVAILABLE"]
    assert sorted(of_images.values("InstanceAvailability")) == ["ONLINE"] * 4 + ["UNAVAILABLE"]


def test_a_deleted_study_is_found_by_itself_and_not_by_its_patient(
    database: Database, tmp_path: Path
) -> None:
    study = study_entry()
    add(database, study)
    # On PostgreSQL too the queue is another one: nothing of this study waits in it.
    queue = WorkQueue(f"sqlite:///{tmp_path / 'queue.sqlite'}", associations={})
    delete_study(
        database, Store(tmp_path / "data"), queue, study_instance_uid=study.study_instance_uid,
        reason="a test", by="someone", at=study.last_received_at,
    )  # fmt: skip
    queue.close()
    asked = keys(
        StudyInstanceUID=study.study_instance_uid, PatientID=None, PatientName=None,
        AccessionNumber=None, StudyDate=None, InstanceAvailability=None,
    )  # fmt: skip
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        by_patient = find(assoc, keys(PatientID="SECRET-ID"))
        patients = find(assoc, keys("PATIENT", PatientID=None), PATIENT_ROOT_FIND)
        answers = find(assoc, with_private(asked, e01="DELETED", e02=None))

    (answer,) = answers.identifiers
    assert (by_patient.pending, patients.pending) == ((), ())
    assert "SECRET" not in str(answer)
    assert answer.InstanceAvailability == "UNAVAILABLE"
    assert private(answer, 0x02) == "NONE"


def test_patients_are_listed_once_with_what_they_have(assoc: Association) -> None:
    answers = find(
        assoc,
        keys(
            "PATIENT", PatientID="P000000?", PatientName=None, NumberOfPatientRelatedStudies=None,
            NumberOfPatientRelatedSeries=None, NumberOfPatientRelatedInstances=None,
        ),
        PATIENT_ROOT_FIND,
    )  # fmt: skip

    assert answers.values("PatientID") == [f"P000000{number}" for number in range(1, 10)]
    assert set(answers.values("NumberOfPatientRelatedStudies")) == {2}
    assert min(answers.values("NumberOfPatientRelatedSeries")) >= 2
    assert min(answers.values("NumberOfPatientRelatedInstances")) >= 8


def test_patients_of_two_issuers_are_two_and_one_without_an_id_is_none(
    database: Database, tmp_path: Path
) -> None:
    first, second, third = study_entry(1), study_entry(2), study_entry(3)
    second.issuer_of_patient_id, third.patient_id = "ANOTHER", ""
    add(database, first, second, third)
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        answers = find(assoc, keys("PATIENT", IssuerOfPatientID=None), PATIENT_ROOT_FIND)

    assert answers.values("IssuerOfPatientID") == ["ANOTHER", "SECRET-ISSUER"]


def test_in_patient_root_studies_are_those_of_one_patient(assoc: Association) -> None:
    identifier = keys(PatientID=patient_id(5), StudyInstanceUID=None)

    answers = find(assoc, identifier, PATIENT_ROOT_FIND)

    assert answers.values("StudyInstanceUID") == [study_instance_uid(6), study_instance_uid(5)]


def test_private_keys_say_what_became_of_a_study(assoc: Association) -> None:
    asked = with_private(
        keys(StudyInstanceUID=study_instance_uid(5)),
        block=0x10,
        **{f"e{element:02X}": None for element in range(1, 13)},
    )

    (answer,) = find(assoc, asked).identifiers

    assert private(answer, 0x01) == "COMPLETED"
    assert private(answer, 0x02) == "READY"
    assert 0 < private(answer, 0x03) < 1
    assert private(answer, 0x03) == max(private(answer, 0x04), private(answer, 0x05))
    assert private(answer, 0x06) in ("SUSPICIOUS", "NOT SUSPICIOUS")
    assert private(answer, 0x08) in ("1.0.0", "1.1.0")
    assert answer[PRIVATE_GROUP << 16 | 0x10].value == CREATOR


@pytest.mark.parametrize("block", [0x10, 0x4D, 0xFF])
def test_private_keys_are_answered_in_the_block_that_was_asked_for(
    assoc: Association, block: int
) -> None:
    asked = with_private(keys(StudyInstanceUID=study_instance_uid(5)), block, e01="COMPLETED")

    (answer,) = find(assoc, asked).identifiers

    assert private(answer, 0x01, block) == "COMPLETED"


def test_a_private_element_without_our_creator_is_not_ours(assoc: Association) -> None:
    asked = keys(StudyInstanceUID=study_instance_uid(5))
    asked.add_new(PRIVATE_GROUP << 16 | 0x10, "LO", "SOMEBODY ELSE")
    asked.add_new(PRIVATE_GROUP << 16 | 0x1001, "CS", "FAILED")

    answers = find(assoc, asked)

    assert answers.pending == (PENDING_PARTLY_SUPPORTED,)
    assert PRIVATE_GROUP << 16 | 0x1001 not in answers.identifiers[0]


@pytest.mark.parametrize(
    "state, results_ready",
    [
        (StudyState.RECEIVING, "NOT YET"),
        (StudyState.SCHEDULED, "NOT YET"),
        (StudyState.IN_PROGRESS, "NOT YET"),
        (StudyState.COMPLETED, "READY"),
        (StudyState.FAILED, "NONE"),
        (StudyState.SKIPPED, "NONE"),
    ],
)
def test_results_that_are_not_ready_yet_are_told_from_none(
    database: Database, tmp_path: Path, state: StudyState, results_ready: str
) -> None:
    add(database, study_entry(state=state, reason="a reason"))
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        (answer,) = find(assoc, with_private(keys(), e02=None)).identifiers

    assert private(answer, 0x02) == results_ready


def test_private_keys_match(database: Database, tmp_path: Path) -> None:
    completed, failed = study_entry(1), study_entry(2, state=StudyState.FAILED, reason="why")
    failed.calling_ae_title = "MAMMO2"
    add(database, completed, failed)
    questions: dict[str, Any] = {
        "e01": ["COMPLETED", "FAILED", ["FAILED", "COMPLETED"]],
        "e06": ["SUSPICIOUS", "NOT SUSPICIOUS"],
        "e08": ["1", "2*"],
        "e0B": ["MAMMO2", "MAMMO*"],
        "e0C": [
            "20260302",
            "20260302093012",
            "20260303-",
            "-20260302",
            # As it is answered.
            "20260302093012.000000+0000",
            "20260302093012.000001+0000-",
        ],
        "e0D": ["0.8", "0.9"],
        "e0E": ["0.8", "0.9"],
    }
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        found = {
            element: [
                sorted(
                    uid[-1]
                    for uid in find(assoc, with_private(keys(), **{element: value})).values(
                        "StudyInstanceUID"
                    )
                )
                for value in values
            ]
            for element, values in questions.items()
        }

    both, first, second = ["1", "2"], ["1"], ["2"]
    assert found == {
        "e01": [first, second, both],
        "e06": [first, []],
        "e08": [first, []],
        "e0B": [second, both],
        "e0C": [both, both, [], both, both, []],
        "e0D": [first, []],
        "e0E": [[], first],
    }


def with_sequence(identifier: Dataset, keyword: str) -> Dataset:
    """Put a sequence where a text belongs."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    item = Dataset()
    item.PatientID = "1"
    identifier.add(DataElement(tag, "SQ", [item]))
    return identifier


REFUSED: dict[str, tuple[Dataset, str, int, int]] = {
    "no level": (keys(None, PatientID="1"), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x00080052),
    "an unknown level": (keys("FRAME"), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x00080052),
    "a level of the other model": (keys("PATIENT"), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x00080052),
    "two levels": (keys(["STUDY", "SERIES"]), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x00080052),
    "series without a study": (keys("SERIES"), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x0020000D),
    "series of any study": (
        keys("SERIES", StudyInstanceUID="*"), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x0020000D,
    ),
    "series of two studies": (
        keys("SERIES", StudyInstanceUID=["1.2", "1.3"]),
        STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x0020000D,
    ),
    "series of what is no UID": (
        keys("SERIES", StudyInstanceUID="1.2.x"), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x0020000D,
    ),
    "images without a series": (
        keys("IMAGE", StudyInstanceUID="1.2"), STUDY_ROOT_FIND, DOES_NOT_MATCH, 0x0020000E,
    ),
    "studies without a patient": (keys(), PATIENT_ROOT_FIND, DOES_NOT_MATCH, 0x00100020),
    "studies of any patient": (
        keys(PatientID="P*"), PATIENT_ROOT_FIND, DOES_NOT_MATCH, 0x00100020,
    ),
    "a date with dashes": (keys(StudyDate="2026-01-02"), STUDY_ROOT_FIND, UNABLE, 0x00080020),
    "a date that is none": (keys(StudyDate="20261301"), STUDY_ROOT_FIND, UNABLE, 0x00080020),
    "a range without bounds": (keys(StudyDate="-"), STUDY_ROOT_FIND, UNABLE, 0x00080020),
    "a range the wrong way round": (
        keys(StudyDate="20260102-20260101"), STUDY_ROOT_FIND, UNABLE, 0x00080020,
    ),
    "two dates": (keys(StudyDate=["20260102", "20260103"]), STUDY_ROOT_FIND, UNABLE, 0x00080020),
    "a time that is none": (keys(StudyTime="25"), STUDY_ROOT_FIND, UNABLE, 0x00080030),
    "a time with colons": (keys(StudyTime="10:45"), STUDY_ROOT_FIND, UNABLE, 0x00080030),
    "a UID with a wild card": (
        keys(StudyInstanceUID="1.2.*"), STUDY_ROOT_FIND, UNABLE, 0x0020000D,
    ),
    "two Patient IDs": (keys(PatientID=["1", "2"]), STUDY_ROOT_FIND, UNABLE, 0x00100020),
    "an unknown state": (with_private(keys(), e01="DONE"), STUDY_ROOT_FIND, UNABLE, 0x4D4D1001),
    "an unknown call": (with_private(keys(), e06="NONE"), STUDY_ROOT_FIND, UNABLE, 0x4D4D1006),
    "a score over 1": (with_private(keys(), e0D="1.5"), STUDY_ROOT_FIND, UNABLE, 0x4D4D100D),
    "a sequence for a text": (
        with_sequence(keys(), "PatientID"), STUDY_ROOT_FIND, UNABLE, 0x00100020,
    ),
    "a text longer than any": (
        keys(AccessionNumber="*" + "A" * 60_000), STUDY_ROOT_FIND, UNABLE, 0x00080050,
    ),
    "more UIDs than a question takes": (
        keys(StudyInstanceUID=["1.2"] * 10_001),
        STUDY_ROOT_FIND, UNABLE, 0x0020000D,
    ),
    "more codes than a question takes": (
        keys(ModalitiesInStudy=[f"M{number}*" for number in range(101)]),
        STUDY_ROOT_FIND, UNABLE, 0x00080061,
    ),
}  # fmt: skip


@pytest.mark.parametrize("identifier, model, status, tag", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_answered_is_refused_with_its_reason(
    sqlite_node: Association, identifier: Dataset, model: str, status: int, tag: int
) -> None:
    answers = find(sqlite_node, identifier, model)

    assert answers.pending == ()
    assert answers.status.Status == status
    assert answers.status.OffendingElement == tag
    assert answers.status.ErrorComment


@pytest.fixture
def sqlite_node(sqlite_logs: Any, tmp_path: Path) -> Iterator[Association]:
    """An association with a node on SQLite, for what never gets to the database."""
    database = Database(sqlite_logs.fresh(tmp_path))
    add(database, study_entry())
    with asked_node(database, tmp_path / "data") as receiver, querying(receiver.port) as assoc:
        yield assoc
    database.close()


@pytest.mark.filterwarnings("ignore:Unknown encoding:UserWarning")
def test_an_unknown_character_set_is_refused(sqlite_node: Association) -> None:
    answers = find(sqlite_node, keys(SpecificCharacterSet="ISO_IR 999", PatientName="A*"))

    assert answers.status.Status == UNABLE
    assert answers.status.OffendingElement == 0x00080005


@pytest.mark.filterwarnings("ignore:Failed to decode byte string:UserWarning")
def test_text_that_is_not_in_its_character_set_is_refused(sqlite_node: Association) -> None:
    answers = find(sqlite_node, keys(SpecificCharacterSet="ISO_IR 192", PatientName=b"M\xfcller"))

    assert answers.status.Status == UNABLE
    assert answers.status.OffendingElement == 0x00100010


def test_an_attribute_that_is_not_known_is_left_out_and_warned_of(
    sqlite_node: Association,
) -> None:
    answers = find(sqlite_node, keys(PatientID="SECRET-ID", BodyPartExamined=None))

    assert answers.pending == (PENDING_PARTLY_SUPPORTED,)
    assert "BodyPartExamined" not in answers.identifiers[0]


@pytest.mark.parametrize(
    "key",
    [{"Modality": "MG"}, {"NumberOfStudyRelatedInstances": "4"}, {"PatientAge": "050Y"}],
    ids=["of a level below", "that is answered alone", "that is not known"],
)
def test_a_key_that_is_not_matched_is_warned_of(
    sqlite_node: Association, key: dict[str, str]
) -> None:
    answers = find(sqlite_node, keys(PatientID="SECRET-ID", **key))

    assert answers.pending == (PENDING_PARTLY_SUPPORTED,)


@pytest.mark.parametrize(
    "encoded",
    [b"\x08\x00\x52\x00CS\x06\x00STU", b"GET / HTTP/1.1\r\n\r\n", b"\x08\x00", b"\xff" * 64],
    ids=["half a data set", "text", "half a tag", "noise"],
)
def test_an_identifier_that_is_no_data_set_is_refused_and_the_association_goes_on(
    sqlite_node: Association, encoded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pynetdicom.association.encode", lambda *_: encoded)
        refused = find(sqlite_node, keys())

    after = find(sqlite_node, keys())

    assert refused.status.Status == UNABLE
    assert after.pending == (PENDING,)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]
)
def test_queries_are_taken_in_every_uncompressed_transfer_syntax(
    sqlite_logs: Any, tmp_path: Path, syntax: str
) -> None:
    database = Database(sqlite_logs.fresh(tmp_path))
    add(database, study_entry())
    asked = with_private(keys(PatientID="SECRET-ID"), e01="COMPLETED", e0D="0.5")
    with (
        asked_node(database, tmp_path / "data") as receiver,
        querying(receiver.port, transfer_syntaxes=[syntax]) as assoc,
    ):
        answers = find(assoc, asked)

    assert answers.pending == (PENDING,)


@pytest.fixture
def long_answer(sqlite_logs: Any, tmp_path: Path) -> Iterator[Receiver]:
    """A receiver over more studies than fit into two pages and what waits to be sent."""
    database = Database(sqlite_logs.fresh(tmp_path))
    fill_log(database, 1_300)
    with asked_node(database, tmp_path / "data", query=QuerySettings(max_queries=1)) as receiver:
        yield receiver
    database.close()


def test_a_long_answer_holds_every_study_once(long_answer: Receiver) -> None:
    with querying(long_answer.port) as assoc:
        answers = find(assoc, keys(StudyInstanceUID=None))

    assert answers.values("StudyInstanceUID") == [
        study_instance_uid(number) for number in range(1_300, 0, -1)
    ]


def test_a_long_answer_holds_every_patient_once(long_answer: Receiver) -> None:
    with querying(long_answer.port) as assoc:
        answers = find(assoc, keys("PATIENT", PatientID=None), PATIENT_ROOT_FIND)

    assert answers.values("PatientID") == [f"P{number:07d}" for number in range(1, 651)]


def test_a_cancel_ends_a_long_answer_in_its_middle(
    long_answer: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "node.query")
    with querying(long_answer.port) as assoc:
        responses = assoc.send_c_find(keys(PatientName=None), STUDY_ROOT_FIND, msg_id=7)
        for _ in range(10):
            next(responses)

        assoc.send_c_cancel(7, query_model=STUDY_ROOT_FIND)
        rest = [status.Status for status, _ in responses]
        again = find(assoc, keys(PatientID=patient_id(5)))

    assert rest[-1] == CANCELLED
    assert len(rest) < 1_200
    assert len(again.pending) == 2
    assert [record.__dict__["outcome"] for record in lines(caplog, "query_answered")] == [
        "cancelled", "answered",
    ]  # fmt: skip


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.__dict__.get("event") == event]


def test_a_client_that_goes_away_ends_its_query_and_frees_its_place(
    long_answer: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "node.query")
    with querying(long_answer.port) as assoc:
        responses = assoc.send_c_find(keys(PatientName=None), STUDY_ROOT_FIND)
        next(responses)
        assoc.abort()
    wait_until(lambda: bool(lines(caplog, "query_answered")), "the query to end")

    with querying(long_answer.port) as assoc:
        again = find(assoc, keys(PatientID=patient_id(5)))

    (ended, answered) = lines(caplog, "query_answered")
    assert ended.__dict__["outcome"] == "the association ended"
    assert ended.__dict__["answers"] < 1_300
    assert answered.__dict__["answers"] == len(again.pending) == 2


def test_a_client_that_does_not_read_holds_up_nothing_but_its_own_query(
    sqlite_logs: Any, tmp_path: Path
) -> None:
    database = Database(sqlite_logs.fresh(tmp_path))
    fill_log(database, 1_300)
    with (
        asked_node(database, tmp_path / "data", query=QuerySettings(max_queries=2)) as receiver,
        querying(receiver.port) as idle,
        querying(receiver.port) as busy,
    ):
        unread = idle.send_c_find(keys(PatientName=None), STUDY_ROOT_FIND)
        next(unread)

        answers = find(busy, keys(PatientID=patient_id(5)))
        with database.writing() as session:
            session.add(study_entry(3))

    assert len(answers.pending) == 2
    database.close()


def test_a_query_beyond_the_limit_is_refused_as_out_of_resources(
    sqlite_logs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.query.serve.WAIT_S", 0.05)
    database = Database(sqlite_logs.fresh(tmp_path))
    fill_log(database, 5_000)
    with (
        asked_node(database, tmp_path / "data", query=QuerySettings(max_queries=1)) as receiver,
        querying(receiver.port) as first,
        querying(receiver.port) as second,
    ):
        responses = first.send_c_find(keys(PatientName=None), STUDY_ROOT_FIND)
        next(responses)
        answers = find(second, keys(PatientID=patient_id(5)))
        first.abort()

    assert answers.status.Status == OUT_OF_RESOURCES
    assert answers.status.ErrorComment
    database.close()


def test_a_study_log_that_does_not_answer_is_said_so(node: Receiver, database: Database) -> None:
    with database.writing() as session:
        session.execute(text("ALTER TABLE study RENAME TO hidden"))
    try:
        with querying(node.port) as assoc:
            answers = find(assoc, keys(PatientID="SECRET-ID"))
    finally:
        with database.writing() as session:
            session.execute(text("ALTER TABLE hidden RENAME TO study"))

    assert answers.status.Status == OUT_OF_RESOURCES
    assert answers.status.ErrorComment == "the study log does not answer now"


def test_an_error_of_the_node_is_answered_and_says_nothing_of_the_patient(
    sqlite_node: Association, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(found: Found, *_: Any, **__: Any) -> Dataset:
        raise LookupError(found.study.patient_name)

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("node.query.find.answer_of", fail)

    answers = find(sqlite_node, keys(PatientID="SECRET-ID"))

    assert answers.status.Status == UNABLE
    assert answers.status.ErrorComment
    assert [record.levelname for record in lines(caplog, "query_failed")] == ["ERROR"]
    assert "SECRET" not in "".join(JSONFormatter().format(record) for record in caplog.records)


def test_no_patient_attribute_is_in_a_log_line(
    sqlite_node: Association, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    find(
        sqlite_node, keys(PatientID="SECRET-ID", PatientName="SECRET*", AccessionNumber="SECRET-*")
    )
    find(sqlite_node, keys(PatientID=["SECRET-ID", "SECRET-ISSUER"]))

    assert lines(caplog, "query_answered")
    assert lines(caplog, "query_refused")
    assert "SECRET" not in "".join(str(record.__dict__) for record in caplog.records)
    assert lines(caplog, "query_answered")[0].__dict__["matched_keys"] == [
        "AccessionNumber", "PatientName", "PatientID",
    ]  # fmt: skip
