"""Studies that belong to somebody else: what the log says, what is analysed anew, what is kept."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bench import BEGIN, Bench, phantom
from log_entries import add_delivery, study_entry
from node.errors import PermanentError
from node.keeping.conflicts import accept
from node.keeping.deletion import delete_study
from node.keeping.patients import CorrectedStudy, Patient, correct, merge
from node.study_log.corrections import corrected_sha256, corrections_of
from node.study_log.queries import read_study
from node.study_log.tables import (
    OPEN_DELIVERIES,
    CloseReason,
    Delivery,
    DeliveryState,
    Instance,
    PatientCorrection,
    Revision,
    Study,
    StudyState,
)

NOW = BEGIN + timedelta(days=1)
ZERO, ONE = phantom(), phantom(seed=1)
FIRST, SECOND = str(ZERO.StudyInstanceUID), str(ONE.StudyInstanceUID)


@pytest.fixture
def bench(tmp_path: Path, either_database: str) -> Iterator[Bench]:
    """Two patients, PHANTOM-0 with one completed study and PHANTOM-1 with another."""
    bench = Bench(tmp_path, url=either_database)
    bench.admit(ZERO)
    bench.admit(ONE)
    set_states(bench, StudyState.COMPLETED)
    yield bench
    bench.close()


def set_states(bench: Bench, state: StudyState) -> None:
    with bench.database.writing() as session:
        for study in session.scalars(select(Study)):
            study.state = state


def correct_(
    bench: Bench, after: dict[str, str], *, patient: str = "PHANTOM-0", reason: str = "a test"
) -> tuple[CorrectedStudy, ...]:
    return correct(
        bench.database,
        bench.queue,
        Patient(patient_id=patient),
        after,
        reason=reason,
        by="someone",
        at=NOW,
    )


def study(bench: Bench, uid: str = FIRST) -> Study:
    with bench.database.reading() as session:
        found = session.scalars(select(Study).where(Study.study_instance_uid == uid)).one()
        assert corrections_of(found) is not None  # loaded while the session lasts
        return found


def test_a_correction_stands_in_the_log_and_leads_to_a_new_revision(bench: Bench) -> None:
    corrected = correct_(bench, {"PatientName": "Right^Name"})

    with bench.database.reading() as session:
        answer = read_study(session, FIRST)
        revision = session.scalars(select(Revision)).one()
        row = session.scalars(select(PatientCorrection)).one()
    assert corrected == (CorrectedStudy(study_instance_uid=FIRST, revision=1, reason_for_none=""),)
    assert study(bench).patient_name == "Right^Name"
    assert study(bench).patient_id == "PHANTOM-0"
    assert study(bench, SECOND).patient_name == ONE.PatientName
    assert revision.close_reason == CloseReason.PATIENT
    assert bench.queue.waiting_or_running() == {f"analysis/{FIRST}/1/1"}
    assert (row.before["PatientName"], row.after) == (
        str(ZERO.PatientName),
        {"PatientName": "Right^Name"},
    )
    (shown,) = answer.corrections
    assert (shown.by, shown.reason, shown.keywords) == ("someone", "a test", ("PatientName",))
    assert answer.events[-1].event == "patient_corrected"
    assert "Right" not in str(answer)


def test_correcting_again_changes_nothing(bench: Bench) -> None:
    correct_(bench, {"PatientName": "Right^Name"})

    assert correct_(bench, {"PatientName": "Right^Name"}) == ()
    assert len(corrections_of(study(bench))) == 1


def test_of_several_corrections_the_last_counts_attribute_by_attribute(bench: Bench) -> None:
    correct_(bench, {"PatientName": "First^Try", "PatientSex": "O"})
    correct_(bench, {"PatientName": "Second^Try"})

    assert corrections_of(study(bench)) == {"PatientName": "Second^Try", "PatientSex": "O"}


def test_a_merge_puts_all_studies_under_the_other_patient(bench: Bench) -> None:
    bench.admit(phantom(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4"))
    set_states(bench, StudyState.COMPLETED)

    merged = merge(
        bench.database,
        bench.queue,
        Patient(patient_id="PHANTOM-0"),
        Patient(patient_id="PHANTOM-1"),
        reason="registered twice",
        by="someone",
        at=NOW,
    )

    assert {one.study_instance_uid for one in merged} == {FIRST, "1.2.3"}
    assert study(bench).patient_id == study(bench, "1.2.3").patient_id == "PHANTOM-1"
    assert study(bench).patient_name == ONE.PatientName
    assert corrections_of(study(bench, SECOND)) == {}


def test_one_study_is_corrected_alone(bench: Bench) -> None:
    bench.admit(phantom(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4"))

    correct(
        bench.database,
        bench.queue,
        Patient(patient_id="PHANTOM-0"),
        {"PatientID": "RIGHT"},
        reason="a test",
        by="someone",
        at=NOW,
        study_instance_uid="1.2.3",
    )

    assert (study(bench).patient_id, study(bench, "1.2.3").patient_id) == ("PHANTOM-0", "RIGHT")


def test_a_study_that_is_received_closes_with_the_correction(bench: Bench) -> None:
    set_states(bench, StudyState.RECEIVING)

    (corrected,) = correct_(bench, {"PatientSex": "M"})

    assert corrected.revision is None
    assert "still being received" in corrected.reason_for_none
    assert bench.queue.waiting_or_running() == frozenset()


def test_a_study_whose_files_are_gone_is_corrected_in_the_log(bench: Bench) -> None:
    with bench.database.writing() as session:
        for instance in session.scalars(select(Instance)):
            instance.removed_at = BEGIN

    (corrected,) = correct_(bench, {"PatientSex": "M"})

    assert "has no image here" in corrected.reason_for_none
    assert study(bench).patient_sex == "M"


@pytest.mark.parametrize("state", [*OPEN_DELIVERIES, DeliveryState.FAILED])
@pytest.mark.parametrize("study_state", [StudyState.COMPLETED, StudyState.RECEIVING])
def test_no_delivery_of_the_old_patient_goes_on(
    bench: Bench, state: DeliveryState, study_state: StudyState
) -> None:
    entry = study_entry(state=StudyState.COMPLETED)
    entry.state = study_state
    add_delivery(entry.revisions[0], "pacs", state, statuses=(None,) * 5)
    add_delivery(entry.revisions[0], "archive", DeliveryState.COMPLETED)
    with bench.database.writing() as session:
        session.add(entry)

    correct_(bench, {"PatientName": "Right^Name"}, patient="SECRET-ID")

    with bench.database.reading() as session:
        ended, completed = session.scalars(select(Delivery).order_by(Delivery.id)).all()
    assert (ended.state, ended.ended_at) == (DeliveryState.CANCELED, NOW)
    assert "corrected" in ended.reason
    assert completed.state == DeliveryState.COMPLETED


@pytest.mark.parametrize("state", [StudyState.SCHEDULED, StudyState.IN_PROGRESS])
def test_an_analysis_under_way_is_ended_in_the_same_transaction(
    bench: Bench, state: StudyState
) -> None:
    entry = study_entry(state=state)
    with bench.database.writing() as session:
        session.add(entry)

    (corrected,) = correct_(bench, {"PatientName": "Right^Name"}, patient="SECRET-ID")

    with bench.database.reading() as session:
        first, second = session.scalars(select(Revision).order_by(Revision.number)).all()
    assert corrected.revision == 2
    assert (first.state, first.ended_at) == (StudyState.CANCELED, NOW)
    assert second.state == StudyState.SCHEDULED
    assert study(bench, entry.study_instance_uid).state == StudyState.SCHEDULED


def test_a_study_without_an_image_that_was_under_way_comes_to_an_end(bench: Bench) -> None:
    entry = study_entry(state=StudyState.SCHEDULED)
    for instance in entry.instances:
        instance.removed_at = BEGIN
    with bench.database.writing() as session:
        session.add(entry)

    correct_(bench, {"PatientName": "Right^Name"}, patient="SECRET-ID")

    assert study(bench, entry.study_instance_uid).state == StudyState.SKIPPED


def test_a_data_set_that_is_accepted_later_stays_under_the_corrected_patient(
    bench: Bench,
) -> None:
    correct_(bench, {"PatientID": "RIGHT"})
    bench.admit(phantom(PatientComments="another"))

    accept(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=FIRST,
        data_set="",
        by="someone",
        at=NOW,
    )

    assert study(bench).patient_id == "RIGHT"


def test_a_deleted_study_keeps_no_correction(bench: Bench) -> None:
    correct_(bench, {"PatientName": "Right^Name"})

    delete_study(
        bench.database,
        bench.store,
        bench.queue,
        study_instance_uid=FIRST,
        reason="a test",
        by="someone",
        at=NOW,
    )

    assert corrections_of(study(bench)) == {}
    with pytest.raises(PermanentError, match="No study in the log is of that patient"):
        correct_(bench, {"PatientName": "Right^Name"})


def test_one_patient_id_of_two_issuers_needs_its_issuer(bench: Bench) -> None:
    bench.admit(
        phantom(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4", IssuerOfPatientID="ELSEWHERE")
    )

    with pytest.raises(PermanentError, match="2 issuers have given that Patient ID"):
        correct_(bench, {"PatientSex": "M"})
    correct(
        bench.database,
        bench.queue,
        Patient(patient_id="PHANTOM-0", issuer_of_patient_id="ELSEWHERE"),
        {"PatientSex": "M"},
        reason="a test",
        by="someone",
        at=NOW,
    )

    assert (study(bench).patient_sex, study(bench, "1.2.3").patient_sex) == ("F", "M")


def test_studies_without_a_patient_id_are_not_of_one_patient(bench: Bench) -> None:
    bench.admit(phantom(StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4", PatientID=""))
    bench.admit(phantom(StudyInstanceUID="1.2.5", SOPInstanceUID="1.2.5.4", PatientID=""))

    with pytest.raises(PermanentError, match="studies without one need not be of one patient"):
        correct_(bench, {"PatientID": "RIGHT"}, patient="")
    correct(
        bench.database,
        bench.queue,
        Patient(patient_id=""),
        {"PatientID": "RIGHT"},
        reason="a test",
        by="someone",
        at=NOW,
        study_instance_uid="1.2.3",
    )

    assert (study(bench, "1.2.3").patient_id, study(bench, "1.2.5").patient_id) == ("RIGHT", "")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "3.2.1961"),
        ("PatientSex", "female"),
        ("PatientName", "Sec\\ret"),
        ("PatientName", "Sec\nret"),
        ("PatientID", " "),
        ("PatientID", "S" * 65),
    ],
)
def test_what_would_be_no_value_is_refused_and_not_quoted(
    bench: Bench, keyword: str, value: str
) -> None:
    with pytest.raises(PermanentError, match=keyword) as refused:
        correct_(bench, {keyword: value})

    assert value.strip() == "" or value not in str(refused.value)
    assert corrections_of(study(bench)) == {}


def test_a_correction_needs_a_reason_and_something_to_correct(bench: Bench) -> None:
    with pytest.raises(PermanentError, match="Expected a reason"):
        correct_(bench, {"PatientSex": "M"}, reason=" ")
    with pytest.raises(PermanentError, match="at least one attribute"):
        correct_(bench, {})


def test_no_patient_attribute_reaches_the_log_lines(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        correct_(bench, {"PatientName": "SECRET^NAME", "PatientID": "SECRET-ID"})

    assert "SECRET" not in "".join(str(record.__dict__) for record in caplog.records)
    assert "PHANTOM" not in "".join(str(record.__dict__) for record in caplog.records)


def test_the_same_image_of_another_patient_makes_other_results() -> None:
    plain = corrected_sha256("ab" * 32, {})
    one = corrected_sha256("ab" * 32, {"PatientID": "1"})

    assert plain == "ab" * 32
    assert len({plain, one, corrected_sha256("ab" * 32, {"PatientID": "2"})}) == 3
    assert one == corrected_sha256("ab" * 32, {"PatientID": "1"})
