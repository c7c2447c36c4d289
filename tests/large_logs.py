"""Study logs of many studies for tests and benchmarks: rows like the node's, in bulk, by a seed.

Two studies a patient, four or five instances each; from then on as it goes in a hospital: most are
analysed and delivered, few fail, some come a second time, the newest are still on their way.
"""

import hashlib
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from log_entries import COMPREHENSIVE_SR, MAMMOGRAPHY, SECONDARY_CAPTURE, VIEWS
from node.study_log.database import Database
from node.study_log.matching import name_key
from node.study_log.tables import (
    Base,
    CloseReason,
    DeliveryState,
    InstanceKind,
    StudyState,
)

NEWEST_AT = datetime(2026, 2, 28, 18, 0, tzinfo=UTC)
"""When the newest study was received; the others in the two years before."""
YEARS = 2
AE_TITLES = ("MAMMO1", "MAMMO2", "MAMMO3", "MOBILE1", "CLINIC_NORTH", "PACS_MAIN")
MODEL_VERSIONS = ("1.0.0", "1.1.0")
DESTINATIONS = ("pacs", "viewer")
OPERATING_POINT = 0.47
PIXELS = {
    "breast_share": (0.53, 0.12),
    "mean_grey": (112.0, 12.0),
    "grey_deviation": (46.0, 6.0),
    "detail": (10.0, 4.0),
}
"""Mean and standard deviation of each image statistic."""
STUDIES_AT_ONCE = 2_000

_FAMILY_NAMES = (
    "ANDERSSON", "BÉRANGER", "DVOŘÁKOVÁ", "ECHEVERRÍA", "FISCHER", "García López", "HANSEN",
    "IVANOVA", "JANSEN", "KOWALSKA", "LEFÈVRE", "MÜLLER", "NOVÁK", "O'BRIEN", "PAPADOPOULOU",
    "QUIST", "ROSSI", "SMITH", "TANAKA", "ÜNAL", "VAN DER BERG", "WANG", "YILMAZ", "ZHANG",
)  # fmt: skip
_GIVEN_NAMES = (
    "ANNA", "BEATRICE", "CLARA", "DIANA", "ELENA", "FRIDA", "GRETA", "HANA", "INÈS", "JULIA",
    "KARIN", "LUCIE", "MARIA", "NINA", "OLGA", "PETRA", "ROSA", "SOFIA", "TERESA", "ZOË",
)  # fmt: skip
_REASONS = ("no space left on the device", "a decoder took longer than 60 s", "out of memory")


def study_instance_uid(number: int) -> str:
    """Give the Study Instance UID of the study of that number, from 1, the oldest first."""
    return f"1.2.826.0.1.3680043.8.498.77{number:014d}"


def patient_id(number: int) -> str:
    """Give the Patient ID of the study of that number."""
    return f"P{(number + 1) // 2:07d}"


def fill_log(database: Database, studies: int, *, seed: int = 1) -> None:
    """Write so many studies with all that belongs to them into an empty log.

    Parameters
    ----------
    database
        With its tables.
    studies
        How many; 100,000 take about a minute, and 620 MB of SQLite.
    seed
        The same seed gives the same log.
    """
    rows = _Rows(studies, random.Random(seed))
    for first in range(1, studies + 1, STUDIES_AT_ONCE):
        for number in range(first, min(first + STUDIES_AT_ONCE, studies + 1)):
            rows.add_study(number)
        with database.writing() as session:
            rows.write(session)
    with database.writing() as session:
        _go_on_counting(session)


def _go_on_counting(session: Session) -> None:
    """Let PostgreSQL's sequences follow the ids that were given here; SQLite has none."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for table in Base.metadata.sorted_tables:
        if "id" in table.c:
            sequence = func.pg_get_serial_sequence(table.name, "id")
            newest = select(func.coalesce(func.max(table.c.id), 0) + 1).scalar_subquery()
            session.execute(select(func.setval(sequence, newest, False)))


class _Rows:
    """Rows by table, with the ids that tie them together."""

    def __init__(self, studies: int, chance: random.Random) -> None:
        self._studies = studies
        self._chance = chance
        self._pixels = random.Random(studies)
        self._newest_id: dict[str, int] = defaultdict(int)
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def write(self, session: Session) -> None:
        """Insert what was added since the last time."""
        for table in Base.metadata.sorted_tables:
            if self._rows[table.name]:
                session.execute(insert(table), self._rows.pop(table.name))

    def add_study(self, number: int) -> None:
        """Add a study; the last ones are still on their way."""
        chance = self._chance
        age = timedelta(days=365 * YEARS) * (1 - number / self._studies)
        opened_at = NEWEST_AT - age - timedelta(seconds=chance.uniform(0, 300))
        quiet_at = opened_at + timedelta(seconds=chance.uniform(8, 90))
        state = self._state(number)
        taken_on = (opened_at - timedelta(days=chance.choice((0, 0, 0, 0, 1, 7)))).date()
        uid = study_instance_uid(number)
        patient = random.Random((number + 1) // 2)  # one patient, one name
        name = f"{patient.choice(_FAMILY_NAMES)}^{patient.choice(_GIVEN_NAMES)}"
        birth = f"{patient.randint(1936, 1985)}{patient.randint(1, 12):02d}"
        physician = f"{chance.choice(_FAMILY_NAMES)}^DR"
        study_id = self._add(
            "study",
            study_instance_uid=uid,
            state=state.value,
            patient_id=patient_id(number),
            issuer_of_patient_id="HOSPITAL",
            patient_name=name,
            patient_name_key=name_key(name),
            patient_birth_date=f"{birth}{patient.randint(1, 28):02d}",
            patient_sex="F",
            accession_number=f"A{number:09d}",
            study_date=f"{taken_on:%Y%m%d}",
            study_time=f"{opened_at:%H%M%S}",
            study_description="MAMMOGRAPHY SCREENING" if number % 4 else "MAMMOGRAPHY DIAGNOSTIC",
            study_id=str(number),
            referring_physician_name=physician,
            referring_physician_name_key=name_key(physician),
            calling_ae_title=chance.choice(AE_TITLES),
            called_ae_title="MAMMONODE",
            first_received_at=opened_at,
            last_received_at=quiet_at,
            quiet_from_at=quiet_at,
            deleted_at=None,
            deleted_by=None,
            deletion_reason=None,
        )
        instances = self._add_instances(study_id, uid, opened_at, quiet_at)
        if state is StudyState.RECEIVING:
            return
        closed_at = quiet_at + timedelta(seconds=chance.choice((5, 5, 5, 60)))
        if chance.random() < 0.03:
            self._add_revision(study_id, uid, 1, StudyState.COMPLETED, closed_at, instances)
            closed_at += timedelta(minutes=5)
            self._add_revision(study_id, uid, 2, state, closed_at, instances)
        else:
            self._add_revision(study_id, uid, 1, state, closed_at, instances)

    def _state(self, number: int) -> StudyState:
        behind = self._studies - number
        if behind < 12 and self._studies > 100:
            return (StudyState.RECEIVING, StudyState.IN_PROGRESS, StudyState.SCHEDULED)[behind // 4]
        lot = self._chance.random()
        if lot < 0.01:
            return StudyState.FAILED
        return StudyState.SKIPPED if lot < 0.025 else StudyState.COMPLETED

    def _add_instances(
        self, study_id: int, uid: str, opened_at: datetime, quiet_at: datetime
    ) -> list[dict[str, Any]]:
        views: list[tuple[str | None, str | None]] = list(VIEWS)
        if self._chance.random() < 0.5:
            views.append((None, None))
        for index, (laterality, view) in enumerate(views, start=1):
            sop_instance_uid = f"{uid}.1.{index}"
            received_at = opened_at + (quiet_at - opened_at) * index / len(views)
            facts = {"sop_instance_uid": sop_instance_uid, "calling_ae_title": "MAMMO1"}
            self._tell(study_id, received_at, "instance_received", **facts)
            self._add(
                "instance",
                study_id=study_id,
                sop_instance_uid=sop_instance_uid,
                sop_class_uid=MAMMOGRAPHY,
                series_instance_uid=f"{uid}.1",
                series_number="1",
                series_description="STANDARD VIEWS",
                instance_number=str(index),
                transfer_syntax_uid="1.2.840.10008.1.2.4.70",
                kind=InstanceKind.IMAGE.value,
                modality="MG",
                laterality=laterality,
                view_position=view,
                triage_reason=None if laterality else "spot or magnification view",
                triage_detail="",
                path=f"studies/{uid}/instances/{sop_instance_uid}.dcm",
                size_bytes=8_000_000,
                dataset_sha256=f"{study_id * 8 + index:064x}",
                calling_ae_title="MAMMO1",
                received_at=received_at,
                removed_at=None,
                removed_because=None,
            )
        return self._rows["instance"][-len(views) :]

    def _add_revision(
        self,
        study_id: int,
        uid: str,
        number: int,
        state: StudyState,
        closed_at: datetime,
        instances: list[dict[str, Any]],
    ) -> None:
        chance = self._chance
        started_at = closed_at + timedelta(seconds=chance.expovariate(1 / 4))
        ended_at = started_at + timedelta(seconds=chance.lognormvariate(1.2, 0.4))
        is_completed = state is StudyState.COMPLETED
        has_ended = state in (StudyState.COMPLETED, StudyState.FAILED, StudyState.SKIPPED)
        scores = [chance.betavariate(1.4, 6) if is_completed else None for _ in instances]
        known = [score or 0.0 for score in scores]
        right, left = max(known[0], known[2]), max(known[1], known[3])
        score = max(right, left)
        version = MODEL_VERSIONS[study_id * 2 > self._studies]
        digest = hashlib.sha256(version.encode()).hexdigest()
        revision_id = self._add(
            "revision",
            study_id=study_id,
            number=number,
            state=state.value,
            close_reason=CloseReason.VIEW_SET.value,
            closed_at=closed_at,
            weights="",
            attempt=1,
            interruptions=0,
            reason=chance.choice(_REASONS) if state is StudyState.FAILED else "",
            started_at=None if state is StudyState.SCHEDULED else started_at,
            ended_at=ended_at if has_ended else None,
            score=score if is_completed else None,
            score_right=right if is_completed else None,
            score_left=left if is_completed else None,
            is_suspicious=score >= OPERATING_POINT if is_completed else None,
            model_name="mammonode-effnetv2b0-rsna" if is_completed else None,
            model_version=version if is_completed else None,
            weights_sha256=digest if is_completed else None,
        )
        self._tell(study_id, closed_at, "study_closed", revision=number, images=len(instances))
        for row, view_score in zip(instances, scores, strict=True):
            is_analysed = row["triage_reason"] is None
            self._add(
                "instance_outcome",
                revision_id=revision_id,
                instance_id=row["id"],
                score=view_score if is_analysed else None,
                triage_reason=row["triage_reason"],
                triage_detail="",
                **self._image_statistics(is_analysed=is_analysed and view_score is not None),
            )
        if state is StudyState.SCHEDULED:
            return
        self._tell(study_id, started_at, "analysis_started", revision=number, attempt=1)
        if not has_ended:
            return
        outcome = f"analysis_{state.value.lower()}"
        self._tell(study_id, ended_at, outcome, revision=number, attempt=1)
        if is_completed:
            results = self._add_results(uid, revision_id, number, ended_at, score)
            for destination in DESTINATIONS:
                self._add_delivery(study_id, revision_id, number, destination, ended_at, results)

    def _image_statistics(self, *, is_analysed: bool) -> dict[str, float | None]:
        drawn = {
            name: self._pixels.gauss(mean, deviation) for name, (mean, deviation) in PIXELS.items()
        }
        return {name: value if is_analysed else None for name, value in drawn.items()}

    def _add_results(
        self, uid: str, revision_id: int, number: int, created_at: datetime, score: float
    ) -> list[int]:
        kinds: list[tuple[str, int, str, str, str]] = [
            ("score_report", 0, COMPREHENSIVE_SR, "SR", "901"),
            ("summary_page", 0, SECONDARY_CAPTURE, "OT", "902"),
        ]
        if score >= OPERATING_POINT:
            kinds += [("heat_map", index, SECONDARY_CAPTURE, "OT", "903") for index in range(4)]
        return [
            self._add(
                "result",
                revision_id=revision_id,
                kind=kind,
                index=index,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=f"{uid}.{number}.{series_number}.{index + 1}",
                series_instance_uid=f"{uid}.{number}.{series_number}",
                modality=modality,
                series_number=series_number,
                series_description=f"AI {kind.replace('_', ' ')}",
                instance_number=str(index + 1),
                source_sop_instance_uid=f"{uid}.1.{index + 1}" if kind == "heat_map" else None,
                path=f"studies/{uid}/results/{number}/{kind}-{index}.dcm",
                size_bytes=21_000 if modality == "SR" else 2_500_000,
                file_sha256="ef" * 32,
                created_at=created_at,
                removed_at=None,
                removed_because=None,
            )
            for kind, index, sop_class_uid, modality, series_number in kinds
        ]

    def _add_delivery(
        self,
        study_id: int,
        revision_id: int,
        number: int,
        destination: str,
        ended_at: datetime,
        results: list[int],
    ) -> None:
        has_failed = self._chance.random() < 0.002
        sent_at = ended_at + timedelta(seconds=self._chance.expovariate(1 / 3))
        delivery_id = self._add(
            "delivery",
            revision_id=revision_id,
            destination=destination,
            state=(DeliveryState.FAILED if has_failed else DeliveryState.COMPLETED).value,
            attempt=10 if has_failed else 1,
            due_at=ended_at,
            reason="rejected the association" if has_failed else "",
            ended_at=sent_at,
        )
        for result_id in results:
            self._add(
                "delivery_object",
                delivery_id=delivery_id,
                result_id=result_id,
                status=None if has_failed else 0x0000,
                acknowledged_at=None if has_failed else sent_at,
                confirmed_at=None,
                failure_reason=None,
            )
        event = "delivery_failed" if has_failed else "delivery_completed"
        self._tell(study_id, sent_at, event, revision=number, destination=destination, attempt=1)

    def _tell(self, study_id: int, at: datetime, event: str, **fields: Any) -> None:
        self._add("event", study_id=study_id, at=at, event=event, fields=fields)

    def _add(self, table: str, **row: Any) -> int:
        self._newest_id[table] += 1
        self._rows[table].append({"id": self._newest_id[table], **row})
        return self._newest_id[table]
