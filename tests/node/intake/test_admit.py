"""What becomes of an instance: stored, known, in conflict; and of its study."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedSRStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from bench import BEGIN, Bench, phantom
from node.equipment import MANUFACTURER, MODEL_NAME
from node.errors import TriageReason
from node.intake import admit as admit_module
from node.intake import aside
from node.intake.admit import Admission, admit
from node.keeping.deletion import delete_study
from node.keeping.remove import remove_given_up
from node.study_log.tables import (
    MAX_TEXT_LENGTH,
    Conflict,
    Event,
    Instance,
    InstanceKind,
    Result,
    Revision,
    Study,
    StudyState,
)
from peers import files_below
from phantoms import film, uid

SECOND_DAY = BEGIN + timedelta(days=1)


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    bench = Bench(tmp_path, url=either_database)
    yield bench
    bench.close()


def test_a_new_instance_is_stored_and_logged(bench: Bench) -> None:
    ds = phantom()

    admission = bench.admit(ds)

    (row,) = bench.instances()
    assert admission is Admission.STORED
    assert bench.store.path(row.path).exists()
    assert list(bench.store.incoming.iterdir()) == []
    assert (row.kind, row.laterality, row.view_position) == (InstanceKind.IMAGE, "R", "CC")
    assert row.triage_reason is None
    assert bench.study().state == StudyState.RECEIVING
    assert bench.events() == ["instance_received"]


def test_a_film_is_logged_with_the_view_that_it_names(bench: Bench) -> None:
    bench.admit(film(laterality="L", view_position="MLO", rows=32, columns=24))

    (row,) = bench.instances()
    assert (row.laterality, row.view_position) == ("L", "MLO")


def test_what_cannot_be_analysed_is_stored_with_its_reason(bench: Bench) -> None:
    bench.admit(phantom(PresentationIntentType="FOR PROCESSING"))

    (row,) = bench.instances()
    assert row.triage_reason == TriageReason.FOR_PROCESSING
    assert row.triage_detail


def test_the_same_data_set_again_changes_nothing(bench: Bench) -> None:
    ds = phantom()
    bench.admit(ds)
    before = bench.study()

    admission = bench.admit(ds, SECOND_DAY)

    assert admission is Admission.DUPLICATE
    assert len(bench.instances()) == 1
    assert bench.study().last_received_at == before.last_received_at
    assert bench.events() == ["instance_received"]


def test_the_same_data_set_does_not_reopen_its_study(bench: Bench) -> None:
    ds = phantom()
    bench.admit(ds)
    bench.set_state(StudyState.COMPLETED)

    bench.admit(ds, SECOND_DAY)

    assert bench.study().state == StudyState.COMPLETED


def test_another_data_set_under_a_taken_uid_is_kept_aside(bench: Bench) -> None:
    bench.admit(phantom())
    (first,) = bench.instances()
    content = bench.store.path(first.path).read_bytes()
    bench.set_state(StudyState.COMPLETED)

    admission = bench.admit(
        phantom(PatientName="Corrected^Name", PatientComments="new"), SECOND_DAY
    )

    (conflict,) = bench.conflicts()
    assert admission is Admission.CONFLICT
    assert conflict.differing_keywords == "PatientName,PatientComments"
    assert bench.store.path(conflict.path).exists()
    assert "/conflicts/" in conflict.path
    assert bench.store.path(first.path).read_bytes() == content
    assert bench.study().state == StudyState.COMPLETED
    assert len(files_below(bench.store.path("studies"))) == 2


def test_a_conflict_that_comes_again_is_listed_once(bench: Bench) -> None:
    other = phantom(PatientComments="new")
    bench.admit(phantom())
    bench.admit(other)

    admission = bench.admit(other, SECOND_DAY)

    assert admission is Admission.DUPLICATE
    assert len(bench.conflicts()) == 1


def test_other_pixels_alone_are_a_conflict_of_pixel_data(bench: Bench) -> None:
    other = phantom()
    other.PixelData = other.PixelData[:-2] + b"\x01\x00"
    bench.admit(phantom())

    bench.admit(other)

    assert bench.conflicts()[0].differing_keywords == "PixelData"


def test_a_transcoded_copy_is_a_conflict_of_its_transfer_syntax(bench: Bench) -> None:
    bench.admit(phantom(transfer_syntax=ExplicitVRLittleEndian))

    bench.admit(phantom(transfer_syntax=ImplicitVRLittleEndian))

    assert bench.conflicts()[0].differing_keywords == "TransferSyntaxUID"


def test_one_uid_in_two_studies_is_a_conflict(bench: Bench) -> None:
    other = phantom()
    other.StudyInstanceUID = uid("another study")
    bench.admit(phantom())

    admission = bench.admit(other)

    assert admission is Admission.CONFLICT
    assert bench.conflicts()[0].differing_keywords == "StudyInstanceUID"
    assert bench.study().study_instance_uid == phantom().StudyInstanceUID


def test_a_later_image_reopens_its_study(bench: Bench) -> None:
    bench.admit(phantom())
    bench.set_state(StudyState.COMPLETED)

    bench.admit(phantom(view_position="MLO", instance_number=2), SECOND_DAY)

    study = bench.study()
    assert study.state == StudyState.RECEIVING
    assert study.first_received_at == study.last_received_at == SECOND_DAY
    assert bench.events() == ["instance_received", "study_reopened", "instance_received"]


def test_an_image_of_a_study_that_is_received_prolongs_the_wait_from_its_own_moment(
    bench: Bench,
) -> None:
    bench.admit(phantom())

    bench.admit(phantom(view_position="MLO", instance_number=2), SECOND_DAY)

    study = bench.study()
    assert study.first_received_at == BEGIN
    assert study.last_received_at == study.quiet_from_at == SECOND_DAY


def non_image(**attributes: str) -> Dataset:
    ds = phantom(instance_number=9)
    for keyword in ("Rows", "PixelData"):
        del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedSRStorage
    ds.Modality = "SR"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def test_a_report_of_somebody_else_neither_reopens_nor_prolongs(bench: Bench) -> None:
    bench.admit(phantom())
    bench.set_state(StudyState.COMPLETED)

    admission = bench.admit(non_image(), SECOND_DAY)

    assert admission is Admission.STORED
    assert bench.study().state == StudyState.COMPLETED
    assert bench.study().last_received_at == BEGIN
    assert bench.instances()[1].kind == InstanceKind.NON_IMAGE


def test_the_wait_for_images_begins_with_the_first_image(bench: Bench) -> None:
    bench.admit(non_image())

    bench.admit(phantom(), SECOND_DAY)

    assert bench.study().first_received_at == SECOND_DAY


def test_an_own_result_that_comes_back_is_known_by_its_equipment(bench: Bench) -> None:
    bench.admit(phantom())
    bench.set_state(StudyState.COMPLETED)

    bench.admit(
        phantom(instance_number=2, Manufacturer=MANUFACTURER, ManufacturerModelName=MODEL_NAME),
        SECOND_DAY,
    )

    assert bench.instances()[1].kind == InstanceKind.OWN_RESULT
    assert bench.study().state == StudyState.COMPLETED


def test_an_own_result_that_comes_back_is_known_by_the_log(bench: Bench) -> None:
    """Whatever an archive may have done to its equipment attributes."""
    bench.admit(phantom())
    result = phantom(instance_number=2, Manufacturer="An archive")
    with bench.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.state = StudyState.COMPLETED
        revision = Revision(
            study_id=study.id,
            number=1,
            state=StudyState.COMPLETED,
            close_reason="",
            closed_at=BEGIN,
            weights="",
            attempt=1,
            reason="",
        )
        session.add(revision)
        revision.results.append(
            Result(
                kind="heat_map",
                index=0,
                sop_class_uid=result.SOPClassUID,
                sop_instance_uid=result.SOPInstanceUID,
                series_instance_uid=result.SeriesInstanceUID,
                path="",
                size_bytes=0,
                created_at=BEGIN,
            )
        )

    bench.admit(result, SECOND_DAY)

    assert bench.instances()[1].kind == InstanceKind.OWN_RESULT
    assert bench.study().state == StudyState.COMPLETED


def test_a_crash_between_file_and_row_is_made_good_when_the_instance_comes_again(
    bench: Bench,
) -> None:
    ds = phantom()
    bench.admit(ds)
    with bench.database.writing() as session:
        session.execute(delete(Instance))

    admission = bench.admit(ds, SECOND_DAY)

    assert admission is Admission.STORED
    assert bench.store.path(bench.instances()[0].path).exists()


def test_a_crash_between_moving_and_listing_a_conflict_is_made_good(bench: Bench) -> None:
    bench.admit(phantom())
    other = phantom(PatientComments="new")
    bench.admit(other)
    with bench.database.writing() as session:
        session.execute(delete(Conflict))

    admission = bench.admit(other, SECOND_DAY)

    assert admission is Admission.CONFLICT
    assert bench.store.path(bench.conflicts()[0].path).exists()
    assert len(files_below(bench.store.path("studies"))) == 2


def test_an_attribute_that_cannot_be_read_is_no_reason_to_refuse(bench: Bench) -> None:
    arrival = bench.arrival(phantom())
    header = arrival.header
    header.SpecificCharacterSet = "ISO_IR 6"
    header.add_new("StudyDescription", "LO", "with\x00a null")

    admission = admit(replace(arrival, header=header), database=bench.database, store=bench.store)

    assert admission is Admission.STORED
    assert bench.study().study_description == "witha null"


def test_no_attribute_of_a_patient_is_in_an_event(bench: Bench) -> None:
    ds = phantom(PatientName="Secret^Name", PatientID="SECRET-1", AccessionNumber="SECRET-2")
    bench.admit(ds)
    ds.PatientName = "Secret^Other"
    bench.admit(ds)

    with bench.database.reading() as session:
        fields = [str(event.fields) for event in session.scalars(select(Study)).one().events]
    assert len(fields) == 2
    assert not any("secret" in text.lower() for text in fields)


@pytest.mark.parametrize("is_conflict", [False, True])
def test_what_the_log_cannot_take_is_put_back_where_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_conflict: bool
) -> None:
    if is_conflict:
        bench.admit(phantom())
    before = files_below(bench.store.path("studies"))
    arrival = bench.arrival(phantom(PatientComments="another"), SECOND_DAY)

    def refuse(*_arguments: object, **_fields: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(admit_module, "note", refuse)
        patch.setattr(aside, "note", refuse)
        with pytest.raises(OperationalError):
            admit(arrival, database=bench.database, store=bench.store)

    # Where others may write at the same moment, a study that is not there yet cannot be locked.
    stays = not is_conflict and not bench.database.has_one_writer
    assert len(files_below(bench.store.path("studies"))) == len(before) + stays
    assert arrival.file.exists() is not stays
    again = bench.admit(phantom(PatientComments="another"), SECOND_DAY)
    assert again is (Admission.CONFLICT if is_conflict else Admission.STORED)


def test_what_lay_there_without_a_row_is_not_taken_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.admit(phantom())
    (place,) = files_below(bench.store.path("studies"))
    with bench.database.writing() as session:
        session.execute(delete(Event))
        session.execute(delete(Instance))
    arrival = bench.arrival(phantom(), SECOND_DAY)

    def refuse(*_arguments: object, **_fields: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(admit_module, "note", refuse)
    with pytest.raises(OperationalError):
        admit(arrival, database=bench.database, store=bench.store)

    assert place.exists()


def test_what_is_given_up_while_it_comes_once_more_is_held_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = phantom()
    late = bench.arrival(ds)
    keep = bench.store.keep

    def keep_between_another_sender_and_a_deletion(source: Path, place: str) -> Path:
        monkeypatch.undo()
        content = source.read_bytes()
        bench.admit(ds)
        source.write_bytes(content)
        delete_study(
            bench.database,
            bench.store,
            bench.queue,
            study_instance_uid=str(ds.StudyInstanceUID),
            reason="a test",
            by="someone",
            at=BEGIN,
        )
        return keep(source, place)

    monkeypatch.setattr(bench.store, "keep", keep_between_another_sender_and_a_deletion)

    admission = admit(late, database=bench.database, store=bench.store)
    remove_given_up(bench.database, bench.store)

    (row,) = bench.instances()
    assert admission is Admission.STORED
    assert row.removed_at is None
    assert bench.store.path(row.path).exists()


@pytest.mark.parametrize("length", [65, 3000, 100_000])
@pytest.mark.parametrize(
    "keyword",
    ["PatientID", "PatientName", "AccessionNumber", "StudyDate", "Modality", "StudyDescription"],
)
def test_a_text_of_any_length_is_no_reason_to_refuse(
    bench: Bench, keyword: str, length: int
) -> None:
    ds = phantom()
    text = b"".join(
        sha256(bytes([number % 256, number // 256])).hexdigest().encode()
        for number in range(length // 64 + 1)
    )
    ds.add_new(keyword, "UT", text[:length].decode())

    assert bench.admit(ds) is Admission.STORED
    assert len(bench.study().patient_id) <= MAX_TEXT_LENGTH


def test_a_number_is_kept_as_a_query_asks_for_it(bench: Bench) -> None:
    ds = phantom()
    ds.SeriesNumber, ds.InstanceNumber = "007", "+4"

    bench.admit(ds)

    (instance,) = bench.instances()
    assert (instance.series_number, instance.instance_number) == ("7", "4")


def test_a_name_that_grows_when_it_is_made_ready_to_be_looked_for_is_no_reason_either(
    bench: Bench,
) -> None:
    ds = phantom(SpecificCharacterSet="ISO_IR 192")
    ds.add_new("PatientName", "UT", "\ufdfa" * 3000)  # each becomes 18 characters

    assert bench.admit(ds) is Admission.STORED


@pytest.mark.parametrize("text", ["A\0B", "A\nB", "\0"])
def test_a_control_character_in_a_text_is_no_reason_to_refuse(bench: Bench, text: str) -> None:
    ds = phantom()
    for keyword in ("PatientID", "PatientName", "AccessionNumber", "Modality"):
        ds.add_new(keyword, "UT", text)

    assert bench.admit(ds) is Admission.STORED
