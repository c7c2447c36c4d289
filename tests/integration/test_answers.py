"""What the node answers to whatever a sender may come up with, over real associations."""

import json
import logging
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from sqlalchemy import select

from node.demo.pacs import AE_TITLE, FilingPacs
from node.errors import TriageReason
from node.intake.receive import Receiver
from node.logs import JSONFormatter
from node.settings import ReceiveSettings, Settings
from node.store import Store
from node.study_log.database import Database
from node.study_log.tables import Conflict, Instance
from phantoms import mammogram
from reliability.mutations import nested
from serving import running_node, wait_until

pytestmark = pytest.mark.integration

PATIENT = {
    "PatientName": "Geheimrat^Apollonia",
    "PatientID": "SECRET-ID-4711",
    "PatientBirthDate": "19470811",
    "AccessionNumber": "SECRET-ACC-0815",
}
SECRETS = ("Geheimrat", "Apollonia", "SECRET-ID-4711", "19470811", "SECRET-ACC-0815")

VERIFICATION = "1.2.840.10008.1.1"
MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"

STUDY_DEADLINE_S = 240
"""For TensorFlow's start on a machine that has other things to do."""

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


class LineHandler(logging.Handler):
    """Keeps every line as the node would write it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JSONFormatter())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A receiver in this process, and what can be seen of it."""

    receiver: Receiver
    database: Database
    data_dir: Path
    log: LineHandler

    @property
    def refusals(self) -> list[dict[str, Any]]:
        """Log lines of ours that say that something was not taken."""
        return [
            line
            for line in self.log.lines
            if line["logger"].startswith("node.") and line["level"] != "INFO"
        ]

    def instances(self) -> list[Instance]:
        """Every row of the log that stands for an acknowledged instance."""
        with self.database.reading() as session:
            rows = list(session.scalars(select(Instance)))
            session.expunge_all()
        return rows

    def conflicts(self) -> list[Conflict]:
        """Every data set kept aside."""
        with self.database.reading() as session:
            rows = list(session.scalars(select(Conflict)))
            session.expunge_all()
        return rows

    def files(self) -> list[Path]:
        """Every file of the data folder that an object may be in."""
        places = (self.data_dir / "incoming", self.data_dir / "studies")
        return [path for place in places for path in place.rglob("*") if path.is_file()]

    def answers_echo(self) -> bool:
        """Whether a new association gets an answer to C-ECHO."""
        with associated(self, contexts=[(VERIFICATION, ImplicitVRLittleEndian)]) as association:
            return bool(association.send_c_echo().get("Status") == SUCCESS)


@contextmanager
def running(tmp_path: Path, *, store: Store | None = None, **options: Any) -> Iterator[Node]:
    """Run a receiver on a fresh data folder; its log must not give the patient away."""
    data_dir = tmp_path / "data"
    receive = ReceiveSettings(port=0, **{"low_watermark_bytes": 0, **options})
    settings = Settings(data_dir=data_dir, receive=receive)
    database = Database.open(settings)
    database.migrate()
    log = LineHandler()
    root = logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.INFO)
    receiver = Receiver(settings, database, store or Store(data_dir))
    receiver.start()
    try:
        yield Node(receiver=receiver, database=database, data_dir=data_dir, log=log)
    finally:
        receiver.stop()
        database.close()
        root.removeHandler(log)
        root.setLevel(level)
    told = [line for line in log.lines if any(secret in json.dumps(line) for secret in SECRETS)]
    assert told == []


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running(tmp_path) as running_receiver:
        yield running_receiver


def associate(
    node: Node,
    *,
    contexts: list[tuple[str, str]] | None = None,
    called: str = "MAMMONODE",
    calling: str = "MODALITY",
) -> Association:
    """Ask for an association; by default for one mammography context."""
    ae = AE(ae_title=calling)
    ae.dimse_timeout = ae.network_timeout = ae.acse_timeout = 20
    for sop_class_uid, transfer_syntax_uid in contexts or [
        (str(phantom().SOPClassUID), ExplicitVRLittleEndian)
    ]:
        ae.add_requested_context(sop_class_uid, transfer_syntax_uid)
    return ae.associate("127.0.0.1", node.receiver.port, ae_title=called)


@contextmanager
def associated(node: Node, **options: Any) -> Iterator[Association]:
    """Have an association for the length of a block."""
    association = associate(node, **options)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def rejection(association: Association) -> tuple[int | None, ...]:
    """Result, source and diagnostic of an A-ASSOCIATE-RJ, PS3.8 9.3.4."""
    primitive = association.acceptor.primitive
    assert primitive is not None
    return primitive.result, primitive.result_source, primitive.diagnostic


def phantom(**attributes: Any) -> Dataset:
    """Make a mammogram of the patient who must not appear in the log."""
    return mammogram(**{**PATIENT, "rows": 64, "columns": 48, **attributes})


def encoded(ds: Dataset) -> bytes:
    """Encode a data set in Explicit VR Little Endian, without file meta information."""
    data = encode(ds, is_implicit_vr=False, is_little_endian=True)
    assert data is not None
    return data


def send(
    association: Association,
    data: bytes,
    *,
    sop_class_uid: str | None = None,
    sop_instance_uid: str | None = None,
) -> int | None:
    """Send bytes as a C-STORE request, unchecked; give the status, or None if there was none."""
    whole = phantom()
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = sop_class_uid or str(whole.SOPClassUID)
    request.AffectedSOPInstanceUID = sop_instance_uid or str(whole.SOPInstanceUID)
    request.DataSet = BytesIO(data)
    context_id = association.accepted_contexts[0].context_id
    assert context_id is not None
    # As Association.send_c_store does, which would not let such a request out.
    association._reactor_checkpoint.clear()
    try:
        association.dimse.send_msg(request, context_id)
        _, response = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    status = getattr(response, "Status", None)
    return None if status is None else int(status)


def without_markers(pixel_data: bytes) -> bytes:
    """Wipe out where a JPEG 2000 codestream begins; fragments and lengths stay sound."""
    start = pixel_data.index(b"\xff\x4f\xff\x51")
    return pixel_data[:start] + bytes(100) + pixel_data[start + 100 :]


def send_one(node: Node, data: bytes, **options: Any) -> int | None:
    """Send bytes over an association of their own."""
    with associated(node) as association:
        return send(association, data, **options)


def without(keyword: str) -> bytes:
    """Encode a mammogram that lacks one attribute."""
    ds = phantom()
    del ds[keyword]
    return encoded(ds)


def with_element(keyword: str, value: str) -> bytes:
    """Encode a mammogram with one UID that pydicom would rather not write."""
    ds = phantom()
    marker = "9" * (len(value) + len(value) % 2)
    setattr(ds, keyword, marker)
    return encoded(ds).replace(marker.encode(), value.encode().ljust(len(marker), b"\0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What comes, and the status that answers it."""

    name: str
    make: Callable[[], bytes]
    status: int
    request: dict[str, str] = field(default_factory=dict)


WHOLE = encoded(phantom())

REFUSED = (
    Refused(name="bytes that are no data set", make=lambda: b"GIF89a" * 100, status=0xC000),
    Refused(name="zeros", make=lambda: bytes(4096), status=0xC000),
    Refused(name="a header cut off", make=lambda: WHOLE[:300], status=0xC000),
    Refused(name="pixel data cut off", make=lambda: WHOLE[:-1000], status=0xC000),
    Refused(name="no study", make=lambda: without("StudyInstanceUID"), status=0xC000),
    Refused(name="no series", make=lambda: without("SeriesInstanceUID"), status=0xC000),
    Refused(name="no instance", make=lambda: without("SOPInstanceUID"), status=0xC000),
    Refused(name="no SOP class", make=lambda: without("SOPClassUID"), status=0xC000),
    Refused(
        name="a study with a slash",
        make=lambda: with_element("StudyInstanceUID", "1.2/../../3"),
        status=0xC000,
    ),
    Refused(
        name="a series with a slash",
        make=lambda: with_element("SeriesInstanceUID", "/1.2"),
        status=0xC000,
    ),
    Refused(
        name="an instance with a slash",
        make=lambda: with_element("SOPInstanceUID", "1.2/3.4"),
        status=0xC000,
        request={"sop_instance_uid": "1.2/3.4"},
    ),
    Refused(
        name="a study of letters",
        make=lambda: with_element("StudyInstanceUID", "etc.passwd"),
        status=0xC000,
    ),
    Refused(
        name="a study of 66 characters",
        make=lambda: with_element("StudyInstanceUID", "1." * 32 + "12"),
        status=0xC000,
    ),
    Refused(
        name="a series that ends with a dot",
        make=lambda: with_element("SeriesInstanceUID", "1.2.3."),
        status=0xC000,
    ),
    Refused(
        name="sequences of known length nested without end",
        make=lambda: nested(1500, is_defined=True, tag=0x00081140) + WHOLE,
        status=0xC000,
    ),
    Refused(
        name="sequences of unknown length nested without end",
        make=lambda: nested(1500, tag=0x00081140) + WHOLE,
        status=0xC000,
    ),
    Refused(
        name="another SOP class than announced",
        make=lambda: with_element("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"),
        status=0xA900,
    ),
    Refused(
        name="another instance than announced",
        make=lambda: with_element("SOPInstanceUID", "1.2.3.4"),
        status=0xA900,
    ),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_is_no_good_data_set_is_refused_and_not_kept(node: Node, case: Refused) -> None:
    status = send_one(node, case.make(), **case.request)

    assert status == case.status, status
    assert len(node.refusals) == 1
    assert node.instances() == []
    assert node.files() == []
    assert node.answers_echo()


def test_a_deflated_data_set_that_would_fill_the_disk_is_refused_and_not_kept(
    tmp_path: Path,
) -> None:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    pixels = b"\xe0\x7f\x10\0OW\0\0" + struct.pack("<L", 10**8) + bytes(10**8)
    bomb = deflater.compress(encoded_head(phantom()) + pixels) + deflater.flush()
    sop_class_uid = str(phantom().SOPClassUID)

    with running(tmp_path, max_object_bytes=10**7) as node:
        with associated(node, contexts=[(sop_class_uid, DeflatedExplicitVRLittleEndian)]) as assoc:
            status = send(assoc, bomb)

        assert len(bomb) < 10**6
        assert status == CANNOT_UNDERSTAND
        assert node.files() == []
        assert node.answers_echo()


def encoded_head(ds: Dataset) -> bytes:
    """Encode what stands before the pixels."""
    del ds.PixelData
    return encoded(ds)


def test_an_association_goes_on_after_a_refusal(node: Node) -> None:
    with associated(node) as association:
        refused = send(association, WHOLE[:-1000])
        taken = send(association, WHOLE)

    assert refused != SUCCESS
    assert taken == SUCCESS
    assert len(node.instances()) == 1


def test_what_is_acknowledged_is_on_the_disk_as_it_came(node: Node) -> None:
    ds = phantom()

    status = send_one(node, encoded(ds))

    assert status == SUCCESS
    (path,) = node.files()
    assert path.read_bytes().endswith(WHOLE)
    assert dcmread(path).SOPInstanceUID == ds.SOPInstanceUID


def with_sequence(content: bytes) -> bytes:
    """Put an Acquisition Context Sequence (0040,0555) of that content into a mammogram."""
    ds = phantom()
    del ds.AcquisitionContextSequence
    ds.add_new(0x00400556, "ST", "MARK")
    head, mark, rest = encoded(ds).partition(b"\x40\0\x56\x05ST")
    assert mark
    sequence = b"\x40\0\x55\x05SQ\0\0" + len(content).to_bytes(4, "little") + content
    return head + sequence + mark + rest


ITEM = b"\xfe\xff\0\xe0"
DEEP = 3000


def test_sequences_that_cannot_be_read_differ_and_are_kept(node: Node) -> None:
    """Their length is given: they are skipped, and nobody needs to know what is inside."""
    contents = (b"\1\2\3\4", ITEM + b"\x63\0\0\0", (ITEM + b"\xff" * 4) * DEEP, ITEM)

    statuses = [send_one(node, with_sequence(content)) for content in contents]

    assert statuses == [SUCCESS] * len(contents)
    assert len(node.instances()) == 1
    assert len(node.conflicts()) == len(contents) - 1
    assert node.answers_echo()


def test_a_study_takes_as_many_instances_as_it_may_have_and_knows_those_again(
    tmp_path: Path,
) -> None:
    images = [phantom(instance_number=number) for number in range(3)]
    with running(tmp_path, max_study_instances=2) as node:
        statuses = [
            send_one(node, encoded(ds), sop_instance_uid=str(ds.SOPInstanceUID))
            for ds in (*images, images[0])
        ]

        assert statuses == [SUCCESS, SUCCESS, OUT_OF_RESOURCES, SUCCESS]
        assert len(node.files()) == 2


def test_a_study_takes_as_many_bytes_as_it_may_have(tmp_path: Path) -> None:
    first, second = phantom(instance_number=1), phantom(instance_number=2)
    other = phantom(seed=5)
    with running(tmp_path, max_study_bytes=len(WHOLE) + 1000) as node:
        statuses = [
            send_one(node, encoded(ds), sop_instance_uid=str(ds.SOPInstanceUID))
            for ds in (first, second, other)
        ]

        assert statuses == [SUCCESS, OUT_OF_RESOURCES, SUCCESS]
        assert len(node.files()) == 2


def test_a_view_modifier_of_no_known_vr_is_no_reason_to_refuse(node: Node) -> None:
    whole = encoded(phantom())
    head, tag, rest = whole.partition(b"\x54\0\x22\x02SQ")
    assert tag

    status = send_one(node, head + tag[:4] + b"ZZ" + rest)

    assert status == SUCCESS
    assert len(node.instances()) == 1
    assert node.answers_echo()


def test_another_called_ae_title_is_rejected_for_good(node: Node) -> None:
    association = associate(node, called="SOMEBODY")

    assert association.is_rejected
    # PS3.8 9.3.4: rejected permanent, by the service user, called AE title not recognised
    assert rejection(association) == (1, 1, 7)
    assert len(node.refusals) == 1
    assert node.answers_echo()


def test_a_calling_ae_title_that_is_not_allowed_is_rejected_for_good(tmp_path: Path) -> None:
    with running(tmp_path, allowed_ae_titles=("MODALITY",)) as node:
        association = associate(node, calling="STRANGER")

        assert association.is_rejected
        # PS3.8 9.3.4: rejected permanent, by the service user, calling AE title not recognised
        assert rejection(association) == (1, 1, 3)
        assert len(node.refusals) == 1
        assert node.answers_echo()


def test_a_presentation_context_that_is_not_offered_is_refused_alone(node: Node) -> None:
    contexts = [
        (MODALITY_WORKLIST_FIND, ImplicitVRLittleEndian),
        (str(phantom().SOPClassUID), ExplicitVRLittleEndian),
    ]

    with associated(node, contexts=contexts) as association:
        (refused,) = association.rejected_contexts
        status = send(association, WHOLE)

    assert refused.abstract_syntax == MODALITY_WORKLIST_FIND
    assert refused.result == 0x03  # PS3.8 table 9-18: abstract syntax not supported
    assert status == SUCCESS
    assert node.answers_echo()


def test_an_object_over_the_size_limit_breaks_the_association_and_leaves_no_file(
    tmp_path: Path,
) -> None:
    with running(tmp_path, max_object_bytes=100_000) as node:
        association = associate(node)
        large = encoded(phantom(rows=1024, columns=768))

        status = send(association, large)

        assert status is None
        wait_until(lambda: association.is_aborted, deadline_s=10, what="the association is aborted")
        wait_until(lambda: node.files() == [], deadline_s=10, what="no file is left")
        assert node.instances() == []
        assert len(node.refusals) == 1
        assert node.answers_echo()


def test_associations_are_rejected_as_transient_while_the_disk_is_low(tmp_path: Path) -> None:
    with running(tmp_path, low_watermark_bytes=2**60) as node:
        association = associate(node)

        assert association.is_rejected
        # PS3.8 9.3.4: rejected transient, by the service provider, temporary congestion
        assert rejection(association) == (2, 3, 1)
        assert len(node.refusals) == 1
        assert node.files() == []


class FillingStore(Store):
    """A store whose disk is full from a moment on that the test chooses."""

    is_full = False

    def free_bytes(self) -> int:
        return 0 if self.is_full else super().free_bytes()


def test_an_open_association_gets_out_of_resources_once_the_disk_is_low(tmp_path: Path) -> None:
    store = FillingStore(tmp_path / "data")
    with running(tmp_path, store=store, low_watermark_bytes=1) as node:
        with associated(node) as association:
            before = send(association, WHOLE)
            store.is_full = True
            other = phantom(view_position="MLO")
            after = send(association, encoded(other), sop_instance_uid=str(other.SOPInstanceUID))
            store.is_full = False

        assert before == SUCCESS
        assert after == OUT_OF_RESOURCES
        assert len(node.instances()) == len(node.files()) == 1
        assert len(node.refusals) == 1
        assert node.answers_echo()


def test_the_same_data_set_again_is_success_and_no_new_work(node: Node) -> None:
    statuses = [send_one(node, WHOLE), send_one(node, WHOLE)]

    assert statuses == [SUCCESS, SUCCESS]
    assert len(node.instances()) == len(node.files()) == 1
    assert node.conflicts() == []


def test_another_data_set_under_a_taken_uid_is_kept_aside(node: Node) -> None:
    corrected = encoded(phantom(PatientName="Geheimrat^Apolonia"))

    statuses = [send_one(node, WHOLE), send_one(node, corrected)]

    assert statuses == [SUCCESS, SUCCESS]
    (instance,) = node.instances()
    assert (node.data_dir / instance.path).read_bytes().endswith(WHOLE)
    (conflict,) = node.conflicts()
    assert conflict.differing_keywords == "PatientName"
    assert (node.data_dir / conflict.path).read_bytes().endswith(corrected)
    assert node.answers_echo()


def test_pixels_that_cannot_be_decoded_are_safe_with_us(node: Node) -> None:
    ds = phantom(transfer_syntax=JPEG2000Lossless)
    ds.PixelData = without_markers(ds.PixelData)
    contexts = [(str(ds.SOPClassUID), JPEG2000Lossless)]

    with associated(node, contexts=contexts) as association:
        status = send(association, encoded(ds))

    assert status == SUCCESS
    assert len(node.instances()) == 1
    assert node.answers_echo()


def test_four_gigabytes_of_claimed_pixels_are_kept_at_their_real_size(node: Node) -> None:
    ds = phantom()
    ds.Rows = ds.Columns = 46_341  # 4 GiB at 16 bits
    data = encoded(ds)

    status = send_one(node, data)

    assert status == SUCCESS
    (path,) = node.files()
    assert path.stat().st_size < len(data) + 2048
    assert node.answers_echo()


def test_a_length_of_four_gigabytes_that_never_come_is_refused(node: Node) -> None:
    head, element, pixels = WHOLE.rpartition(b"\xe0\x7f\x10\x00OW\0\0")
    data = head + element + b"\xfe\xff\xff\xff" + pixels[4:]

    status = send_one(node, data)

    assert status == CANNOT_UNDERSTAND
    assert node.files() == []
    assert len(node.refusals) == 1
    assert node.answers_echo()


def test_what_cannot_be_analysed_is_taken_and_reported_with_its_reason(
    tmp_path: Path, untrained_weights: Path
) -> None:
    claims_too_much = phantom(view_position="CC")
    claims_too_much.Rows = claims_too_much.Columns = 46_341  # 4 GiB at 16 bits
    damaged = phantom(view_position="MLO", transfer_syntax=JPEG2000Lossless)
    damaged.PixelData = without_markers(damaged.PixelData)
    empty = phantom(laterality="L", view_position="CC")
    empty.PixelData = bytes(len(empty.PixelData))
    raw = phantom(
        laterality="L",
        view_position="MLO",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1.2.1",
        PresentationIntentType="FOR PROCESSING",
    )
    raw.file_meta.MediaStorageSOPClassUID = raw.SOPClassUID
    with FilingPacs(tmp_path / "pacs", {}) as pacs:
        settings = f"""
            [receive]
            port = 0
            low_watermark_bytes = 0
            [study]
            view_set_quiet_s = 0.5
            # Longer than a busy machine pauses between two images: one report, of all four.
            quiet_s = 5
            [model]
            weights = "{untrained_weights}"
            [[destinations]]
            name = "pacs"
            ae_title = "{AE_TITLE}"
            host = "127.0.0.1"
            port = {pacs.port}
            results = ["score_report"]
        """
        with running_node(tmp_path, settings) as node:
            ae = AE(ae_title="MODALITY")
            for ds in (claims_too_much, damaged, raw):
                ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
            association = ae.associate("127.0.0.1", node.port, ae_title="MAMMONODE")
            statuses = [
                association.send_c_store(ds).Status for ds in (claims_too_much, damaged, empty, raw)
            ]
            association.release()
            wait_until(
                lambda: len(pacs.filed) > 0, deadline_s=STUDY_DEADLINE_S, what="a report came"
            )
        (filed,) = pacs.filed

    assert statuses == [SUCCESS] * 4
    report = dcmread(filed.path)
    texts = [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]
    reasons = [
        reason for text in texts for reason in TriageReason if reason in text and "Image" in text
    ]
    assert Counter(reasons) == {
        TriageReason.UNDECODABLE_PIXELS: 2,
        TriageReason.ALL_ZERO_PIXELS: 1,
        TriageReason.FOR_PROCESSING: 1,
    }, texts
    log = node.log_file.read_text(encoding="utf-8")
    assert "instance_received" in log
    assert [secret for secret in SECRETS if secret in log] == []
