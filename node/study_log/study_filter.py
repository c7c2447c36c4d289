"""Which studies are meant: one filter, be it asked on the command line, over DICOM or a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    SQLColumnExpression,
    and_,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from node.study_log.matching import matches, matches_any, name_matches
from node.study_log.tables import Instance, Result, Revision, Study, StudyState


class StudyOrder(StrEnum):
    """By what a list of studies is sorted."""

    RECEIVED = "received"
    """When the last instance came."""
    STUDY_DATE = "study-date"
    SCORE = "score"
    """Of the newest revision; studies without one come last, whatever the direction."""
    STATE = "state"
    AE_TITLE = "ae-title"
    """Calling AE title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFilter:
    """What the studies that are meant have in common; a field that is left alone excludes none.

    Texts may hold the wild cards of PS3.4 C.2.2.2.4, and differ by case except in names. Bounds are
    inclusive. Scores and what goes with them are those of the newest revision.

    Attributes
    ----------
    study_instance_uids
        Any of these.
    states
        Any of these.
    received_from, received_to
        When the last instance came; aware.
    study_date_from, study_date_to
        Study Date (0008,0020), YYYYMMDD.
    study_time_from, study_time_to
        Study Time (0008,0030), HHMMSS with as many digits as the values of the log have.
    birth_date_from, birth_date_to
        Patient's Birth Date (0010,0030), YYYYMMDD.
    calling_ae_title
        Of the association that brought the first instance.
    modalities
        Modalities in Study (0008,0061): at least one of these, among what came and what was made.
    sop_class_uids
        SOP Classes in Study (0008,0062): at least one of these, likewise.
    score_from, score_to
        AI malignancy score of the study, in [0, 1].
    is_suspicious
        Whether the score reached the operating point.
    model_version
        Of the weights.
    """

    study_instance_uids: Sequence[str] = ()
    states: Sequence[StudyState] = ()
    received_from: datetime | None = None
    received_to: datetime | None = None
    study_date_from: str = ""
    study_date_to: str = ""
    study_time_from: str = ""
    study_time_to: str = ""
    birth_date_from: str = ""
    birth_date_to: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_id: str = ""
    study_description: str = ""
    referring_physician_name: str = ""
    calling_ae_title: str = ""
    modalities: Sequence[str] = ()
    sop_class_uids: Sequence[str] = ()
    score_from: float | None = None
    score_to: float | None = None
    is_suspicious: bool | None = None
    model_version: str = ""

    @property
    def needs_revision(self) -> bool:
        """Whether it speaks of the newest revision, and not of the study alone."""
        return bool(
            self.model_version
            or self.score_from is not None
            or self.score_to is not None
            or self.is_suspicious is not None
        )

    def condition(self) -> ColumnElement[bool]:
        """Give it as a condition on `Study`, and on `Revision` where `needs_revision`."""
        return and_(True, *self._of_the_study(), *self._of_the_revision())

    def _of_the_study(self) -> list[ColumnElement[bool]]:
        texts = (
            (Study.patient_id, self.patient_id),
            (Study.issuer_of_patient_id, self.issuer_of_patient_id),
            (Study.patient_sex, self.patient_sex),
            (Study.accession_number, self.accession_number),
            (Study.study_id, self.study_id),
            (Study.study_description, self.study_description),
            (Study.calling_ae_title, self.calling_ae_title),
        )
        names = (
            (Study.patient_name_key, self.patient_name),
            (Study.referring_physician_name_key, self.referring_physician_name),
        )
        spans = (
            (Study.study_date, self.study_date_from, self.study_date_to),
            (Study.study_time, self.study_time_from, self.study_time_to),
            (Study.patient_birth_date, self.birth_date_from, self.birth_date_to),
            (Study.last_received_at, self.received_from, self.received_to),
        )
        conditions = [matches(column, pattern) for column, pattern in texts if pattern]
        conditions += [name_matches(column, pattern) for column, pattern in names if pattern]
        for column, first, last in spans:
            if first:
                conditions.append(column >= first)
            if last:
                conditions.append(column <= last)
            # An empty text sorts before all others; a moment is never empty.
            if isinstance(last, str) and last and not first:
                conditions.append(column != "")
        if self.study_instance_uids:
            conditions.append(Study.study_instance_uid.in_(self.study_instance_uids))
        if self.states:
            conditions.append(Study.state.in_([state.value for state in self.states]))
        if self.modalities:
            conditions.append(_holds(Instance.modality, Result.modality, patterns=self.modalities))
        if self.sop_class_uids:
            conditions.append(
                _holds(Instance.sop_class_uid, Result.sop_class_uid, patterns=self.sop_class_uids)
            )
        return conditions

    def _of_the_revision(self) -> list[ColumnElement[bool]]:
        conditions = []
        if self.score_from is not None:
            conditions.append(Revision.score >= self.score_from)
        if self.score_to is not None:
            conditions.append(Revision.score <= self.score_to)
        if self.is_suspicious is not None:
            conditions.append(Revision.is_suspicious.is_(self.is_suspicious))
        if self.model_version:
            conditions.append(matches(Revision.model_version, self.model_version))
        return conditions


def newest_number() -> ScalarSelect[int | None]:
    """Select the number of a study's newest revision."""
    other = aliased(Revision)
    return (
        select(func.max(other.number))
        .where(other.study_id == Study.id)
        .correlate(Study)
        .scalar_subquery()
    )


def is_newest_revision() -> ColumnElement[bool]:
    """Say of a `Revision` that it is the newest of its `Study`, to join the two."""
    return and_(Revision.study_id == Study.id, Revision.number == newest_number())


def order_of(order: StudyOrder, *, descending: bool) -> list[ColumnElement[Any]]:
    """Give what a list of studies is sorted by, the same on every page; ties newest first."""
    column: SQLColumnExpression[Any] = {
        StudyOrder.RECEIVED: Study.last_received_at,
        StudyOrder.STUDY_DATE: Study.study_date,
        StudyOrder.SCORE: _newest_score(),
        StudyOrder.STATE: Study.state,
        StudyOrder.AE_TITLE: Study.calling_ae_title,
    }[order]
    first = column.desc() if descending else column.asc()
    if order is StudyOrder.RECEIVED:
        return [first, Study.id.desc() if descending else Study.id.asc()]
    if order is StudyOrder.SCORE:
        first = first.nulls_last()
    return [first, Study.last_received_at.desc(), Study.id.desc()]


def _newest_score() -> ScalarSelect[float | None]:
    """Select the score of a study's newest revision: one look into an index, a join takes two."""
    return (
        select(Revision.score)
        .where(Revision.study_id == Study.id)
        .order_by(Revision.number.desc())
        .limit(1)
        .correlate(Study)
        .scalar_subquery()
    )


def _holds(
    came: SQLColumnExpression[str], made: SQLColumnExpression[str], *, patterns: Sequence[str]
) -> ColumnElement[bool]:
    """Match one of the patterns with what came, or with what the newest revision made."""
    return or_(
        exists().where(Instance.study_id == Study.id, matches_any(came, patterns)),
        exists().where(
            is_newest_revision(), Result.revision_id == Revision.id, matches_any(made, patterns)
        ),
    )
