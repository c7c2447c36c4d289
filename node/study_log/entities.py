"""Patients, studies, series and instances as a query sees them (PS3.4 C.3), page by page.

Each page is read in a transaction of its own: a peer that reads slowly keeps neither a connection
nor SQLite's write-ahead log. Pages go from key to key, never by offset, so that a study that comes
meanwhile moves no other to another page. Of results, those of the newest revision are there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Subquery,
    and_,
    func,
    literal,
    null,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session

from node.study_log.contents import Contents, came_back, patient_contents, study_contents
from node.study_log.database import Database
from node.study_log.matching import matches
from node.study_log.study_filter import StudyFilter, is_newest_revision
from node.study_log.tables import (
    Instance,
    Result,
    Revision,
    Study,
    StudyState,
)

PAGE = 500
"""Rows of a page: a few milliseconds of reading."""

_UNDER_WAY = (StudyState.RECEIVING, StudyState.SCHEDULED, StudyState.IN_PROGRESS)

RESULT_TRANSFER_SYNTAX_UID = "1.2.840.10008.1.2.1"
"""Result objects are stored in Explicit VR Little Endian."""


class ResultsReady(StrEnum):
    """Whether a study has results; that none are there yet is told from there being none."""

    READY = "READY"
    NOT_YET = "NOT YET"
    """The study is being received, waits for a worker or is being analysed."""
    NONE = "NONE"
    """Nothing is under way, and there are no result objects, or none any more."""


class Call(StrEnum):
    """On which side of the operating point a score lies."""

    SUSPICIOUS = "SUSPICIOUS"
    """At or above it."""
    NOT_SUSPICIOUS = "NOT SUSPICIOUS"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingFilter:
    """What series or instances of a study that are meant have in common; see `StudyFilter`."""

    series_instance_uids: Sequence[str] = ()
    modality: str = ""
    series_number: str = ""
    series_description: str = ""
    sop_instance_uids: Sequence[str] = ()
    sop_class_uids: Sequence[str] = ()
    instance_number: str = ""
    laterality: str = ""
    view_position: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """One series of a study."""

    series_instance_uid: str
    series_number: str
    series_description: str
    modality: str
    instances: int
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """One instance of a series: one that came, or a result."""

    sop_instance_uid: str
    sop_class_uid: str
    instance_number: str
    laterality: str
    view_position: str
    transfer_syntax_uid: str
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a query found, with what stands above it.

    Attributes
    ----------
    study
        Of a patient, the newest of those that were found.
    revision
        The newest; None before the first, and of a patient.
    contents
        Of the study or patient; empty where it was not asked for.
    """

    study: Study
    revision: Revision | None = None
    contents: Contents = field(default_factory=Contents)
    series: SeriesFacts | None = None
    instance: InstanceFacts | None = None

    @property
    def availability(self) -> str:
        """Instance Availability (0008,0056): of several instances, that of the least available."""
        level = self.instance or self.series or self.contents
        return "ONLINE" if level.is_whole else "UNAVAILABLE"

    @property
    def results_ready(self) -> ResultsReady:
        """Whether there are results; needs the contents of the study."""
        if self.study.state in _UNDER_WAY:
            return ResultsReady.NOT_YET
        return ResultsReady.READY if self.contents.results else ResultsReady.NONE

    @property
    def call(self) -> Call | None:
        """On which side of the operating point the score of the study lies; None: no score."""
        is_suspicious = None if self.revision is None else self.revision.is_suspicious
        if is_suspicious is None:
            return None
        return Call.SUSPICIOUS if is_suspicious else Call.NOT_SUSPICIOUS


def find_patients(
    database: Database, which: StudyFilter, *, with_contents: bool
) -> Iterator[Found]:
    """Find patients with a study that is meant, by Patient ID (0010,0020) and its issuer.

    Studies without a Patient ID belong to no patient that could be named.
    """
    key = tuple_(Study.patient_id, Study.issuer_of_patient_id)
    patients = (
        select(func.max(Study.id).label("newest"), Study.patient_id, Study.issuer_of_patient_id)
        .where(which.condition(), Study.patient_id != "")
        .group_by(Study.patient_id, Study.issuer_of_patient_id)
        .order_by(Study.patient_id, Study.issuer_of_patient_id)
        .limit(PAGE)
    )
    if which.needs_revision:
        patients = patients.join(Revision, is_newest_revision())
    page = patients
    while True:
        with database.reading() as session:
            keys = session.execute(page).all()
            newest = _studies_by_id(session, [row.newest for row in keys])
            contents = (
                patient_contents(session, [(row[1], row[2]) for row in keys])
                if with_contents and keys
                else {}
            )
        for row in keys:
            yield Found(
                study=newest[row.newest], contents=contents.get((row[1], row[2]), Contents())
            )
        if len(keys) < PAGE:
            return
        page = patients.where(key > tuple_(literal(keys[-1][1]), literal(keys[-1][2])))


def find_studies(database: Database, which: StudyFilter, *, with_contents: bool) -> Iterator[Found]:
    """Find the studies that are meant, the one that came first last."""
    studies = (
        select(Study, Revision)
        .outerjoin(Revision, is_newest_revision())
        .where(which.condition())
        .order_by(Study.id.desc())
        .limit(PAGE)
    )
    page = studies
    while True:
        with database.reading() as session:
            rows = session.execute(page).all()
            contents = (
                study_contents(session, [study.id for study, _ in rows]) if with_contents else {}
            )
        for study, revision in rows:
            yield Found(study=study, revision=revision, contents=contents.get(study.id, Contents()))
        if len(rows) < PAGE:
            return
        page = studies.where(Study.id < rows[-1][0].id)


def find_series(
    database: Database, which: StudyFilter, holdings: HoldingFilter, *, with_contents: bool
) -> Iterator[Found]:
    """Find series of the studies that are meant."""
    for found in find_studies(database, which, with_contents=with_contents):
        held = _holdings(found)
        statement = (
            select(
                held.c.series_instance_uid,
                func.max(held.c.series_number),
                func.max(held.c.series_description),
                func.max(held.c.modality),
                func.count(),
                func.count(held.c.removed_at),
            )
            .where(_meant(held, holdings))
            .group_by(held.c.series_instance_uid)
            .order_by(held.c.series_instance_uid)
        )
        with database.reading() as session:
            rows = session.execute(statement).all()
        for uid, number, description, modality, instances, gone in rows:
            yield replace(
                found,
                series=SeriesFacts(
                    series_instance_uid=uid,
                    series_number=number,
                    series_description=description,
                    modality=modality,
                    instances=instances,
                    is_whole=not gone,
                ),
            )


def find_instances(
    database: Database, which: StudyFilter, holdings: HoldingFilter, *, with_contents: bool
) -> Iterator[Found]:
    """Find instances of the series that are meant, of the studies that are meant."""
    of_series = replace(HoldingFilter(), series_instance_uids=holdings.series_instance_uids)
    for found in find_series(database, which, of_series, with_contents=with_contents):
        if found.series is None:
            continue
        held = _holdings(found)
        statement = (
            select(
                held.c.sop_instance_uid,
                held.c.sop_class_uid,
                held.c.instance_number,
                held.c.laterality,
                held.c.view_position,
                held.c.transfer_syntax_uid,
                held.c.removed_at,
            )
            .where(
                held.c.series_instance_uid == found.series.series_instance_uid,
                _meant(held, holdings),
            )
            .order_by(held.c.sop_instance_uid)
        )
        with database.reading() as session:
            rows = session.execute(statement).all()
        for uid, sop_class_uid, number, laterality, view, syntax, removed_at in rows:
            yield replace(
                found,
                instance=InstanceFacts(
                    sop_instance_uid=uid,
                    sop_class_uid=sop_class_uid,
                    instance_number=number,
                    laterality=laterality or "",
                    view_position=view or "",
                    transfer_syntax_uid=syntax,
                    is_whole=removed_at is None,
                ),
            )


def _meant(held: Subquery, holdings: HoldingFilter) -> ColumnElement[bool]:
    texts = (
        (held.c.modality, holdings.modality),
        (held.c.series_number, holdings.series_number),
        (held.c.series_description, holdings.series_description),
        (held.c.instance_number, holdings.instance_number),
        (held.c.laterality, holdings.laterality),
        (held.c.view_position, holdings.view_position),
    )
    lists = (
        (held.c.series_instance_uid, holdings.series_instance_uids),
        (held.c.sop_instance_uid, holdings.sop_instance_uids),
        (held.c.sop_class_uid, holdings.sop_class_uids),
    )
    return and_(
        true(),
        *(matches(column, pattern) for column, pattern in texts if pattern),
        *(column.in_(uids) for column, uids in lists if uids),
    )


def _holdings(found: Found) -> Subquery:
    """Select what is held of one study, be it from outside or made here."""
    came = (
        select(
            Instance.sop_instance_uid,
            Instance.sop_class_uid,
            Instance.series_instance_uid,
            Instance.series_number,
            Instance.series_description,
            Instance.modality,
            Instance.instance_number,
            Instance.laterality,
            Instance.view_position,
            Instance.transfer_syntax_uid,
            Instance.removed_at,
        )
        .join(Study, Study.id == Instance.study_id)
        .where(Study.id == found.study.id, ~came_back())
    )
    made = select(
        Result.sop_instance_uid,
        Result.sop_class_uid,
        Result.series_instance_uid,
        Result.series_number,
        Result.series_description,
        Result.modality,
        Result.instance_number,
        null(),
        null(),
        literal(RESULT_TRANSFER_SYNTAX_UID),
        Result.removed_at,
    ).where(Result.revision_id == (None if found.revision is None else found.revision.id))
    return union_all(came, made).subquery()


def _studies_by_id(session: Session, ids: Sequence[int]) -> dict[int, Study]:
    return {study.id: study for study in session.scalars(select(Study).where(Study.id.in_(ids)))}
