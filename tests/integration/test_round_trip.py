"""What an archive that others wrote gives back is what was sent, under the same patient."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # type: ignore[attr-defined]  # made at import

import many_studies
import phantoms
import study_results
from many_studies import CHARACTER_SETS, UNKNOWN_TO_DCIODVFY
from node.delivery.send import StoredObject, send
from node.report.write import write_results
from node.results import ResultKind, StudyResult
from node.settings import DestinationSettings
from orthanc import AE_TITLE, Orthanc, running_orthanc

pytestmark = pytest.mark.integration

OWN_AE_TITLE = "MAMMONODE"
STUDIES: dict[str, Callable[[], StudyResult]] = {
    **{
        f"a name in {name}": partial(many_studies.in_character_set, name)
        for name in (*CHARACTER_SETS, *UNKNOWN_TO_DCIODVFY)
    },
    **{
        made.__name__: made
        for made in (
            study_results.second_revision,
            study_results.films,
            study_results.partly_triaged,
            many_studies.absent_type_2,
            many_studies.empty_type_2,
            many_studies.longest_values,
            many_studies.identified_by_others,
            many_studies.beyond_the_character_set,
            many_studies.lossy,
        )
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was sent to an archive and what came back.

    Attributes
    ----------
    before, after
        The archive's own ids of its patients and studies, without the results and with them.
    sent, came_back
        By SOP Instance UID.
    tags
        Attributes by keyword, as the archive reads them, of every instance of the study.
    """

    result: StudyResult
    before: dict[str, list[str]]
    after: dict[str, list[str]]
    sent: dict[str, Dataset]
    came_back: dict[str, Dataset]
    tags: list[dict[str, Any]]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        may_get = {"AET": OWN_AE_TITLE, "Host": "127.0.0.1", "Port": 104, "AllowGet": True}
        peer.ask("/modalities/node", method="PUT", body=json.dumps(may_get).encode())
        yield peer


def store_sources(orthanc: Orthanc, result: StudyResult) -> None:
    """Put the images that a result was made from into the archive, without their pixels."""
    for instance in result.instances:
        ds = instance.source
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        orthanc.ask("/instances", method="POST", body=phantoms.to_bytes(ds))


def write_and_send(orthanc: Orthanc, result: StudyResult, folder: Path) -> dict[str, Dataset]:
    """Send every kind as the node does, and give the data sets as they were stored."""
    objects = [
        StoredObject(
            key=number,
            path=phantoms.write(made.dataset, folder),
            sop_class_uid=made.dataset.SOPClassUID,
            sop_instance_uid=made.dataset.SOPInstanceUID,
        )
        for number, made in enumerate(write_results(result, tuple(ResultKind)))
    ]
    destination = DestinationSettings(
        name="archive",
        ae_title=AE_TITLE,
        host="127.0.0.1",
        port=orthanc.dicom_port,
        results=tuple(ResultKind),
    )
    answers = send(objects, destination, calling_ae_title=OWN_AE_TITLE)
    assert {answer.status for answer in answers} == {0}
    return {stored.sop_instance_uid: dcmread(stored.path) for stored in objects}


def fetch(orthanc: Orthanc, study_instance_uid: str, sop_classes: set[str]) -> dict[str, Dataset]:
    """Get a study by C-GET: what of it is of these SOP classes."""
    fetched: dict[str, Dataset] = {}

    def keep(event: evt.Event) -> int:
        fetched[str(event.dataset.SOPInstanceUID)] = event.dataset
        return 0

    ae = AE(ae_title=OWN_AE_TITLE)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    for sop_class in sorted(sop_classes):
        ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_instance_uid
    assoc = ae.associate(
        "127.0.0.1",
        orthanc.dicom_port,
        ae_title=AE_TITLE,
        ext_neg=[build_role(sop_class, scp_role=True) for sop_class in sop_classes],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert assoc.is_established
    try:
        for status, _ in assoc.send_c_get(query, StudyRootQueryRetrieveInformationModelGet):
            assert status, "no answer to C-GET"
    finally:
        assoc.release()
    return fetched


@pytest.fixture(scope="module", params=STUDIES.values(), ids=list(STUDIES))
def exchange(
    request: pytest.FixtureRequest, orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exchange]:
    """A study in an archive that holds nothing else, its results sent there and fetched again."""
    result = request.param()
    store_sources(orthanc, result)
    before = held_by(orthanc)
    sent = write_and_send(orthanc, result, tmp_path_factory.mktemp("results"))
    sop_classes = {str(ds.SOPClassUID) for ds in sent.values()}
    yield Exchange(
        result=result,
        before=before,
        sent=sent,
        after=held_by(orthanc),
        came_back=fetch(orthanc, result.study_instance_uid, sop_classes),
        tags=[tags for study in before["studies"] for tags in orthanc.tags(study)],
    )
    for patient in orthanc.ask("/patients"):
        orthanc.ask(f"/patients/{patient}", method="DELETE")


def held_by(orthanc: Orthanc) -> dict[str, list[str]]:
    """Patients and studies that the archive knows."""
    return {level: sorted(orthanc.ask(f"/{level}")) for level in ("patients", "studies")}


def test_what_comes_back_is_element_for_element_what_was_sent(exchange: Exchange) -> None:
    assert exchange.came_back.keys() >= exchange.sent.keys()
    for uid, ds in exchange.sent.items():
        assert exchange.came_back[uid] == ds


def test_results_are_of_the_same_patient_and_study(exchange: Exchange) -> None:
    assert exchange.after == exchange.before
    assert {level: len(ids) for level, ids in exchange.after.items()} == {
        "patients": 1,
        "studies": 1,
    }
    assert len(exchange.tags) == len(exchange.sent) + len(exchange.result.instances)


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "PatientBirthDate", "PatientSex"])
def test_the_archive_reads_the_same_patient_in_images_and_results(
    keyword: str, exchange: Exchange
) -> None:
    assert len({tags.get(keyword, "") for tags in exchange.tags}) == 1
