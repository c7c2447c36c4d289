"""What the study log answers: frozen values without patient attributes.

The command line prints them, and as JSON they are an interface: a name that is here stays.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from node.study_log.tables import ConflictState, DeliveryState, Gone, InstanceKind, StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionAnswer:
    """One analysis of a study.

    Attributes
    ----------
    number
        From 1.
    attempt
        How often a worker was given it, from 1.
    reason
        Why it failed or was skipped; empty otherwise.
    score, score_right, score_left
        AI malignancy score of the study and of each breast, in [0, 1]; None where there is none.
    is_suspicious
        Whether the score reached the operating point; None without a score.
    weights
        The weights that were asked for; empty: the node's own.
    """

    number: int
    state: StudyState
    close_reason: str
    closed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int
    reason: str
    score: float | None
    score_right: float | None
    score_left: float | None
    is_suspicious: bool | None
    weights: str
    model_name: str | None
    model_version: str | None
    weights_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """One line of the list of studies.

    Attributes
    ----------
    study_date
        Study Date (0008,0020), YYYYMMDD; empty if there is none.
    calling_ae_title, called_ae_title
        Of the association that brought the first instance.
    first_received_at, last_received_at
        Of the revision that is, or was last, received.
    instances
        How many are here.
    revision
        The newest, or None while the first is still being received.
    failed_deliveries, open_deliveries
        How many destinations of the newest revision were given up, and how many still wait.
    open_conflicts
        How many data sets are kept aside until a person decides.
    removed_at
        Since when the last of its files that are gone is gone; None: none is, or all were received
        again.
    """

    study_instance_uid: str
    state: StudyState
    study_date: str
    calling_ae_title: str
    called_ae_title: str
    first_received_at: datetime
    last_received_at: datetime
    instances: int
    revision: RevisionAnswer | None
    failed_deliveries: int
    open_deliveries: int
    open_conflicts: int
    removed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAnswer:
    """One stored instance, and what the newest revision made of it.

    Attributes
    ----------
    laterality, view_position
        What the image shows; None where nothing in the data set says so.
    score
        AI malignancy score in [0, 1]; None if it was not analysed, or not yet.
    triage_reason, triage_detail
        Why it is not analysed, and what was found.
    removed_at, removed_because
        Since when its file is gone, and why; None: it is here.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    kind: InstanceKind
    modality: str
    laterality: str | None
    view_position: str | None
    score: float | None
    triage_reason: str | None
    triage_detail: str
    size_bytes: int
    calling_ae_title: str
    received_at: datetime
    path: str
    removed_at: datetime | None
    removed_because: Gone | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictAnswer:
    """Another data set that came under a SOP Instance UID that is taken; a person decides.

    Attributes
    ----------
    differing_keywords
        Of the attributes that differ from those of the instance; never their values.
    dataset_sha256
        What tells it from other data sets; its beginning names it on the command line.
    decided_at, decided_by
        When and by whom it was accepted or discarded; None while it is open.
    """

    study_instance_uid: str
    sop_instance_uid: str
    state: ConflictState
    differing_keywords: tuple[str, ...]
    dataset_sha256: str
    size_bytes: int
    calling_ae_title: str
    received_at: datetime
    decided_at: datetime | None
    decided_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultAnswer:
    """One result object of the newest revision.

    Attributes
    ----------
    index
        Among those of its kind, from 0.
    path
        Relative to the data folder.
    file_sha256
        Of the whole file; None where it was not kept yet.
    removed_at, removed_because
        Since when its file is gone, and why; None: it is here.
    """

    kind: str
    index: int
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    source_sop_instance_uid: str | None
    path: str
    size_bytes: int
    file_sha256: str | None
    created_at: datetime
    removed_at: datetime | None
    removed_because: Gone | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFailure:
    """An object that an archive does not commit itself to, with Failure Reason (0008,1197)."""

    sop_instance_uid: str
    failure_reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAnswer:
    """The results of one revision on their way to one destination.

    Attributes
    ----------
    attempt
        How often it was tried.
    objects, acknowledged
        How many are meant for it, and how many it has.
    statuses
        The last C-STORE response status of each object that was answered, each status once.
    confirmed
        How many the archive has committed itself to keep, or lists.
    confirmed_at
        When the last of them was confirmed; None until all are.
    failures
        Objects that it does not commit itself to, as its last report said.
    """

    revision: int
    destination: str
    state: DeliveryState
    attempt: int
    due_at: datetime
    reason: str
    ended_at: datetime | None
    objects: int
    acknowledged: int
    statuses: tuple[int, ...]
    confirmed: int
    confirmed_at: datetime | None
    failures: tuple[ObjectFailure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySummary:
    """One line of the list of deliveries."""

    study_instance_uid: str
    delivery: DeliveryAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAnswer:
    """One thing that happened to the study, in the order it became durable."""

    at: datetime
    event: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionAnswer:
    """That a person had the files of a study deleted; it may have been received again since."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionAnswer:
    """That a person corrected what a study says of its patient; which attributes, not how."""

    at: datetime
    by: str
    reason: str
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAnswer:
    """One study with all that the log knows of it; `results` are of the newest revision."""

    summary: StudySummary
    deletion: DeletionAnswer | None
    corrections: tuple[CorrectionAnswer, ...]
    revisions: tuple[RevisionAnswer, ...]
    instances: tuple[InstanceAnswer, ...]
    conflicts: tuple[ConflictAnswer, ...]
    results: tuple[ResultAnswer, ...]
    deliveries: tuple[DeliveryAnswer, ...]
    events: tuple[EventAnswer, ...]
