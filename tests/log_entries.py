"""Entries of a study log for tests: rows as the node writes them, without receiving a study."""

from datetime import UTC, datetime, timedelta
from typing import Any

from node.study_log.tables import (
    CloseReason,
    Conflict,
    ConflictState,
    Delivery,
    DeliveryObject,
    DeliveryState,
    Event,
    Instance,
    InstanceKind,
    InstanceOutcome,
    Result,
    Revision,
    Study,
    StudyState,
)

RECEIVED_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def study_entry(
    number: int = 1,
    *,
    state: StudyState = StudyState.COMPLETED,
    received_at: datetime = RECEIVED_AT,
    reason: str = "",
) -> Study:
    """Make a study of four views and one that is not analysed; closed unless it is receiving."""
    uid = f"1.2.826.0.1.3680043.8.498.5550000000000000000000{number}"
    study = Study(
        study_instance_uid=uid,
        state=state.value,
        patient_id="SECRET-ID",
        issuer_of_patient_id="SECRET-ISSUER",
        patient_name="SECRET^NAME",
        patient_birth_date="19610203",
        patient_sex="F",
        accession_number="SECRET-ACC",
        study_date="20260302",
        study_time="093000",
        study_description="",
        calling_ae_title="MAMMO1",
        called_ae_title="MAMMONODE",
        first_received_at=received_at,
        last_received_at=received_at + timedelta(seconds=12),
        quiet_from_at=received_at + timedelta(seconds=12),
    )
    for index, (laterality, view) in enumerate(VIEWS):
        study.instances.append(_instance(study, index, laterality=laterality, view_position=view))
    study.instances.append(
        _instance(
            study,
            4,
            triage_reason="tomosynthesis",
            triage_detail="SOP Class UID (0008,0016) is Breast Tomosynthesis Image Storage",
        )
    )
    if state is not StudyState.RECEIVING:
        study.revisions.append(revision_entry(study, state=state, reason=reason))
    study.events.append(
        Event(at=received_at, event="study_opened", fields={"calling_ae_title": "MAMMO1"})
    )
    return study


def revision_entry(
    study: Study, *, number: int = 1, state: StudyState, reason: str = ""
) -> Revision:
    """Make a revision with outcomes, and with results and deliveries if it is completed."""
    closed_at = study.last_received_at + timedelta(seconds=5)
    is_completed = state is StudyState.COMPLETED
    scores: tuple[float | None, ...] = (0.91, 0.11, 0.87, 0.12) if is_completed else (None,) * 4
    revision = Revision(
        number=number,
        state=state.value,
        close_reason=CloseReason.VIEW_SET.value,
        closed_at=closed_at,
        weights="",
        attempt=1,
        reason=reason,
        started_at=closed_at + timedelta(seconds=1),
        ended_at=closed_at + timedelta(seconds=3.5),
        score=0.89 if is_completed else None,
        score_right=0.89 if is_completed else None,
        score_left=0.115 if is_completed else None,
        is_suspicious=True if is_completed else None,
        model_name="mammonode-rsna" if is_completed else None,
        model_version="1" if is_completed else None,
        weights_sha256="ab" * 32 if is_completed else None,
    )
    for instance, score in zip(study.instances, (*scores, None), strict=True):
        revision.outcomes.append(
            InstanceOutcome(
                instance=instance,
                score=score,
                triage_reason=instance.triage_reason,
                triage_detail=instance.triage_detail,
            )
        )
    if is_completed:
        revision.results.extend(_results(study, revision))
    return revision


def add_delivery(
    revision: Revision,
    destination: str,
    state: DeliveryState,
    *,
    reason: str = "",
    statuses: tuple[int | None, ...] = (0x0000,) * 5,
) -> Delivery:
    """Add the delivery of all results of a revision to one destination."""
    delivery = Delivery(
        destination=destination,
        state=state.value,
        attempt=1,
        due_at=revision.closed_at + timedelta(seconds=4),
        reason=reason,
        ended_at=revision.closed_at + timedelta(seconds=5),
        objects=[
            DeliveryObject(
                result=result,
                status=status,
                acknowledged_at=revision.closed_at if status == 0 else None,
            )
            for result, status in zip(revision.results, statuses, strict=True)
        ],
    )
    revision.deliveries.append(delivery)
    return delivery


def add_conflict(instance: Instance) -> None:
    """Add another data set that came under the UID of an instance."""
    instance.conflicts.append(
        Conflict(
            state=ConflictState.OPEN.value,
            path="studies/x/conflicts/y.dcm",
            size_bytes=10,
            dataset_sha256="cd" * 32,
            differing_keywords="PatientName,PixelData",
            calling_ae_title="MAMMO2",
            received_at=instance.received_at,
        )
    )


def _instance(study: Study, index: int, **changes: Any) -> Instance:
    uid = f"{study.study_instance_uid}.1.{index + 1}"
    facts: dict[str, Any] = {
        "laterality": None,
        "view_position": None,
        "triage_reason": None,
        "triage_detail": "",
    }
    return Instance(
        sop_instance_uid=uid,
        sop_class_uid=MAMMOGRAPHY,
        series_instance_uid=f"{study.study_instance_uid}.1",
        transfer_syntax_uid="1.2.840.10008.1.2.4.70",
        kind=InstanceKind.IMAGE.value,
        modality="MG",
        path=f"studies/{study.study_instance_uid}/instances/{uid}.dcm",
        size_bytes=8_000_000,
        dataset_sha256=f"{index:064x}",
        calling_ae_title="MAMMO1",
        received_at=study.first_received_at + timedelta(seconds=3 * index),
        **(facts | changes),
    )


def _results(study: Study, revision: Revision) -> list[Result]:
    kinds: list[tuple[str, str, str | None]] = [("score_report", COMPREHENSIVE_SR, None)]
    kinds += [
        ("heat_map", SECONDARY_CAPTURE, instance.sop_instance_uid)
        for instance in study.instances[:4]
    ]
    return [
        Result(
            kind=kind,
            index=max(0, position - 1),
            sop_class_uid=sop_class_uid,
            sop_instance_uid=f"2.25.{study.study_instance_uid[-1]}{revision.number}{position}",
            series_instance_uid=f"2.25.9{study.study_instance_uid[-1]}{kind == 'heat_map':d}",
            source_sop_instance_uid=source,
            path=f"studies/{study.study_instance_uid}/results/{revision.number}/{position}.dcm",
            size_bytes=2_500_000 if source else 21_000,
            created_at=revision.closed_at + timedelta(seconds=3),
        )
        for position, (kind, sop_class_uid, source) in enumerate(kinds)
    ]
