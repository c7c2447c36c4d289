"""The conformance statement, made from the tables that the code itself works by.

``python -m node.conformance`` writes it to standard output, ``python -m node.conformance FILE`` to
a file; one that ends in ``.dic`` gets the private attributes, for DCMTK. The order of the chapters
follows PS3.2.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pydicom
import pynetdicom
from pydicom.datadict import dictionary_description
from pydicom.sr.coding import Code
from pynetdicom import evt

from model import decoders
from model.views import STANDARD_VIEWS
from node import __version__, header
from node.delivery import commitment, send, statuses
from node.delivery.deliver import REPORT_WAIT_S
from node.equipment import MANUFACTURER, MODEL_NAME
from node.errors import TriageReason
from node.intake import admit, answers, contexts, rejection, spool, triage
from node.query import identifier, places, private, unique_keys
from node.query.keys import KEYS
from node.query.statuses import FIND_ANSWERS, RETRIEVE_ANSWERS
from node.report import codes, provenance
from node.report.object_profiles import OBJECT_PROFILES, ObjectProfile
from node.result_kinds import PROFILES
from node.settings import Settings
from node.settings_faults import described_settings
from node.store import MAX_UID_LENGTH
from node.study_log.tables import MAX_TEXT_LENGTH

_AI_RESULTS = {
    "encoding": "Comprehensive 3D SR, TID 1500: `score_report` and `measurement_report`, with "
    '`results.sr_class = "comprehensive_3d"`',
    "qualitative findings": "the call at the operating point and what holds for the whole study; "
    "the impression of a region only at or above the operating point",
    "measurements": "the score of image, breast and study: a private concept, for the Standard has "
    "none, or Probability of cancer where the site has set its prevalence",
    "locations, regions": "SCOORD on the pixels of the source image (TID 1410)",
    "tracking identifiers": "each group has an identifier and a UID of its own",
    "parametric maps": "`parametric_map`, experimental: a mammogram has no frame of reference",
    "segmentations, tracking over time": "not written",
    "nothing found, nothing analysed": "`score_report`, always, with the reason",
    "identification of the algorithm": "Contributing Equipment Sequence (0018,A001), always, "
    "with which TID 4019, once for all measurements of a report, and the observer (TID 1004) agree",
    "transactions": "results are stored by C-STORE; there is no DICOMweb and no worklist",
}
"""What IHE Radiology, AI Results (AIR) names of an Evidence Creator, and what there is here."""


def statement() -> str:
    """Write the whole statement as Markdown."""
    chapters = (_overview, _receiving, _answering, _retrieving, _sending, _objects, _security)
    return "\n".join([*(line for chapter in chapters for line in chapter()), ""])


def data_dictionary() -> str:
    """Write the private attributes of queries as DCMTK reads a data dictionary."""
    lines = [
        "# Private attributes that mammonode answers queries with, for tools of DCMTK:",
        "# DCMDICTPATH=/usr/share/libdcmtk17/dicom.dic:docs/mammonode.dic findscu ...",
    ]
    lines += [
        f'({private.GROUP:04x},"{private.CREATOR}",{key.element:02x})\t{key.vr}\t'
        f"Mammonode{re.sub(r'[^A-Za-z]', '', key.name)}\t1\tPrivateTag"
        for key in private.PRIVATE_KEYS.values()
    ]
    return "\n".join([*lines, ""])


def toolkits() -> str:
    """Name the versions that the lists of SOP classes and transfer syntaxes come from."""
    return f"Lists of UIDs: pydicom {pydicom.__version__}, pynetdicom {pynetdicom.__version__}."


def _overview() -> Iterable[str]:
    yield f"""\
# DICOM conformance statement

mammonode {__version__}. Research software, not for diagnostic use.

This file is made by `python -m node.conformance docs/conformance.md` from the tables that the code
works by; a test keeps it so. {toolkits()}

In associations the Implementation Class UID and Version Name are pynetdicom's own; in result files
the Implementation Class UID is `{provenance.IMPLEMENTATION_CLASS_UID}`.

## Services
"""
    yield from _table(
        ("Service", "SCP", "SCU", "Used for"),
        [
            ("Verification", "yes", "yes", "SCU: `mammonode check` asks each destination"),
            ("Storage", "yes", "yes", "SCP: images come in; SCU: results go out"),
            (
                "Storage Commitment Push Model",
                "no",
                "yes",
                'destinations with `confirm = "commitment"`',
            ),
            (
                "Query (Patient Root and Study Root, FIND)",
                "yes",
                "Study Root",
                'SCP: what came and what became of it; SCU: destinations with `confirm = "query"`',
            ),
            (
                "Retrieve (Study Root, Patient Root, MOVE and GET)",
                "yes",
                "no",
                "results are fetched",
            ),
            ("Modality Worklist", "no", "no", ""),
        ],
    )


def _receiving() -> Iterable[str]:
    yield """\
## Storage and Verification SCP

### Association policies
"""
    yield from _table(
        ("Policy", "Value"),
        [
            ("Called AE title", "must be `receive.ae_title`"),
            (
                "Calling AE title",
                (
                    "must be in `receive.allowed_ae_titles`, if that is not empty; or be that of a "
                    'destination with `confirm = "commitment"`, which may then report, not store; '
                    "or in `query.allowed_ae_titles`, and then may query, not store"
                ),
            ),
            ("Largest PDU received", f"{spool.MAX_PDU_BYTES} bytes"),
            (
                "Connections without an association",
                (
                    f"{spool.MAX_WAITING_CONNECTIONS} at the same time, "
                    f"{spool.MAX_WAITING_CONNECTIONS_OF_ONE_PEER} from one address; a further one "
                    "is closed"
                ),
            ),
            ("Asynchronous operations", "not supported"),
            ("SOP Class Extended and User Identity Negotiation", "not supported"),
            (
                "SCP/SCU Role Selection",
                (
                    "the requestor may be the SCP of Storage Commitment Push Model, and, to "
                    "retrieve by C-GET, of Storage SOP classes"
                ),
            ),
            *(
                (f"`{key}`, default {value}", text)
                for key, value, text in described_settings(
                    "receive.max_associations",
                    "receive.max_associations_per_peer",
                    "receive.max_object_bytes",
                    "receive.max_study_instances",
                    "receive.max_study_bytes",
                    "receive.acse_timeout_s",
                    "receive.dimse_timeout_s",
                    "receive.network_timeout_s",
                    "receive.low_watermark_bytes",
                )
            ),
        ],
    )
    yield "An association is rejected (PS3.8 9.3.4) if:\n"
    yield from _table(
        ("Result, source, diagnostic", "Reason"),
        [(", ".join(str(part) for part in key), text) for key, text in answers.REJECTIONS.items()],
    )
    yield "It is aborted, and nothing of the object under way is kept, if:\n"
    yield from _list(answers.ABORTS)
    yield """
Any storage SOP class below is accepted in any transfer syntax below; of several in one presentation
context the first of this list is taken. Every object is stored as it came. Verification is accepted
in Explicit and Implicit VR Little Endian and Explicit VR Big Endian.

### C-STORE responses
"""
    yield from _table(
        ("Status", "Meaning", "When"),
        [
            (f"0x{answer.status:04X}", answer.meaning, when)
            for answer in answers.ANSWERS
            for when in answer.when
        ],
    )
    yield """\
### Limits on input

A data set is walked to its last byte, its pixels unread, before it is answered.
"""
    yield from _table(("What", "Limit", "Beyond it"), _limits())
    yield """\
Depth and elements count in sequences of known length too; whatever else is wrong inside of one is
no reason to refuse. No attribute is coerced.

### When a study is complete

DICOM has no such signal. A study is closed and analysed at the first of:
"""
    study = Settings().study
    views = ", ".join(f"{laterality} {view}" for laterality, view in STANDARD_VIEWS)
    view_set = (
        f"the views {views} are there and can be analysed, no association is open that brought "
        "any of the study, and then no instance for `study.view_set_quiet_s` "
        f"({study.view_set_quiet_s:g} s)"
    )
    yield from _list(
        (
            view_set,
            f"no instance for `study.quiet_s` ({study.quiet_s:g} s)",
            f"`study.cap_s` ({study.cap_s:g} s) after the first instance",
        )
    )
    yield """
A later image reopens it: a new revision is analysed, whose reports name those that they replace
(Predecessor Documents Sequence (0040,A360)).

### What is analysed

Every image is stored. One that is not analysed is named in the score report with one of these
reasons:
"""
    yield from _list(reason.value for reason in TriageReason)
    yield f"""
Pixels are decoded in a process of their own, within `work.decode_timeout_s` and
`work.decode_memory_bytes`; what may not be decoded at all is under "Limits on input".
Magnification counts from an Estimated Radiographic Magnification Factor (0018,1114) of
{triage.MAGNIFICATION_FACTOR} on. An object that this software wrote is known by Manufacturer
(0008,0070) `{MANUFACTURER}` and Manufacturer's Model Name (0008,1090)
`{MODEL_NAME}`, and is never analysed.

### Rejection notes

A Key Object Selection Document with one of these titles (PS3.16 CID 7011), as IHE Imaging Object
Change Management has them, takes out the instances of its own study in Current Requested Procedure
Evidence Sequence (0040,A375), whichever comes first. The study is analysed anew without them; if
none is left, the new reports say that all were rejected. The node sends no such note.
"""
    yield from _table(
        ("Title", "What follows"),
        [
            (
                f'({value}, DCM, "{meaning}")',
                "deleted; received as new if sent again"
                if value == rejection.EXPIRED
                else "in no further revision; stays rejected if sent again",
            )
            for value, meaning in rejection.TITLES.items()
        ],
    )
    yield """\
### Transfer syntaxes
"""
    analysed = (*decoders.NATIVE, *decoders.DECODERS)
    yield from _table(
        ("Transfer syntax", "UID", "Stored", "Analysed"),
        [
            (uid.name, str(uid), "yes", "yes" if uid in analysed else "no")
            for uid in contexts.TRANSFER_SYNTAXES
        ],
    )
    yield "### SOP classes\n"
    yield from _table(
        ("SOP class", "UID"),
        [
            (uid.name, str(uid))
            for uid in (*contexts.VERIFICATION_SOP_CLASSES, *contexts.STORAGE_SOP_CLASSES)
        ],
    )


def _limits() -> Iterable[tuple[str, str, str]]:
    """List what is taken of anything that a peer may choose."""
    refused = f"0x{header.CANNOT_UNDERSTAND:04X}"
    no_room = f"0x{admit.OUT_OF_RESOURCES:04X}"
    undecodable = f"stored, not decoded: {TriageReason.UNDECODABLE_PIXELS.value}"
    return (
        ("Object", "`receive.max_object_bytes`", "A-ABORT"),
        ("Instances of a study", "`receive.max_study_instances`", no_room),
        ("Bytes of a study", "`receive.max_study_bytes`", no_room),
        ("Associations", "`receive.max_associations`", "A-ASSOCIATE-RJ, transient"),
        (
            "Associations from one address",
            "`receive.max_associations_per_peer`",
            "A-ASSOCIATE-RJ, transient",
        ),
        (
            "Connections without an association, in all and from one address",
            f"{spool.MAX_WAITING_CONNECTIONS}, {spool.MAX_WAITING_CONNECTIONS_OF_ONE_PEER}",
            "closed",
        ),
        ("PDU", f"{spool.MAX_PDU_BYTES_READ} bytes", "closed or A-ABORT"),
        ("Command set", f"{spool.MAX_COMMAND_BYTES} bytes", "A-ABORT"),
        (
            "Data set of another message than C-STORE",
            f"{spool.MAX_IDENTIFIER_BYTES} bytes",
            "A-ABORT",
        ),
        ("Time for an association request", "`receive.acse_timeout_s`", "closed"),
        ("Time for one message", "`receive.dimse_timeout_s`", "A-ABORT"),
        ("Silence, and time for one PDU", "`receive.network_timeout_s`", "closed or A-ABORT"),
        ("AE title", "1 to 16 characters as in PS3.5 6.2", "A-ABORT"),
        (
            "UID",
            f"digits and single dots, {MAX_UID_LENGTH} characters",
            f"{refused}; nothing else becomes part of a path",
        ),
        ("Elements and items of a data set", f"{header.MAX_ELEMENTS}", refused),
        ("Sequences in sequences", f"{header.MAX_DEPTH}", refused),
        ("Bytes read before the pixel data", f"{header.MAX_HEADER_BYTES}", refused),
        (
            "One value before the pixel data",
            f"{header.MAX_HEADER_VALUE_BYTES} bytes",
            "stored, the value is not looked at",
        ),
        (
            "One text in the study log",
            f"{MAX_TEXT_LENGTH} characters",
            "stored, the log has its beginning",
        ),
        (
            "Deflated data set",
            (
                "`receive.max_object_bytes` inflated; beyond "
                f"{header.ALWAYS_INFLATED_BYTES} bytes also {header.MAX_INFLATION} times its size"
            ),
            refused,
        ),
        ("Rows times Columns", f"{decoders.MAX_PIXELS}", undecodable),
        (
            "Compressed pixel data",
            f"{decoders.MAX_DECOMPRESSION} times its bytes, by Rows, Columns and Bits Allocated",
            undecodable,
        ),
        (
            "Uncompressed pixel data",
            "exactly the bytes by Rows, Columns and Bits Allocated",
            undecodable,
        ),
        (
            "Decoding of one image",
            "`work.decode_timeout_s`, `work.decode_memory_bytes`",
            undecodable,
        ),
    )


def _answering() -> Iterable[str]:
    yield """\
## Query SCP

Patient Root and Study Root Query/Retrieve Information Model, FIND (PS3.4 Annex C), over the studies
of the study log: what came, and what the newest revision made of it. Explicit and Implicit VR
Little Endian and Explicit VR Big Endian are accepted. Nothing is negotiated beyond the baseline:
queries are hierarchical, Study Date and Study Time are matched each by itself, times in the zone
that the images were made in, names as below.

Who may query is named in `query.allowed_ae_titles`. To others the SOP classes are not offered. With
an empty list any caller may while `receive.host` is on loopback, and none beyond it.
"""
    yield from _table(
        ("Policy", "Value"),
        [
            (f"`{key}`, default {value}", text)
            for key, value, text in described_settings(
                "query.max_associations", "query.max_queries"
            )
        ],
    )
    yield f"""\
### Keys

At a level its own keys are known and those of the levels above. Those above are matched too, beside
their unique key. The unique key of the level is in every answer, with Query/Retrieve Level
(0008,0052) and Retrieve AE Title (0008,0054), which is the node's own; of the others, those that
were asked for. What stands under "universal alone" is answered and not matched.

A single value is matched with regard to case. A lone `*` is universal matching. Of a name that is
asked for by groups, one that is left empty excludes none. A value may have {MAX_TEXT_LENGTH}
characters, and a list {unique_keys.MAX_UIDS} UIDs or {identifier.MAX_CODES} codes.

Instance Availability (0008,0056) of a study or series is that of its least available instance:
ONLINE, or UNAVAILABLE where its file is gone. It says that the node has the file: of what is
ONLINE, results can be retrieved, and received images cannot.

Studies without a Patient ID are in no answer at PATIENT level. Where several issuers gave one
Patient ID there are several patients of it, which Issuer of Patient ID (0010,0021) tells apart: ask
for it. A study that was deleted on request is found by its Study Instance UID or its state, and
says nothing of its patient; it is in no answer to a query by patient, date or number.
"""
    yield from _table(
        ("Level", "Attribute", "Tag", "Matching"),
        [
            (
                key.level.name,
                dictionary_description(key.tag) + (", unique" if key.is_unique else ""),
                f"({key.tag >> 16:04X},{key.tag & 0xFFFF:04X})",
                key.matching.value,
            )
            for key in KEYS
        ],
    )
    yield f"""\
### Private attributes

From STUDY level on, in a block of group {private.GROUP:04X} that the request reserves for the
private creator `{private.CREATOR}` (PS3.5 7.8.1); `xx` is that block, `10` if it is the first one.
A study whose results are not ready yet is told from one that has none by the second of them.
"""
    yield from _table(
        ("Attribute", "Tag", "VR", "Meaning", "Matching"),
        [
            (
                key.name,
                f"({private.GROUP:04X},xx{key.element:02X})",
                key.vr,
                key.meaning,
                key.accepted or "universal alone",
            )
            for key in private.PRIVATE_KEYS.values()
        ],
    )
    yield f"""\
With DCMTK, which has to be told their VRs by [mammonode.dic](mammonode.dic) (its own dictionary is
elsewhere in other versions):

```sh
export DCMDICTPATH=/usr/share/libdcmtk17/dicom.dic:docs/mammonode.dic
# What came in on a day, and what became of it.
findscu -S -aet READER -aec MAMMONODE 127.0.0.1 11112 -k QueryRetrieveLevel=STUDY \\
  -k StudyDate=20260302 -k StudyInstanceUID -k PatientName -k "4d4d,0010={private.CREATOR}" \\
  -k 4d4d,1001 -k 4d4d,1002 -k 4d4d,1003 -k 4d4d,1006 -k 4d4d,1008
# Which ones failed since March, and why.
findscu -S -aet READER -aec MAMMONODE 127.0.0.1 11112 -k QueryRetrieveLevel=STUDY \\
  -k StudyInstanceUID -k "4d4d,0010={private.CREATOR}" -k 4d4d,1001=FAILED -k 4d4d,100a \\
  -k 4d4d,100c=20260301-
# Scores of 0.8 and more by version 1.1.0 of the model.
findscu -S -aet READER -aec MAMMONODE 127.0.0.1 11112 -k QueryRetrieveLevel=STUDY \\
  -k StudyInstanceUID -k "4d4d,0010={private.CREATOR}" -k 4d4d,1003 -k 4d4d,1008=1.1.0 \\
  -k 4d4d,100d=0.8
```

### Character sets of queries

A request may be in any Specific Character Set (0008,0005) of PS3.3 C.12.1.1.2. Each answer names
its own: none where ASCII will do, ISO_IR 100 where that will, ISO_IR 192 otherwise.

### C-FIND responses

Refusals carry Error Comment (0000,0902) and, where one attribute is to blame, Offending Element
(0000,0901).
"""
    yield from _table(
        ("Status", "Meaning", "When"),
        [
            (f"0x{answer.status:04X}", answer.meaning, when)
            for answer in FIND_ANSWERS
            for when in answer.when
        ],
    )


def _retrieving() -> Iterable[str]:
    yield """\
## Retrieve SCP

C-MOVE and C-GET, Patient Root and Study Root, for who may query.
"""
    sop_classes = [
        (uid.name, str(uid))
        for event in (evt.EVT_C_MOVE, evt.EVT_C_GET)
        for uid in contexts.QUERY_SOP_CLASSES[event]
    ]
    yield from _table(("SOP class", "UID"), sop_classes)
    yield f"""\
Given away are result objects, of the newest revision of each study. At IMAGE level, where each is
named by its SOP Instance UID, those of earlier revisions are too. Received images never are, nor
is what names the patient as before a correction.

The identifier holds Query/Retrieve Level (0008,0052), one unique key of each level above, and at
its own level one Patient ID, or a list of at most {unique_keys.MAX_UIDS} UIDs. Unique keys are
matched letter by letter. Relational retrieval is not negotiated. Issuer of Patient ID (0010,0021)
is heeded in Patient Root; where several patients have one Patient ID it is required.

Objects go out as they are stored, in Explicit VR Little Endian, by C-MOVE over an association of
their own: as in Storage SCU, with its time-outs and TLS, to the AE of that title in `destinations`
or `query.move_destinations`. C-STORE requests carry the Move Originator's AE title and Message ID.
By C-GET they go to a requestor that proposes to be the SCP of their SOP class (SCP/SCU Role
Selection); an object whose SOP class it does not propose so, or in another transfer syntax, counts
as failed. A pending response goes before each sub-operation. A cancel request is heeded between
two; what has gone stays. A requestor that is gone ends its retrieval.

`query.max_retrievals` are served at the same time; a further one waits {places.WAIT_S:g} s for its
turn.
"""
    yield from _table(
        ("Status", "Meaning", "When"),
        [
            (f"0x{answer.status:04X}", answer.meaning, when)
            for answer in RETRIEVE_ANSWERS
            for when in answer.when
        ],
    )


def _sending() -> Iterable[str]:
    yield """\
## Storage SCU

Each revision of a study goes to each destination over one association. One presentation context is
proposed for each SOP class at hand, in the transfer syntax that the objects are stored in: Explicit
VR Little Endian. The stored bytes are sent, also again; what was acknowledged is not sent again,
unless the archive itself says that it does not have it, or a person asks for it.
"""
    yield f"""\
To a peer that ends the association after an answer, another is made at once. An object that gets no
answer as the first of an association is left for the next try, and the others go on;
{send.UNANSWERED_IN_A_ROW} such objects in a row end the try. A destination that is slow,
silent or away delays no other.
"""
    yield from _table(
        ("Policy", "Value"),
        [
            ("Calling AE title", "`receive.ae_title`"),
            ("TLS", "where `tls` is set for the destination: see Security"),
            *(
                (f"`{key}`, default {value}", text)
                for key, value, text in described_settings(
                    "delivery.max_attempts",
                    "delivery.first_retry_s",
                    "delivery.longest_retry_s",
                    "delivery.max_associations",
                    "delivery.connection_timeout_s",
                    "delivery.acse_timeout_s",
                    "delivery.dimse_timeout_s",
                    "delivery.network_timeout_s",
                )
            ),
        ],
    )
    yield "Each of these settings of `delivery` may be another one for a destination.\n"
    yield """\
### C-STORE responses

The first line that holds the status decides. `success` and `warning`: the object is there.
`transient`: it is tried again. `permanent`: it is not, until a person asks for it. No answer, a
rejected association and a broken one are transient; a presentation context that is not accepted is
permanent for its objects.
"""
    rows = [
        (_range(rule), rule.meaning, rule.status_class.value, rule.source)
        for rule in statuses.STATUS_RULES
    ]
    rows.append(("any other", "", statuses.UNKNOWN_STATUS.value, ""))
    yield from _table(("Status", "Meaning", "Treated as", "Source"), rows)
    yield from _confirming()


def _confirming() -> Iterable[str]:
    timeout = described_settings("delivery.commitment_timeout_s")[0]
    yield f"""\
## Storage Commitment SCU

Storage Commitment Push Model ({commitment.STORAGE_COMMITMENT}), PS3.4 Annex J, for destinations
with `confirm = "commitment"`. When every object of a delivery is acknowledged, one N-ACTION request
names them all under a Transaction UID of its own. Its association is held for {REPORT_WAIT_S} s:
the N-EVENT-REPORT may come over it, or over a new association to the node's SCP from the AE title
of the destination, with SCP/SCU role selection (a peer that proposes no role is listened to as
well). The request is known after a restart too. The delivery is `UNCONFIRMED` until the report is
there, at most for `{timeout[0]}`, default {timeout[1]}; then it is asked for again.
Requests and waits count as tries.

A refused presentation context, and a status of the N-ACTION response that is `permanent` above, end
the delivery; other failures are tried again.
"""
    yield from _table(
        ("Failure Reason (0008,1197)", "Meaning", "The object is"),
        [
            (f"0x{rule.reason:04X}", rule.meaning, rule.remedy.value)
            for rule in commitment.FAILURE_RULES
        ]
        + [("any other", "", commitment.failure_rule(0).remedy.value)],
    )
    yield "N-EVENT-REPORT is answered with:\n"
    yield from _table(
        ("Status", "When"),
        [
            (f"0x{commitment.SUCCESS:04X}", "what it says is in the log"),
            (
                f"0x{commitment.INVALID_ARGUMENT_VALUE:04X}",
                "no such Transaction UID was sent to the AE title that it comes from",
            ),
            (f"0x{commitment.NO_SUCH_EVENT_TYPE:04X}", "its Event Type ID is neither 1 nor 2"),
            (
                f"0x{commitment.PROCESSING_FAILURE:04X}",
                "it cannot be read, or the database does not take it now",
            ),
        ],
    )
    yield """\
## Query SCU

Study Root, FIND (1.2.840.10008.5.1.4.1.2.2.1), PS3.4 C.4.1, for destinations with
`confirm = "query"`. When every object of a delivery is acknowledged, they are asked for at IMAGE
level, a list of SOP Instance UIDs for each series. What is not listed has time until the next try;
what is not listed then is sent again in it.
"""


def _objects() -> Iterable[str]:
    yield """\
## Result objects

All are written uncompressed in Explicit VR Little Endian, in the patient and study of their source,
in series of their own with descriptions that end in "not for diagnostic use". SOP, Series and
Tracking UIDs are derived from the input, the weights and the layout (`2.25.` and a UUID version 5),
dates from the close-out of the study: made again, an object is the same. Structured Reports are
COMPLETE, UNVERIFIED and PRELIMINARY.
"""
    yield from _table(
        ("Kind", "SOP class", "Modality", "Title", "Content", "Written"),
        [
            (
                f"`{kind.value}`",
                _sop_classes(profile),
                profile.modality,
                "" if profile.title is None else _coded(profile.title),
                profile.content,
                profile.when,
            )
            for kind, profile in OBJECT_PROFILES.items()
        ],
    )
    yield "A destination gets the kinds that it names, or those of a profile:\n"
    yield from _table(
        ("Profile", "Kinds"),
        [
            (f"`{name}`", ", ".join(f"`{kind.value}`" for kind in kinds))
            for name, kinds in PROFILES.items()
        ],
    )
    yield from _codes_by_kind()
    yield """\
### IHE AI Results

How the results relate to the profile AI Results (AIR) of IHE Radiology, whose Evidence Creator the
node would be. No Connectathon has seen it.
"""
    yield from _table(("AI Results", "Here"), list(_AI_RESULTS.items()))
    yield f"""\
### Private codes

Coding scheme designator `{codes.PRIVATE_SCHEME}`, "{codes.PRIVATE_SCHEME_NAME}", declared in the
Coding Scheme Identification Sequence (0008,0110). Objects hold no private attributes, and there are
no private SOP classes. The score is (111047, DCM, "Probability of cancer") in place of
{_coded(codes.MALIGNANCY_SCORE)} only where `model.prevalence` is set.
"""
    yield from _table(
        ("Code value", "Code meaning"),
        [(f"`{code.value}`", code.meaning) for code in private_codes()],
    )
    yield """\
### Character sets

Text of the source is carried over in its own Specific Character Set (0008,0005); in ISO_IR 192
where that cannot hold what the node adds, and where it is ISO_IR 13.
"""


def _codes_by_kind() -> Iterable[str]:
    """List every code that an object may hold, and when it does."""
    yield """\
### Codes

Every coded concept that an object may hold. Beside these it repeats view modifiers and the View
Code Sequence (0054,0220) of its source.
"""
    for kind, profile in OBJECT_PROFILES.items():
        yield f"`{kind.value}`:\n"
        rows = [] if profile.title is None else [("always, the title", _coded(profile.title))]
        rows += [(used.when, ", ".join(map(_coded, used.codes))) for used in profile.codes]
        yield from _table(("When", "Codes"), rows)


def _sop_classes(profile: ObjectProfile) -> str:
    """Name the SOP class of a kind, and the one that a setting puts in its place."""
    first, *others = (f"{uid.name} ({uid})" for uid in profile.sop_class_uids)
    return " ".join([first, *(f"or, by `results.sr_class`, {other}" for other in others)])


def _security() -> Iterable[str]:
    yield """\
## Security

Destinations are spoken to over TLS where `tls` is set: 1.2 at the least, the peer's certificate is
checked against `tls_ca_file` or the system's and must name `host`, the node shows its own where it
has one. The node's SCP has no TLS, and there is no user identity: it belongs in a protected network
segment, or behind a TLS proxy. Without `receive.allowed_ae_titles` it listens on loopback alone.
Beyond loopback, who may store may not query unless `query.allowed_ae_titles` names it. AE titles
are no proof of identity. Patient attributes are in the stored files, the study log and the answers
to queries, and in no log line, message or file name."""


def private_codes() -> tuple[Code, ...]:
    """Give every concept of the private coding scheme, by code value."""
    found = {
        value
        for value in vars(codes).values()
        if isinstance(value, Code) and value.scheme_designator == codes.PRIVATE_SCHEME
    }
    return tuple(sorted(found, key=lambda code: code.value))


def _range(rule: statuses.StatusRule) -> str:
    first = f"0x{rule.first:04X}"
    return first if rule.first == rule.last else f"{first} to 0x{rule.last:04X}"


def _coded(code: Code) -> str:
    return f'({code.value}, {code.scheme_designator}, "{code.meaning}")'


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _list(items: Iterable[str]) -> Iterable[str]:
    for item in items:
        yield f"- {item}"


def main(arguments: Sequence[str]) -> None:
    """Write the statement, or to a ``.dic`` the dictionary; to a file or to standard output."""
    if arguments:
        path = Path(arguments[0])
        text = data_dictionary() if path.suffix == ".dic" else statement()
        path.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(statement())


if __name__ == "__main__":
    main(sys.argv[1:])
