"""What is known of an instance before its pixels are read, whatever its header holds."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

import study_results
from node.analysis.headers import read_source
from node.analysis.sources import SourceInstance
from node.report.write import write_results
from node.results import ResultKind
from phantoms import mammogram, write
from reliability.mutations import nested

SEQUENCES = ("ViewCodeSequence", "OtherPatientIDsSequence", "RequestAttributesSequence")
BROKEN = {
    "too short": b"\xfe\xff\x00\xe0\x64\x00\x00\x00\x08\x00",
    "no items": b"no items at all",
    "a value of no whole number": b"\xfe\xff\x00\xe0\x0b\0\0\0\x28\0\x02\0US\x03\0\1\0\0",
    # The walk over the data set ends at the fault and does not see what is behind it.
    "nested behind a fault": nested(
        1, is_defined=True, content=b"\xfe\xff\x00\xe0\0\0\0\0" + nested(3000)
    )[12:],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("transfer_syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("name", BROKEN)
def test_a_sequence_that_cannot_be_read_fails_no_report(
    tmp_path: Path, name: str, transfer_syntax: str
) -> None:
    ds = mammogram(rows=64, columns=48, transfer_syntax=transfer_syntax)
    is_implicit = transfer_syntax == ImplicitVRLittleEndian
    content = BROKEN[name] + b"\0" * (len(BROKEN[name]) % 2)
    for keyword in SEQUENCES:
        tag = Tag(keyword)
        ds[tag] = RawDataElement(tag, "SQ", len(content), content, 0, is_implicit, True)
    path = write(ds, tmp_path)

    header = read_source(SourceInstance(path=path, dataset_sha256="0" * 64)).ds
    result = study_results.one_view()
    instances = [replace(each, source=header) for each in result.instances]

    assert header.PatientID == ds.PatientID
    assert write_results(replace(result, instances=tuple(instances)), tuple(ResultKind))
