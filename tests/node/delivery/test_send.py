"""Every kind of result object, over a real association to a PACS on the loopback."""

from pathlib import Path

import phantoms
import study_results
from node.delivery.send import StoredObject, send
from node.report.write import write_results
from node.result_kinds import ResultKind
from node.settings import DestinationSettings
from peers import loopback_pacs


def test_every_kind_finds_a_presentation_context(tmp_path: Path) -> None:
    made = [m.dataset for m in write_results(study_results.positive(), tuple(ResultKind))]
    objects = [
        StoredObject(
            key=key,
            path=phantoms.write(ds, tmp_path),
            sop_class_uid=str(ds.SOPClassUID),
            sop_instance_uid=str(ds.SOPInstanceUID),
        )
        for key, ds in enumerate(made)
    ]

    with loopback_pacs() as pacs:
        destination = DestinationSettings(
            name="pacs", ae_title="PACS", host="127.0.0.1", port=pacs.port, profile="everything"
        )
        answers = list(send(objects, destination, calling_ae_title="MAMMONODE"))

    assert [answer.status for answer in answers] == [0x0000] * len(objects)
    assert {ds.SOPInstanceUID for ds in pacs.received} == {ds.SOPInstanceUID for ds in made}
