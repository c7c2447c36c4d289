"""C-MOVE and C-GET over real associations: what is given, what is refused, and how far it came."""

import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_MOVE
from pynetdicom.dsutils import encode
from sqlalchemy import select

from log_entries import RECEIVED_AT, revision_entry
from node.header import dataset_offset
from node.intake.answering import UNABLE_TO_PROCESS
from node.intake.contexts import QUERY_SOP_CLASSES, STUDY_ROOT_FIND
from node.intake.receive import Receiver
from node.query import serve
from node.query.levels import IDENTIFIER_DOES_NOT_MATCH
from node.query.statuses import (
    CANCELLED,
    MOVE_DESTINATION_UNKNOWN,
    PENDING,
    SOME_FAILED,
    UNABLE_TO_PERFORM,
)
from node.results import StudyResult
from node.settings import DestinationSettings, PeerSettings, QuerySettings
from node.study_log.tables import Gone, PatientCorrection, Result, Revision, Study, StudyState
from peers import LoopbackPACS, encoded_dataset, loopback_pacs, silent_peer, wait_until
from querying import SUCCESS, asked_node, keys
from resulting import ResultingNode, resulting_node
from study_results import one_view, second_revision

PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE = QUERY_SOP_CLASSES[evt.EVT_C_MOVE]
PATIENT_ROOT_GET, STUDY_ROOT_GET = QUERY_SOP_CLASSES[evt.EVT_C_GET]
PATIENT = "SECRET-ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """What a retrieval was answered with: the statuses of all responses, and the last of them."""

    statuses: list[int]
    last: Dataset
    failed: list[str]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many sub-operations succeeded, failed, and had a warning."""
        return (
            self.last.NumberOfCompletedSuboperations,
            self.last.NumberOfFailedSuboperations,
            self.last.NumberOfWarningSuboperations,
        )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ResultingNode]:
    with resulting_node(tmp_path) as node:
        yield node


@pytest.fixture
def pacs() -> Iterator[LoopbackPACS]:
    with loopback_pacs() as pacs:
        yield pacs


@contextmanager
def asked(
    node: ResultingNode, pacs_port: int = 1, *, network_timeout_s: float = 60, **delivery: Any
) -> Iterator[Receiver]:
    """Ask a node that may move to one destination and one more AE."""
    destination = DestinationSettings.model_validate(
        {
            "name": "pacs",
            "ae_title": "PACS",
            "host": "127.0.0.1",
            "port": pacs_port,
            "profile": "ohif",
            **delivery,
        }
    )
    query = QuerySettings(
        max_retrievals=2,
        move_destinations=(PeerSettings(ae_title="READER", host="127.0.0.1", port=pacs_port),),
    )
    with asked_node(
        node.database,
        node.store.path("x").parent,
        query=query,
        destinations=(destination,),
        network_timeout_s=network_timeout_s,
    ) as receiver:
        yield receiver


@contextmanager
def associated(
    receiver: Receiver,
    contexts: Sequence[str],
    *,
    storage: Sequence[str] = (),
    syntax: str = ExplicitVRLittleEndian,
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Association]:
    ae = AE(ae_title="READER")
    for sop_class in contexts:
        ae.add_requested_context(sop_class)
    for sop_class in storage:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate(
        "127.0.0.1",
        receiver.port,
        ae_title="MAMMONODE",
        ext_neg=[build_role(sop_class, scp_role=True) for sop_class in storage],
        evt_handlers=list(handlers),
    )
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def ended(responses: Iterator[tuple[Dataset, Dataset | None]]) -> Retrieved:
    """Read all responses."""
    answers = list(responses)
    last, identifier = answers[-1]
    failed = [] if identifier is None else identifier.get("FailedSOPInstanceUIDList", []) or []
    return Retrieved(
        statuses=[status.get("Status", -1) for status, _ in answers],
        last=last,
        failed=[failed] if isinstance(failed, str) else [str(uid) for uid in failed],
    )


def move(
    receiver: Receiver, identifier: Dataset, *, to: str = "PACS", model: str = STUDY_ROOT_MOVE
) -> Retrieved:
    with associated(receiver, [model]) as association:
        return ended(association.send_c_move(identifier, to, model, msg_id=77))


def get(
    receiver: Receiver,
    identifier: Dataset,
    *,
    model: str = STUDY_ROOT_GET,
    storage: Sequence[str] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    status: int = SUCCESS,
) -> tuple[Retrieved, dict[str, bytes]]:
    """Retrieve by C-GET, and give what came as it was encoded, by SOP Instance UID."""
    got: dict[str, bytes] = {}

    def store(event: evt.Event) -> int:
        request: Any = event.request
        got[str(request.AffectedSOPInstanceUID)] = encoded_dataset(event)
        return status

    with associated(
        receiver,
        [model],
        storage=sop_classes(receiver) if storage is None else storage,
        syntax=syntax,
        handlers=[(evt.EVT_C_STORE, store)],
    ) as association:
        return ended(association.send_c_get(identifier, model)), got


def sop_classes(receiver: Receiver) -> list[str]:
    with receiver._answers._database.reading() as session:
        return sorted(set(session.scalars(select(Result.sop_class_uid))))


def data_sets(node: ResultingNode, uids: Sequence[str] | None = None) -> dict[str, bytes]:
    """Give the data sets of results as the store has them, without file meta information."""
    with node.database.reading() as session:
        paths = {
            row.sop_instance_uid: node.store.path(row.path)
            for row in session.scalars(select(Result))
        }
    return {
        uid: path.read_bytes()[dataset_offset(path) :]
        for uid, path in paths.items()
        if uid in (uids or node.contents)
    }


def results_of(node: ResultingNode, kind: str) -> list[Result]:
    with node.database.reading() as session:
        return list(session.scalars(select(Result).where(Result.kind == kind).order_by(Result.id)))


def another_study(study_instance_uid: str) -> StudyResult:
    """Make a study of one view, in a series and with an instance of its own."""
    return one_view(seed=7, study_instance_uid=study_instance_uid)


def identifiers(node: ResultingNode) -> dict[str, tuple[Dataset, list[str]]]:
    """Give an identifier of each level, and what it means."""
    uid = node.study_instance_uid
    heat_maps = results_of(node, "heat_map")
    series = heat_maps[0].series_instance_uid
    two = [row.sop_instance_uid for row in heat_maps[:2]]
    return {
        "PATIENT": (keys("PATIENT", PatientID=PATIENT), list(node.contents)),
        "STUDY": (keys("STUDY", PatientID=PATIENT, StudyInstanceUID=uid), list(node.contents)),
        "SERIES": (
            keys("SERIES", PatientID=PATIENT, StudyInstanceUID=uid, SeriesInstanceUID=series),
            [row.sop_instance_uid for row in heat_maps],
        ),
        "IMAGE": (
            keys(
                "IMAGE",
                PatientID=PATIENT,
                StudyInstanceUID=uid,
                SeriesInstanceUID=series,
                SOPInstanceUID=two,
            ),
            two,
        ),
    }


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_c_move_sends_what_is_meant_as_it_is_stored(
    node: ResultingNode, pacs: LoopbackPACS, level: str
) -> None:
    identifier, meant = identifiers(node)[level]
    study_root = keys(**{each.keyword: each.value for each in identifier if each.tag != 0x00100020})
    study_root.QueryRetrieveLevel = level

    with asked(node, pacs.port) as receiver:
        moved = move(receiver, identifier, model=PATIENT_ROOT_MOVE)
        if level != "PATIENT":
            again = move(receiver, study_root, model=STUDY_ROOT_MOVE)
            assert again.counts == moved.counts

    assert moved.statuses == [PENDING] * len(meant) + [SUCCESS]
    assert moved.counts == (len(meant), 0, 0)
    assert pacs.contents == data_sets(node, meant)
    assert set(pacs.originators) == {("READER", 77)}
    assert set(pacs.calling_ae_titles) == {"MAMMONODE"}


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_c_get_brings_what_is_meant_as_it_is_stored(node: ResultingNode, level: str) -> None:
    identifier, meant = identifiers(node)[level]

    with asked(node) as receiver:
        retrieved, got = get(receiver, identifier, model=PATIENT_ROOT_GET)

    assert retrieved.statuses == [PENDING] * len(meant) + [SUCCESS]
    assert retrieved.counts == (len(meant), 0, 0)
    assert got == data_sets(node, meant)


def test_an_ae_that_only_retrieves_is_moved_to_as_well(
    node: ResultingNode,
) -> None:
    with loopback_pacs(ae_title="READER") as reader, asked(node, reader.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=node.study_instance_uid), to="READER")

    assert moved.statuses[-1] == SUCCESS
    assert reader.contents == data_sets(node)


def test_several_studies_are_named_in_a_list(node: ResultingNode, pacs: LoopbackPACS) -> None:
    first, contents = node.study_instance_uid, dict(node.contents)
    node.add_study(another_study("1.2.826.0.1.99"), number=2, patient_id="OTHER")

    with asked(node, pacs.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=[first, "1.2.826.0.1.99", "1.2.3"]))

    assert moved.last.Status == SUCCESS
    assert pacs.contents.keys() == contents.keys() | node.contents.keys()


def test_what_nobody_has_is_no_failure(node: ResultingNode, pacs: LoopbackPACS) -> None:
    with asked(node, pacs.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID="1.2.3"))
        retrieved, got = get(receiver, keys("PATIENT", PatientID="x"), model=PATIENT_ROOT_GET)

    assert (moved.statuses, moved.counts) == ([SUCCESS], (0, 0, 0))
    assert (retrieved.statuses, retrieved.counts, got) == ([SUCCESS], (0, 0, 0), {})
    assert pacs.associations == 0


@pytest.mark.parametrize(
    "state", [StudyState.RECEIVING, StudyState.SCHEDULED, StudyState.IN_PROGRESS]
)
def test_results_that_are_not_ready_yet_are_told_from_none(
    node: ResultingNode, pacs: LoopbackPACS, state: StudyState
) -> None:
    with node.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.revisions.append(revision_entry(study, number=2, state=StudyState.SCHEDULED))
        study.state = state

    with asked(node, pacs.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=node.study_instance_uid))

    assert moved.statuses == [UNABLE_TO_PERFORM]
    assert moved.last.ErrorComment == "results are not ready yet: ask later"


def test_a_failed_study_without_reports_has_no_results(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    with node.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.revisions.append(revision_entry(study, number=2, state=StudyState.FAILED))
        study.state = StudyState.FAILED

    with asked(node, pacs.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=node.study_instance_uid))

    assert moved.statuses == [SUCCESS]


@pytest.mark.parametrize("level", ["STUDY", "IMAGE"])
def test_results_that_name_the_patient_from_before_a_correction_are_not_given(
    node: ResultingNode, pacs: LoopbackPACS, level: str
) -> None:
    with node.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.corrections.append(
            PatientCorrection(
                at=study.revisions[-1].closed_at + timedelta(days=1),
                by="somebody",
                reason="",
                before={"PatientID": "WRONG"},
                after={"PatientID": "RIGHT"},
            )
        )
    identifier, _ = identifiers(node)[level]

    with asked(node, pacs.port) as receiver:
        moved = move(receiver, identifier, model=PATIENT_ROOT_MOVE)

    assert moved.statuses == [UNABLE_TO_PERFORM]
    assert moved.last.ErrorComment == "results name the patient as before a correction"
    assert pacs.requests == []


def test_images_that_came_from_outside_are_not_given(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    with node.database.reading() as session:
        image = session.scalars(select(Study)).one().instances[0]
        series, uid = image.series_instance_uid, image.sop_instance_uid
    study = node.study_instance_uid

    with asked(node, pacs.port) as receiver:
        of_series = move(receiver, keys("SERIES", StudyInstanceUID=study, SeriesInstanceUID=series))
        of_image = move(
            receiver,
            keys("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=uid),
        )

    assert of_series.statuses == of_image.statuses == [UNABLE_TO_PERFORM]
    assert of_image.last.ErrorComment == "only results are given: ask the archive for images"


def test_an_earlier_revision_is_given_where_its_objects_are_named(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    (old,) = results_of(node, "score_report")
    with node.database.writing() as session:
        study = session.scalars(select(Study)).one()
        newer = revision_entry(study, number=2, state=StudyState.COMPLETED)
        node.add_results(newer, second_revision())
        study.revisions.append(newer)
    uid = node.study_instance_uid

    with asked(node, pacs.port) as receiver:
        move(receiver, keys(StudyInstanceUID=uid))
        newest = set(pacs.contents)
        named = move(
            receiver,
            keys(
                "IMAGE",
                StudyInstanceUID=uid,
                SeriesInstanceUID=old.series_instance_uid,
                SOPInstanceUID=old.sop_instance_uid,
            ),
        )

    assert newest == set(node.contents)
    assert old.sop_instance_uid not in newest
    assert named.counts == (1, 0, 0)
    assert old.sop_instance_uid in pacs.contents


def test_two_patients_of_one_id_are_not_mixed_up(node: ResultingNode, pacs: LoopbackPACS) -> None:
    contents = dict(node.contents)
    other = node.add_study(another_study("1.2.826.0.1.99"), number=2)
    with node.database.writing() as session:
        session.get_one(Study, other.id).issuer_of_patient_id = "ELSEWHERE"

    with asked(node, pacs.port) as receiver:
        both = move(receiver, keys("PATIENT", PatientID=PATIENT), model=PATIENT_ROOT_MOVE)
        one = move(
            receiver,
            keys("PATIENT", PatientID=PATIENT, IssuerOfPatientID="SECRET-ISSUER"),
            model=PATIENT_ROOT_MOVE,
        )

    assert both.statuses == [UNABLE_TO_PROCESS]
    assert one.last.Status == SUCCESS
    assert pacs.contents.keys() == contents.keys()


def test_what_is_gone_or_damaged_is_counted_and_the_rest_is_sent(
    node: ResultingNode, pacs: LoopbackPACS, caplog: pytest.LogCaptureFixture
) -> None:
    with node.database.writing() as session:
        expired, damaged, missing, *others = session.scalars(select(Revision)).one().results
        expired.removed_at, expired.removed_because = RECEIVED_AT + timedelta(days=9), Gone.EXPIRED
        node.store.path(damaged.path).write_bytes(b"damaged")
        node.store.remove(missing.path)
        lost = {row.sop_instance_uid for row in (expired, damaged, missing)}

    with caplog.at_level(logging.DEBUG), asked(node, pacs.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=node.study_instance_uid))
        retrieved, got = get(receiver, keys(StudyInstanceUID=node.study_instance_uid))

    assert moved.last.Status == retrieved.last.Status == SOME_FAILED
    assert moved.counts == retrieved.counts == (len(others), 3, 0)
    assert set(moved.failed) == set(retrieved.failed) == lost
    assert pacs.contents.keys() == got.keys() == node.contents.keys() - lost
    reasons = [
        record.__dict__["reason"]
        for record in caplog.records
        if getattr(record, "event", "") == "sub_operation_failed"
    ]
    assert len(reasons) == 6
    assert reasons[0] == "its file is gone"
    assert "SECRET" not in "".join(str(record.__dict__) for record in caplog.records)


def test_refusals_and_warnings_of_the_destination_are_counted(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    first, second, *others = node.contents
    pacs.statuses = {first: 0xA700, second: 0xB007}

    with asked(node, pacs.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=node.study_instance_uid))

    assert moved.last.Status == SOME_FAILED
    assert moved.counts == (len(others), 1, 1)
    assert moved.failed == [first]


def test_where_nothing_gets_there_the_retrieval_has_failed(node: ResultingNode) -> None:
    with asked(node, pacs_port=9) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=node.study_instance_uid))
        retrieved, _ = get(receiver, keys(StudyInstanceUID=node.study_instance_uid), status=0xC000)

    count = len(node.contents)
    assert moved.last.Status == retrieved.last.Status == UNABLE_TO_PERFORM
    assert moved.counts == retrieved.counts == (0, count, 0)
    assert set(moved.failed) == set(node.contents)


def test_a_destination_that_is_not_known_is_refused(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    with asked(node, pacs.port) as receiver:
        moved = move(receiver, keys(StudyInstanceUID=node.study_instance_uid), to="NOBODY")

    assert moved.statuses == [MOVE_DESTINATION_UNKNOWN]
    assert pacs.associations == 0


@pytest.mark.parametrize(
    ("identifier", "comment"),
    [
        (keys(None, StudyInstanceUID="1.2.3"), "Level: STUDY, SERIES, IMAGE"),
        (keys("PATIENT", PatientID="1"), "Level: STUDY, SERIES, IMAGE"),
        (keys("FRAME", StudyInstanceUID="1.2.3"), "Level: STUDY, SERIES, IMAGE"),
        (keys("STUDY"), "STUDY level: a list of StudyInstanceUID"),
        (keys("STUDY", StudyInstanceUID=""), "STUDY level: a list of StudyInstanceUID"),
        (
            keys("SERIES", SeriesInstanceUID="1.2.3"),
            "SERIES level: one StudyInstanceUID; no relational queries",
        ),
        (
            keys("IMAGE", StudyInstanceUID="1.2", SeriesInstanceUID="1.3"),
            "IMAGE level: a list of SOPInstanceUID",
        ),
    ],
)
def test_an_identifier_without_its_keys_is_refused(
    node: ResultingNode, pacs: LoopbackPACS, identifier: Dataset, comment: str
) -> None:
    with asked(node, pacs.port) as receiver:
        moved = move(receiver, identifier)
        retrieved, _ = get(receiver, identifier)

    assert moved.statuses == retrieved.statuses == [IDENTIFIER_DOES_NOT_MATCH]
    assert moved.last.ErrorComment == retrieved.last.ErrorComment == comment


@pytest.mark.parametrize("patient_id", ["", "SECRET*", ["A", "B"]])
def test_one_patient_is_named_at_patient_level(
    node: ResultingNode, pacs: LoopbackPACS, patient_id: str | list[str]
) -> None:
    with asked(node, pacs.port) as receiver:
        moved = move(receiver, keys("PATIENT", PatientID=patient_id), model=PATIENT_ROOT_MOVE)

    assert moved.statuses == [IDENTIFIER_DOES_NOT_MATCH]


def test_a_caller_that_proposes_no_storage_gets_nothing(node: ResultingNode) -> None:
    with asked(node) as receiver:
        identifier = keys(StudyInstanceUID=node.study_instance_uid)
        none, _ = get(receiver, identifier, storage=[])
        (report,) = results_of(node, "cad_report")
        some, got = get(receiver, identifier, storage=[report.sop_class_uid])
        implicit, _ = get(receiver, identifier, syntax=ImplicitVRLittleEndian)

    assert none.last.Status == UNABLE_TO_PERFORM
    assert some.last.Status == SOME_FAILED
    assert got.keys() == {report.sop_instance_uid}
    assert implicit.last.Status == UNABLE_TO_PERFORM


def test_a_move_is_cancelled_in_the_middle(node: ResultingNode, pacs: LoopbackPACS) -> None:
    with asked(node, pacs.port) as receiver, associated(receiver, [STUDY_ROOT_MOVE]) as association:
        responses = association.send_c_move(
            keys(StudyInstanceUID=node.study_instance_uid), "PACS", STUDY_ROOT_MOVE, msg_id=3
        )
        pacs.delay_s = 0.05
        next(responses)
        association.send_c_cancel(3, query_model=STUDY_ROOT_MOVE)
        moved = ended(responses)
        assert association.is_established

    completed, failed, warnings = moved.counts
    assert moved.last.Status == CANCELLED
    assert (failed, warnings) == (0, 0)
    assert moved.last.NumberOfRemainingSuboperations == len(node.contents) - completed > 0
    assert len(pacs.requests) == completed


def test_a_get_is_cancelled_in_the_middle(node: ResultingNode) -> None:
    got: list[str] = []

    def store(event: evt.Event) -> int:
        request: Any = event.request
        got.append(str(request.AffectedSOPInstanceUID))
        if len(got) == 1:
            event.assoc.send_c_cancel(5, query_model=STUDY_ROOT_GET)
        return SUCCESS

    with (
        asked(node) as receiver,
        associated(
            receiver,
            [STUDY_ROOT_GET],
            storage=sop_classes(receiver),
            handlers=[(evt.EVT_C_STORE, store)],
        ) as association,
    ):
        retrieved = ended(
            association.send_c_get(
                keys(StudyInstanceUID=node.study_instance_uid), STUDY_ROOT_GET, msg_id=5
            )
        )

    assert retrieved.last.Status == CANCELLED
    assert retrieved.counts[0] == len(got) < len(node.contents)


def test_a_silent_destination_holds_up_nobody_else(node: ResultingNode) -> None:
    identifier = keys(StudyInstanceUID=node.study_instance_uid)
    with (
        silent_peer() as port,
        asked(node, port, acse_timeout_s=2) as receiver,
        associated(receiver, [STUDY_ROOT_MOVE]) as association,
    ):
        responses = association.send_c_move(identifier, "PACS", STUDY_ROOT_MOVE)
        next(responses)
        retrieved, _ = get(receiver, identifier)
        moved = ended(responses)

    assert retrieved.last.Status == SUCCESS
    assert moved.last.Status == UNABLE_TO_PERFORM


def test_a_requestor_that_is_gone_ends_the_retrieval(
    node: ResultingNode, pacs: LoopbackPACS, caplog: pytest.LogCaptureFixture
) -> None:
    pacs.delay_s = 0.05

    with caplog.at_level(logging.INFO), asked(node, pacs.port) as receiver:
        with associated(receiver, [STUDY_ROOT_MOVE]) as association:
            responses = association.send_c_move(
                keys(StudyInstanceUID=node.study_instance_uid), "PACS", STUDY_ROOT_MOVE
            )
            next(responses)
            association.abort()
        wait_until(
            lambda: "Retrieval answered" in caplog.text, "the end of the retrieval is logged"
        )

    (line,) = [r for r in caplog.records if getattr(r, "event", "") == "retrieval_answered"]
    assert line.__dict__["outcome"] == "the association ended"
    assert len(pacs.requests) < len(node.contents)


def test_a_retrieval_in_the_context_of_another_service_is_refused(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    with asked(node, pacs.port) as receiver, associated(receiver, [STUDY_ROOT_GET]) as association:
        context = association.accepted_contexts[0]
        context._abstract_syntax = STUDY_ROOT_MOVE  # so that the client sends it all the same
        moved = ended(
            association.send_c_move(
                keys(StudyInstanceUID=node.study_instance_uid), "PACS", STUDY_ROOT_MOVE
            )
        )

    assert moved.statuses == [0x0122]
    assert pacs.associations == 0


def test_one_log_line_says_what_was_retrieved_and_no_patient(
    node: ResultingNode, pacs: LoopbackPACS, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), asked(node, pacs.port) as receiver:
        move(receiver, keys("PATIENT", PatientID=PATIENT), model=PATIENT_ROOT_MOVE)

    (line,) = [
        record.__dict__
        for record in caplog.records
        if getattr(record, "event", "") == "retrieval_answered"
    ]
    assert (line["level"], line["model"], line["move_destination"]) == (
        "PATIENT",
        "PATIENT",
        "PACS",
    )
    assert (line["completed"], line["failed"], line["outcome"]) == (
        len(node.contents),
        0,
        "answered",
    )
    assert "SECRET" not in "".join(str(record.__dict__) for record in caplog.records)


def test_c_move_speaks_tls_where_the_destination_does(node: ResultingNode, tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    identifier = keys(StudyInstanceUID=node.study_instance_uid)

    with loopback_pacs(tls=context) as pacs:
        with asked(node, pacs.port, tls=True, tls_ca_file=str(tmp_path / "ca.pem")) as receiver:
            over_tls = move(receiver, identifier)
        with asked(node, pacs.port, acse_timeout_s=2) as receiver:
            without = move(receiver, identifier)

    assert over_tls.counts == (len(node.contents), 0, 0)
    assert without.last.Status == UNABLE_TO_PERFORM
    assert len(pacs.requests) == len(node.contents)


def test_retrievals_that_find_no_place_in_time_are_refused(
    node: ResultingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "WAIT_S", 0.05)
    identifier = keys(StudyInstanceUID=node.study_instance_uid)

    with (
        silent_peer() as port,
        asked(node, port, acse_timeout_s=3) as receiver,
        associated(receiver, [STUDY_ROOT_MOVE]) as first,
        associated(receiver, [STUDY_ROOT_MOVE]) as second,
    ):
        waiting = [
            association.send_c_move(identifier, "PACS", STUDY_ROOT_MOVE)
            for association in (first, second)
        ]
        for responses in waiting:
            next(responses)
        third, _ = get(receiver, identifier)
        for responses in waiting:
            ended(responses)
        again, _ = get(receiver, identifier)

    assert third.statuses == [UNABLE_TO_PERFORM]
    assert third.last.ErrorComment == "too many retrievals at the same time"
    assert again.last.Status == SUCCESS


def test_a_receiver_that_stops_does_not_wait_for_a_long_retrieval(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    pacs.delay_s = 0.1

    with asked(node, pacs.port) as receiver, associated(receiver, [STUDY_ROOT_MOVE]) as association:
        responses = association.send_c_move(
            keys(StudyInstanceUID=node.study_instance_uid), "PACS", STUDY_ROOT_MOVE
        )
        next(responses)
        receiver.stop(deadline_s=0.05)
        moved = ended(responses)

    assert "Status" not in moved.last or moved.last.Status == PENDING
    assert len(pacs.requests) < len(node.contents)


def test_a_requestor_that_waits_for_a_slow_destination_is_not_idle(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    pacs.delay_s = 0.8
    identifier, _ = identifiers(node)["IMAGE"]

    with (
        asked(node, pacs.port, network_timeout_s=0.5) as receiver,
        associated(receiver, [PATIENT_ROOT_MOVE]) as association,
    ):
        moved = [
            ended(association.send_c_move(identifier, "PACS", PATIENT_ROOT_MOVE)) for _ in range(2)
        ]

    assert [each.last.get("Status") for each in moved] == [SUCCESS] * 2


def test_a_request_that_names_no_move_destination_is_refused_and_the_association_goes_on(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    request = C_MOVE()
    request.MessageID, request.AffectedSOPClassUID = 7, UID(STUDY_ROOT_MOVE)
    wanted = keys(StudyInstanceUID=node.study_instance_uid)
    request.Identifier = BytesIO(encode(wanted, False, True) or b"")
    with asked(node, pacs.port) as receiver, associated(receiver, [STUDY_ROOT_MOVE]) as association:
        (context,) = association.accepted_contexts
        association.dimse_timeout = 5
        association._reactor_checkpoint.clear()  # the answer is ours to read
        wait_until(lambda: association._is_paused, "the client to be quiet")
        association.dimse.send_msg(request, context.context_id or 0)
        _, response = association.dimse.get_msg(block=True)
        association._reactor_checkpoint.set()
        after = ended(association.send_c_move(wanted, "PACS", STUDY_ROOT_MOVE))

    assert isinstance(response, C_MOVE)
    assert response.Status == UNABLE_TO_PROCESS
    assert response.MessageIDBeingRespondedTo == 7
    assert response.ErrorComment
    assert after.statuses[-1] == SUCCESS


def test_a_request_in_the_context_of_another_operation_is_refused(
    node: ResultingNode, pacs: LoopbackPACS
) -> None:
    wanted = keys(StudyInstanceUID=node.study_instance_uid)
    with (
        asked(node, pacs.port) as receiver,
        associated(receiver, [STUDY_ROOT_MOVE, STUDY_ROOT_FIND]) as association,
    ):
        found = ended(association.send_c_find(wanted, STUDY_ROOT_MOVE))
        moved = ended(association.send_c_move(wanted, "PACS", STUDY_ROOT_FIND))

    assert found.statuses == moved.statuses == [0x0122]
    assert pacs.contents == {}
