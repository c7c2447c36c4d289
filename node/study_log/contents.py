"""What is there of studies and patients, counted: for the answers to queries (PS3.4 C.3.4)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from node.study_log.study_filter import is_newest_revision
from node.study_log.tables import Instance, InstanceKind, Result, Revision, Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is there of a study or a patient: what came and what was made.

    Attributes
    ----------
    modalities, sop_class_uids
        In order of the alphabet.
    is_whole
        Whether no file is gone.
    results
        Result objects of the newest revision whose file is there.
    """

    studies: int = 0
    series: int = 0
    instances: int = 0
    modalities: tuple[str, ...] = ()
    sop_class_uids: tuple[str, ...] = ()
    is_whole: bool = True
    results: int = 0


def patient_contents(
    session: Session, patients: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Contents]:
    """Sum up the studies of some patients, by Patient ID and its issuer."""
    statement = select(Study.id, Study.patient_id, Study.issuer_of_patient_id).where(
        Study.patient_id.in_([patient_id for patient_id, _ in patients])
    )
    of_patient = {row.id: (row[1], row[2]) for row in session.execute(statement)}
    by_study = study_contents(session, list(of_patient))
    sums: dict[tuple[str, str], Contents] = dict.fromkeys(patients, Contents())
    for study_id, patient in of_patient.items():
        if patient in sums:
            one, before = by_study.get(study_id, Contents()), sums[patient]
            sums[patient] = replace(
                before,
                studies=before.studies + 1,
                series=before.series + one.series,
                instances=before.instances + one.instances,
            )
    return sums


def study_contents(session: Session, ids: Sequence[int]) -> dict[int, Contents]:
    """Sum up some studies, by their id."""
    came = (
        select(
            Instance.study_id,
            Instance.series_instance_uid,
            Instance.modality,
            Instance.sop_class_uid,
            func.count(),
            func.count(Instance.removed_at),
        )
        .join(Study, Study.id == Instance.study_id)
        .where(Study.id.in_(ids), ~came_back())
        .group_by(
            Instance.study_id,
            Instance.series_instance_uid,
            Instance.modality,
            Instance.sop_class_uid,
        )
    )
    made = (
        select(
            Revision.study_id,
            Result.series_instance_uid,
            Result.modality,
            Result.sop_class_uid,
            func.count(),
            func.count(Result.removed_at),
        )
        .join(Revision, Revision.id == Result.revision_id)
        .join(Study, is_newest_revision())
        .where(Study.id.in_(ids))
        .group_by(
            Revision.study_id, Result.series_instance_uid, Result.modality, Result.sop_class_uid
        )
    )
    lots: dict[int, list[_Lot]] = defaultdict(list)
    for statement, is_result in ((came, False), (made, True)):
        for study_id, series, modality, sop_class, instances, gone in session.execute(statement):
            lots[study_id].append(_Lot(series, modality, sop_class, instances, gone, is_result))
    return {study_id: _summed(of_study) for study_id, of_study in lots.items()}


def came_back() -> ColumnElement[bool]:
    """Say of an `Instance` that it is listed already: as a result of the newest revision."""
    return and_(
        Instance.kind == InstanceKind.OWN_RESULT.value,
        exists().where(
            Result.sop_instance_uid == Instance.sop_instance_uid,
            Result.revision_id == Revision.id,
            is_newest_revision(),
        ),
    )


class _Lot(NamedTuple):
    """Instances of one series and one SOP class."""

    series_instance_uid: str
    modality: str
    sop_class_uid: str
    instances: int
    gone: int
    is_result: bool


def _summed(lots: Sequence[_Lot]) -> Contents:
    return Contents(
        studies=1,
        series=len({lot.series_instance_uid for lot in lots}),
        instances=sum(lot.instances for lot in lots),
        modalities=tuple(sorted({lot.modality for lot in lots if lot.modality})),
        sop_class_uids=tuple(sorted({lot.sop_class_uid for lot in lots})),
        is_whole=not any(lot.gone for lot in lots),
        results=sum(lot.instances - lot.gone for lot in lots if lot.is_result),
    )
