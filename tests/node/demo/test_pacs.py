from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, VerificationPresentationContexts

from node.demo.pacs import AE_TITLE, FilingPacs
from phantoms import mammogram, uid


def test_an_object_is_filed_as_it_came_in_the_folder_of_its_study(tmp_path: Path) -> None:
    ds = mammogram(seed=3)
    names = {str(ds.StudyInstanceUID): "first"}
    with FilingPacs(tmp_path, names) as pacs:
        ae = AE()
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", pacs.port, ae_title=AE_TITLE)
        statuses = [association.send_c_store(ds).Status for _ in range(2)]
        association.release()
        (filed,) = pacs.filed

    assert statuses == [0x0000, 0x0000]
    assert filed.path.parent == tmp_path / "first"
    assert filed.sop_instance_uid == ds.SOPInstanceUID
    assert (filed.laterality, filed.view_position) == ("R", "CC")
    assert dcmread(filed.path).PixelData == ds.PixelData
    assert len(list(tmp_path.rglob("*.dcm"))) == 1


def test_two_objects_that_look_alike_are_both_filed(tmp_path: Path) -> None:
    alike = [mammogram(seed=3), mammogram(seed=3, SOPInstanceUID=uid("another"))]
    alike[1].file_meta.MediaStorageSOPInstanceUID = alike[1].SOPInstanceUID
    with FilingPacs(tmp_path, {}) as pacs:
        ae = AE()
        ae.add_requested_context(alike[0].SOPClassUID, alike[0].file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", pacs.port, ae_title=AE_TITLE)
        for ds in alike:
            association.send_c_store(ds)
        association.release()
        filed = pacs.filed

    assert {one.sop_instance_uid for one in filed} == {ds.SOPInstanceUID for ds in alike}
    assert [dcmread(one.path).SOPInstanceUID for one in filed] == [
        ds.SOPInstanceUID for ds in alike
    ]


def test_it_answers_echo_to_its_own_ae_title_alone(tmp_path: Path) -> None:
    ae = AE()
    ae.requested_contexts = VerificationPresentationContexts
    with FilingPacs(tmp_path, {}) as pacs:
        known = ae.associate("127.0.0.1", pacs.port, ae_title=AE_TITLE)
        status = known.send_c_echo().Status
        known.release()
        unknown = ae.associate("127.0.0.1", pacs.port, ae_title="SOMEBODY")

    assert status == 0x0000
    assert unknown.is_rejected
