"""Which result objects are meant by the unique keys of a retrieval (PS3.4 C.4.2.1, C.4.3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, select, true
from sqlalchemy.orm import Session

from node.study_log.study_filter import is_newest_revision
from node.study_log.tables import (
    ENDED,
    Instance,
    InstanceKind,
    PatientCorrection,
    Result,
    Revision,
    Study,
    StudyState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultKeys:
    """Unique keys; what is left alone excludes none.

    Attributes
    ----------
    patient_id, issuer_of_patient_id
        Letter by letter, unlike in a query: the wrong patient is worse than none.
    sop_instance_uids
        Where there are some, results of earlier revisions are meant too.
    """

    patient_id: str = ""
    issuer_of_patient_id: str = ""
    study_instance_uids: Sequence[str] = ()
    series_instance_uids: Sequence[str] = ()
    sop_instance_uids: Sequence[str] = ()

    def of_study(self) -> ColumnElement[bool]:
        """Give what they say of `Study` as a condition."""
        conditions: list[ColumnElement[bool]] = [true()]
        if self.patient_id:
            conditions.append(Study.patient_id == self.patient_id)
        if self.issuer_of_patient_id:
            conditions.append(Study.issuer_of_patient_id == self.issuer_of_patient_id)
        if self.study_instance_uids:
            conditions.append(Study.study_instance_uid.in_(self.study_instance_uids))
        return and_(*conditions)

    def of_object(self, table: type[Instance] | type[Result]) -> ColumnElement[bool]:
        """Give what they say of an object as a condition."""
        conditions: list[ColumnElement[bool]] = [true()]
        if self.series_instance_uids:
            conditions.append(table.series_instance_uid.in_(self.series_instance_uids))
        if self.sop_instance_uids:
            conditions.append(table.sop_instance_uid.in_(self.sop_instance_uids))
        return and_(*conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A result object that is meant.

    Attributes
    ----------
    key
        Of its row.
    path
        Relative to the data folder.
    removed_at
        Since when its file is gone; None: it is here.
    """

    key: int
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    size_bytes: int
    removed_at: datetime | None


def find_results(session: Session, keys: ResultKeys, *, limit: int) -> tuple[StoredResult, ...]:
    """Find the results that are meant, each SOP Instance UID once, of the newest revision first.

    Results that name the patient as before a correction are nobody's.

    Parameters
    ----------
    session
        Of `Database.reading`.
    keys
        Those of the retrieval.
    limit
        At most so many.
    """
    is_meant = Revision.study_id == Study.id if keys.sop_instance_uids else is_newest_revision()
    rows = session.execute(
        select(
            Result.id,
            Result.sop_class_uid,
            Result.sop_instance_uid,
            Result.path,
            Result.size_bytes,
            Result.removed_at,
        )
        .join(Revision, Revision.id == Result.revision_id)
        .join(Study, is_meant)
        .where(keys.of_study(), keys.of_object(Result), ~_names_another_patient())
        .order_by(Study.id, Revision.number.desc(), Result.id)
        .limit(limit)
    )
    found: dict[str, StoredResult] = {}
    for key, sop_class_uid, sop_instance_uid, path, size_bytes, removed_at in rows:
        known = found.get(sop_instance_uid)
        # Two revisions may have the same object; one file may be here, though the other row is not.
        if known is None or (known.removed_at is not None and removed_at is None):
            found[sop_instance_uid] = StoredResult(
                key=key,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                path=path,
                size_bytes=size_bytes,
                removed_at=removed_at,
            )
    return tuple(found.values())


def issuers_of(session: Session, keys: ResultKeys) -> frozenset[str]:
    """Find the issuers of the Patient ID that is meant: as many patients as that."""
    issuers = select(Study.issuer_of_patient_id).where(keys.of_study()).distinct()
    return frozenset(session.scalars(issuers))


def is_one_under_way(session: Session, keys: ResultKeys) -> bool:
    """Say whether a study is meant that is being received, waits or is being analysed."""
    over = [state.value for state in (*ENDED, StudyState.DELETED)]
    return bool(session.scalar(select(exists().where(keys.of_study(), Study.state.not_in(over)))))


def is_one_of_another_patient(session: Session, keys: ResultKeys) -> bool:
    """Say whether a result is meant that names the patient as before a correction."""
    return bool(
        session.scalar(
            select(
                exists().where(
                    Result.revision_id == Revision.id,
                    Revision.study_id == Study.id,
                    keys.of_study(),
                    keys.of_object(Result),
                    _names_another_patient(),
                )
            )
        )
    )


def _names_another_patient() -> ColumnElement[bool]:
    """Say of a `Revision` that its patient was corrected after it was closed.

    Where no image was left there could be no other one.
    """
    return (
        exists()
        .where(
            PatientCorrection.study_id == Revision.study_id,
            PatientCorrection.at > Revision.closed_at,
        )
        .correlate(Revision)
    )


def is_one_from_outside(session: Session, keys: ResultKeys) -> bool:
    """Say whether an instance is meant, by its series or itself, that came and was not made."""
    return bool(
        session.scalar(
            select(
                exists().where(
                    Instance.study_id == Study.id,
                    Instance.kind != InstanceKind.OWN_RESULT.value,
                    keys.of_study(),
                    keys.of_object(Instance),
                )
            )
        )
    )
