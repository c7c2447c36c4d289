"""The tables of the study log.

::

    study ─┬─ instance ── conflict
           ├─ revision ─┬─ instance_outcome
           │            ├─ result ──────────┐
           │            └─ delivery ─┬─ delivery_object
           │                         └─ commitment_request
           ├─ patient_correction
           ├─ rejection
           ├─ removal
           └─ event
    breast_outcome     belongs to the studies of its patient, whichever they are when it is asked
    worker

Patient attributes stand in `study` and `patient_correction`, and of `breast_outcome` in the two
columns that say whose breast it is; nowhere else. Moments are aware UTC.
Attributes of DICOM carry the snake case of their keyword (PS3.6).
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, validates

from node.study_log.matching import name_key


class StudyState(StrEnum):
    """Where a study stands. The words of PS3.4 Annex CC where it has them.

    RECEIVING (ours): instances still arrive. SCHEDULED: closed, waiting for a worker. IN PROGRESS:
    a worker has it. COMPLETED: its results are in the store. FAILED (ours): the analysis ended in
    an error, with a reason. SKIPPED (ours): no image could be analysed; a report says so, or no
    image came at all, and then there is no revision and no report. CANCELED: a revision that
    ended before it had results, because a newer one overtook it or a person asked for it; and a
    study whose newest revision that is. DELETED (ours): a person had its files deleted.
    """

    RECEIVING = "RECEIVING"
    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELED = "CANCELED"
    DELETED = "DELETED"


ENDED = (StudyState.FAILED, StudyState.SKIPPED, StudyState.COMPLETED, StudyState.CANCELED)
"""Nothing is under way for a study in one of these."""


class InstanceKind(StrEnum):
    """What an instance means to its study. Only images count towards its completeness.

    IMAGE: has Rows (0028,0010), be it analysable or not. NON_IMAGE: a report, a presentation state
    and the like. OWN_RESULT: written by this node and sent back to it by an archive.
    """

    IMAGE = "image"
    NON_IMAGE = "not an image"
    OWN_RESULT = "own result"


class CloseReason(StrEnum):
    """Why a study was held to be complete."""

    VIEW_SET = "the four standard views are here"
    QUIET = "no instance for the quiet time"
    CAP = "the longest wait is over"
    REANALYSE = "a person asked for another analysis"
    RETRY = "a person asked to try a failed analysis again"
    CONFLICT = "a person accepted another data set"
    PATIENT = "a person corrected the patient"


class DeliveryState(StrEnum):
    """Where the results of one revision stand on their way to one destination.

    PENDING: due now or at `due_at`. IN PROGRESS: a worker sends. UNCONFIRMED: every object was
    acknowledged, and the report on storage commitment is waited for until `due_at`. COMPLETED:
    every object was acknowledged, and confirmed where the destination is asked for that. FAILED:
    given up, with a reason; one command sends it again. CANCELED: not to be sent any more, with the
    reason: a person ended it, the study was deleted, its patient corrected, an image replaced or
    rejected.
    """

    PENDING = "PENDING"
    IN_PROGRESS = "IN PROGRESS"
    UNCONFIRMED = "UNCONFIRMED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


OPEN_DELIVERIES = (DeliveryState.PENDING, DeliveryState.IN_PROGRESS, DeliveryState.UNCONFIRMED)
"""A delivery in one of these has not ended."""


class ConflictState(StrEnum):
    """What a person decided about a second data set under a SOP Instance UID that is taken.

    OPEN: nothing yet; it is kept aside. ACCEPTED: it is the instance now. DISCARDED: its file is
    gone. The same data set coming again is kept aside again, whatever was decided before: what is
    acknowledged is held.
    """

    OPEN = "OPEN"
    ACCEPTED = "ACCEPTED"
    DISCARDED = "DISCARDED"


class Gone(StrEnum):
    """Why the file of a row is not there any more.

    EXPIRED: by `[retention]`. DELETED: with its study, on request. LOST: missing or damaged, as
    ``mammonode fsck`` found; should it turn up again it is taken in again.
    """

    EXPIRED = "expired"
    DELETED = "deleted"
    LOST = "lost"


class OutcomeSource(StrEnum):
    """How it became known whether a breast has cancer. The first beats the second.

    HISTOPATHOLOGY: from tissue. FOLLOW_UP: an examination a good while later found no cancer.
    """

    HISTOPATHOLOGY = "histopathology"
    FOLLOW_UP = "follow_up"


class OutcomeResult(StrEnum):
    """What became known. MALIGNANT and BENIGN come from tissue, NEGATIVE from follow-up."""

    MALIGNANT = "malignant"
    BENIGN = "benign"
    NEGATIVE = "negative"


class UTCDateTime(TypeDecorator[datetime]):
    """An aware moment, kept as UTC on databases that know no time zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive moments, and bring others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"expected an aware moment, found {value!r} without a time zone"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give SQLite's naive moments their time zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


MAX_TEXT_LENGTH = 512
"""Characters of an attribute that the log keeps, eight times what any of them may have (PS3.5 6.2).

An index of PostgreSQL takes 2,704 bytes; what is longer would be refused for ever.
"""


class Base(DeclarativeBase):
    """The tables' common ground: how Python types become columns."""

    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it off the class
        datetime: UTCDateTime,
        dict[str, Any]: JSON,
        str: String,
    }
    # Constraints with names: a later migration can speak of them, on SQLite too.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Study(Base):
    """One study as the PACS sent it, with the state of its newest revision."""

    __tablename__ = "study"
    __table_args__ = (
        # By what a list is narrowed first, the newest first.
        Index("ix_study_state_received", "state", "last_received_at"),
        Index("ix_study_calling_ae_title_received", "calling_ae_title", "last_received_at"),
        # A query at PATIENT level goes through patients in this order.
        Index("ix_study_patient", "patient_id", "issuer_of_patient_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    state: Mapped[str]
    patient_id: Mapped[str]
    issuer_of_patient_id: Mapped[str]
    patient_name: Mapped[str]
    patient_name_key: Mapped[str] = mapped_column(index=True, default="", server_default="")
    """What a query by name is matched with; follows `patient_name` by itself."""
    patient_birth_date: Mapped[str]
    patient_sex: Mapped[str]
    accession_number: Mapped[str] = mapped_column(index=True)
    study_date: Mapped[str] = mapped_column(index=True)
    study_time: Mapped[str]
    study_description: Mapped[str]
    study_id: Mapped[str] = mapped_column(default="", server_default="")
    """Study ID (0020,0010): a number that people use. Other tables refer to `id`."""
    referring_physician_name: Mapped[str] = mapped_column(default="", server_default="")
    referring_physician_name_key: Mapped[str] = mapped_column(default="", server_default="")
    """What a query by name is matched with; follows `referring_physician_name` by itself."""
    calling_ae_title: Mapped[str]
    called_ae_title: Mapped[str]
    first_received_at: Mapped[datetime]
    """Of the revision that is being received."""
    last_received_at: Mapped[datetime] = mapped_column(index=True)
    quiet_from_at: Mapped[datetime]
    """Quiet time is counted from here: the last instance, or the node's start if that is later."""
    deleted_at: Mapped[datetime | None]
    """When a person last had its files deleted; it may have been received again since."""
    deleted_by: Mapped[str | None]
    deletion_reason: Mapped[str | None]

    instances: Mapped[list["Instance"]] = relationship(
        back_populates="study", order_by="Instance.id"
    )
    revisions: Mapped[list["Revision"]] = relationship(
        back_populates="study", order_by="Revision.number"
    )
    events: Mapped[list["Event"]] = relationship(back_populates="study", order_by="Event.id")
    corrections: Mapped[list["PatientCorrection"]] = relationship(order_by="PatientCorrection.id")

    @validates("patient_name", "referring_physician_name")
    def _follow_with_its_key(self, column: str, name: str) -> str:
        setattr(self, f"{column}_key", name_key(name)[:MAX_TEXT_LENGTH])
        return name


class Instance(Base):
    """One acknowledged composite instance and the file that holds it."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    series_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    series_number: Mapped[str] = mapped_column(default="", server_default="")
    series_description: Mapped[str] = mapped_column(default="", server_default="")
    instance_number: Mapped[str] = mapped_column(default="", server_default="")
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str]
    """An `InstanceKind`: only images become part of a revision."""
    modality: Mapped[str]
    laterality: Mapped[str | None]
    view_position: Mapped[str | None]
    triage_reason: Mapped[str | None]
    """What the header alone already excludes; None if the pixels are worth reading."""
    triage_detail: Mapped[str]
    path: Mapped[str]
    """Relative to the data folder, with forward slashes."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    dataset_sha256: Mapped[str] = mapped_column(String(64))
    calling_ae_title: Mapped[str]
    received_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    """Since when its file is not there any more; None: it is."""
    removed_because: Mapped[str | None]
    """A `Gone`; None while the file is there."""

    study: Mapped[Study] = relationship(back_populates="instances")
    conflicts: Mapped[list["Conflict"]] = relationship(back_populates="instance")


class Conflict(Base):
    """Another data set that came under the SOP Instance UID of a stored one; kept aside."""

    __tablename__ = "conflict"
    __table_args__ = (UniqueConstraint("instance_id", "dataset_sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"))
    state: Mapped[str] = mapped_column(index=True)
    path: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    dataset_sha256: Mapped[str] = mapped_column(String(64))
    differing_keywords: Mapped[str]
    """Keywords of the attributes that differ, joined by commas; never their values."""
    calling_ae_title: Mapped[str]
    received_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    """User who accepted or discarded it; None while it is open."""

    instance: Mapped[Instance] = relationship(back_populates="conflicts")


class Revision(Base):
    """One analysis of a study: a fixed set of instances, one set of weights."""

    __tablename__ = "revision"
    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        # Holds all that sorting by score asks for.
        Index("ix_revision_newest_score", "study_id", "number", "score"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(index=True)
    close_reason: Mapped[str]
    closed_at: Mapped[datetime]
    weights: Mapped[str]
    """The weights asked for, as in `[model] weights`; empty: the node's own."""
    attempt: Mapped[int]
    """How often this revision was queued, from 1; only the newest may write results."""
    interruptions: Mapped[int] = mapped_column(default=0)
    """How often a worker process ended in the middle of this revision."""
    reason: Mapped[str]
    """Why it failed or was skipped; empty otherwise."""
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    score: Mapped[float | None]
    score_right: Mapped[float | None]
    score_left: Mapped[float | None]
    is_suspicious: Mapped[bool | None]
    """Whether the score reached the operating point."""
    model_name: Mapped[str | None]
    model_version: Mapped[str | None]
    weights_sha256: Mapped[str | None] = mapped_column(String(64))

    study: Mapped[Study] = relationship(back_populates="revisions")
    outcomes: Mapped[list["InstanceOutcome"]] = relationship(
        back_populates="revision", order_by="InstanceOutcome.id"
    )
    results: Mapped[list["Result"]] = relationship(back_populates="revision", order_by="Result.id")
    deliveries: Mapped[list["Delivery"]] = relationship(
        back_populates="revision", order_by="Delivery.id"
    )


class InstanceOutcome(Base):
    """What one revision made of one instance; rows exist from close-out on."""

    __tablename__ = "instance_outcome"
    __table_args__ = (UniqueConstraint("revision_id", "instance_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"))
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"))
    score: Mapped[float | None]
    triage_reason: Mapped[str | None]
    triage_detail: Mapped[str]
    breast_share: Mapped[float | None]
    """This and the three that follow: see `model.image_statistics.ImageStatistics`; None where the
    image was not analysed, and in rows from before they were kept."""
    mean_grey: Mapped[float | None]
    grey_deviation: Mapped[float | None]
    detail: Mapped[float | None]

    revision: Mapped[Revision] = relationship(back_populates="outcomes")
    instance: Mapped[Instance] = relationship()


class Result(Base):
    """One result object in the store."""

    __tablename__ = "result"
    __table_args__ = (UniqueConstraint("revision_id", "kind", "index"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"))
    kind: Mapped[str]
    index: Mapped[int]
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    modality: Mapped[str] = mapped_column(default="", server_default="")
    series_number: Mapped[str] = mapped_column(default="", server_default="")
    series_description: Mapped[str] = mapped_column(default="", server_default="")
    instance_number: Mapped[str] = mapped_column(default="", server_default="")
    source_sop_instance_uid: Mapped[str | None] = mapped_column(String(64))
    path: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    file_sha256: Mapped[str | None] = mapped_column(String(64))
    """Of the whole file; None in rows from before it was kept."""
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    """Since when its file is not there any more; None: it is."""
    removed_because: Mapped[str | None]
    """A `Gone`; None while the file is there."""

    revision: Mapped[Revision] = relationship(back_populates="results")


class Delivery(Base):
    """The results of one revision on their way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("revision_id", "destination"),
        Index("ix_delivery_due", "state", "due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revision.id"))
    destination: Mapped[str]
    """Its name in the settings."""
    state: Mapped[str]
    attempt: Mapped[int]
    """How often it was tried, from 0; a try that was canceled in the queue counts."""
    due_at: Mapped[datetime]
    reason: Mapped[str]
    """Of the last failure; empty if there was none."""
    ended_at: Mapped[datetime | None]

    revision: Mapped[Revision] = relationship(back_populates="deliveries")
    objects: Mapped[list["DeliveryObject"]] = relationship(
        back_populates="delivery", order_by="DeliveryObject.id"
    )
    commitment_requests: Mapped[list["CommitmentRequest"]] = relationship(
        back_populates="delivery", order_by="CommitmentRequest.id"
    )


class DeliveryObject(Base):
    """One result object to one destination, with the status it was answered with."""

    __tablename__ = "delivery_object"
    __table_args__ = (UniqueConstraint("delivery_id", "result_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"))
    result_id: Mapped[int] = mapped_column(ForeignKey("result.id"))
    status: Mapped[int | None]
    """The last C-STORE response status (PS3.4 B.2.3), or None if none came."""
    acknowledged_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    """When the archive committed itself to keep it, or listed it; None if it was not asked."""
    failure_reason: Mapped[int | None]
    """Why the archive does not commit itself (0008,1197); None if it has not said so."""

    delivery: Mapped[Delivery] = relationship(back_populates="objects")
    result: Mapped[Result] = relationship()


class CommitmentRequest(Base):
    """One request for storage commitment of what a delivery brought (PS3.4 J.3.2)."""

    __tablename__ = "commitment_request"

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), index=True)
    transaction_uid: Mapped[str] = mapped_column(String(64), unique=True)
    """Transaction UID (0008,1195): how the report is known, after a restart too."""
    requested_at: Mapped[datetime]
    reported_at: Mapped[datetime | None]

    delivery: Mapped[Delivery] = relationship(back_populates="commitment_requests")


class PatientCorrection(Base):
    """That a study belongs to another patient than its instances say, or to one written otherwise.

    The instances stay as they came. What is read of them for the results is corrected.
    """

    __tablename__ = "patient_correction"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    at: Mapped[datetime]
    by: Mapped[str]
    reason: Mapped[str]
    before: Mapped[dict[str, Any]]
    """What the study said till then, by keyword."""
    after: Mapped[dict[str, Any]]
    """What it says from then on, by keyword; attributes that are not named stay as they come."""


class Rejection(Base):
    """That a rejection note took an instance out, be the instance here already or not."""

    __tablename__ = "rejection"
    __table_args__ = (UniqueConstraint("sop_instance_uid", "note_sop_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    """Of the instance that was taken out."""
    note_sop_instance_uid: Mapped[str] = mapped_column(String(64))
    code_value: Mapped[str]
    """Title of the note, PS3.16 CID 7011."""
    received_at: Mapped[datetime]


class Removal(Base):
    """A file that no row promises any more, and that is still to be deleted.

    Written in the transaction that gives the file up, so that a crash leaves neither a row without
    its file nor a file that nobody remembers.
    """

    __tablename__ = "removal"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    path: Mapped[str] = mapped_column(unique=True)
    """Relative to the data folder, with forward slashes."""
    asked_at: Mapped[datetime]


class Event(Base):
    """One thing that happened to a study, in the order it became durable."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    at: Mapped[datetime]
    event: Mapped[str]
    fields: Mapped[dict[str, Any]]
    """UIDs, AE titles, statuses, durations; never patient attributes."""

    study: Mapped[Study] = relationship(back_populates="events")


class TimeMark(Base):
    """A moment that the node lived through; `node.keeping.passing_time` says what for."""

    __tablename__ = "time_mark"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    event_id: Mapped[int]
    """Number of the newest event of that moment; 0 if there was none."""


class BreastOutcome(Base):
    """What a biopsy or a follow-up examination said of one breast of a patient.

    It refers to no study: which ones it is about is worked out anew each time (`node.outcomes`),
    so that a correction of the patient, a study that comes later and one that goes all count.
    """

    __tablename__ = "breast_outcome"
    __table_args__ = (
        UniqueConstraint(
            "patient_id", "issuer_of_patient_id", "date", "laterality", "source", "result",
            name="uq_breast_outcome_once",
        ),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    """Its number, for people too."""
    patient_id: Mapped[str | None] = mapped_column(index=True)
    """Patient ID (0010,0020); None once it was emptied, with the study that it was about."""
    issuer_of_patient_id: Mapped[str]
    """Issuer of Patient ID (0010,0021); empty where it was not given."""
    pseudonym: Mapped[str]
    """What exports call the patient: drawn at random, one for each Patient ID; else empty."""
    date: Mapped[str] = mapped_column(String(8))
    """Of the biopsy or the examination, YYYYMMDD."""
    laterality: Mapped[str]
    """R or L."""
    source: Mapped[str]
    """An `OutcomeSource`."""
    result: Mapped[str]
    """An `OutcomeResult`."""
    imported_at: Mapped[datetime]
    imported_by: Mapped[str]
    emptied_at: Mapped[datetime | None]
    """Since when it says nothing of the patient any more."""
    withdrawn_at: Mapped[datetime | None]
    """Since when it does not count, because a person said so."""
    withdrawn_by: Mapped[str | None]
    withdrawal_reason: Mapped[str | None]


class Worker(Base):
    """A worker slot and the last sign of life of the process that holds it."""

    __tablename__ = "worker"

    slot: Mapped[str] = mapped_column(primary_key=True)
    """Stable across restarts; also the durable engine's executor id."""
    pid: Mapped[int]
    beat_at: Mapped[datetime]
