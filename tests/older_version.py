"""A data folder as the version before left it: made from plain data, not by the code of today."""

import hashlib
import json
import sqlite3
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from pydicom.dataset import Dataset

import study_results
from node.analysis import record
from node.header import dataset_offset
from node.study_log.database import _alembic_config
from node.work_queue import WorkQueue, engine_table
from phantoms import mammogram, screening_study, to_bytes, uid

WORKFLOW_VERSION_BEFORE = "1"
WORKFLOW_VERSION_LONG_BEFORE = "0"
"""Of a version whose workflows had other steps than those of today."""

_OF_THE_ENGINE = ("workflow_status", "workflow_input", "operation_outputs")
_SCHEMA = Path(__file__).with_suffix(".sql")
_MOMENT = "2026-03-02 09:30:00.000000"
_EPOCH_MS = int(datetime(2026, 3, 2, 9, 30, tzinfo=UTC).timestamp()) * 1000


class OlderDataFolder:
    """A data folder and its database, row by row.

    Parameters
    ----------
    data_dir
        Made here.
    url
        Of a PostgreSQL database without tables; empty: SQLite in the data folder.
    """

    def __init__(self, data_dir: Path, *, url: str = "") -> None:
        self._data_dir = data_dir
        data_dir.mkdir()
        file = data_dir / "mammonode.sqlite"
        self._engine = sa.create_engine(url or f"sqlite:///{file}", poolclass=sa.NullPool)
        if url:
            _make_first_tables(self._engine)
        else:
            with closing(sqlite3.connect(file)) as connection:
                connection.executescript(_SCHEMA.read_text(encoding="utf-8"))

    def add_study(self, seed: int, state: str) -> str:
        """Add a screening study, with a revision unless it is receiving; give its UID."""
        study = screening_study(seed=seed, study_instance_uid=uid("older", seed))
        study_uid = str(study[0].StudyInstanceUID)
        patient = dict.fromkeys(
            (
                "patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date",
                "patient_sex", "accession_number", "study_date", "study_time", "study_description",
            ),
            "",
        )  # fmt: skip
        moments = ("first_received_at", "last_received_at", "quiet_from_at")
        study_id = self._insert(
            "study",
            study_instance_uid=study_uid,
            state=state,
            calling_ae_title="MAMMO1",
            called_ae_title="MAMMONODE",
            **patient,
            **dict.fromkeys(moments, _MOMENT),
        )
        instances = [self._add_instance(study_id, ds) for ds in study]
        if state != "RECEIVING":
            revision_id = self._insert(
                "revision",
                study_id=study_id,
                number=1,
                state=state,
                close_reason="the four standard views are here",
                closed_at=_MOMENT,
                weights="",
                attempt=1,
                interruptions=0,
                reason="",
                started_at=None if state == "SCHEDULED" else _MOMENT,
                ended_at=_MOMENT if state == "COMPLETED" else None,
            )
            for instance_id in instances:
                self._insert(
                    "instance_outcome",
                    revision_id=revision_id,
                    instance_id=instance_id,
                    triage_detail="",
                )
        return study_uid

    def queue_analysis(self, study_uid: str, *, workflow_version: str) -> None:
        """Queue the analysis of a study."""
        ids = {"study_instance_uid": study_uid, "revision": 1, "attempt": 1}
        self._queue("analysis", ids, f"{study_uid}/1/1", workflow_version)

    def begin_analysis(
        self, study_uid: str, *, workflow_version: str, worker_slot: str, first_step: str
    ) -> None:
        """Let a worker have been killed after the first step, whose outcome is in its file."""
        self.queue_analysis(study_uid, workflow_version=workflow_version)
        workflow_id = f"analysis/{study_uid}/1/1"
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    f"UPDATE {self._table('workflow_status')} SET status = 'PENDING', "
                    "executor_id = :slot, recovery_attempts = 1, started_at_epoch_ms = :at "
                    "WHERE workflow_uuid = :id"
                ),
                {"slot": worker_slot, "at": _EPOCH_MS, "id": workflow_id},
            )
        self._insert(
            "operation_outputs",
            workflow_uuid=workflow_id,
            function_id=1,
            function_name=first_step,
            output='"done"',
            started_at_epoch_ms=_EPOCH_MS,
            completed_at_epoch_ms=_EPOCH_MS,
            serialization="portable_json",
            application_name="mammonode",
            retention_timestamp=_EPOCH_MS,
        )
        path = self._data_dir / "studies" / study_uid / "results" / "1" / "analysis.npz"
        record.save(study_results.as_read_from_files(study_results.positive()), path)
        as_record_of_format_1(path)

    def queue_delivery(self, study_uid: str, destination: str, *, workflow_version: str) -> str:
        """Give a completed study one result and queue its delivery; give that object's UID."""
        ds = mammogram(seed=7, rows=64, columns=48, study_instance_uid=study_uid)
        place = f"studies/{study_uid}/results/1/{ds.SOPInstanceUID}.dcm"
        self._write(place, to_bytes(ds))
        with self._engine.connect() as connection:
            revision_id = connection.scalar(
                sa.text(
                    "SELECT revision.id FROM revision JOIN study ON study.id = study_id "
                    "WHERE study_instance_uid = :uid"
                ),
                {"uid": study_uid},
            )
        result_id = self._insert(
            "result",
            revision_id=revision_id,
            kind="score_report",
            index=0,
            sop_class_uid=str(ds.SOPClassUID),
            sop_instance_uid=str(ds.SOPInstanceUID),
            series_instance_uid=str(ds.SeriesInstanceUID),
            path=place,
            size_bytes=1,
            created_at=_MOMENT,
        )
        delivery_id = self._insert(
            "delivery",
            revision_id=revision_id,
            destination=destination,
            state="PENDING",
            attempt=0,
            due_at=_MOMENT,
            reason="",
        )
        self._insert("delivery_object", delivery_id=delivery_id, result_id=result_id)
        ids = {
            "study_instance_uid": study_uid,
            "revision": 1,
            "destination": destination,
            "attempt": 1,
        }
        self._queue("delivery", ids, f"{study_uid}/1/{destination}/1", workflow_version)
        return str(ds.SOPInstanceUID)

    def _add_instance(self, study_id: int, ds: Dataset) -> int:
        content = to_bytes(ds)
        study_uid, sop_instance_uid = str(ds.StudyInstanceUID), str(ds.SOPInstanceUID)
        unhashed = self._write(f"studies/{study_uid}/instances/{sop_instance_uid}.dcm", content)
        sha256 = hashlib.sha256(content[dataset_offset(unhashed) :]).hexdigest()
        place = f"studies/{study_uid}/instances/{sop_instance_uid}.{sha256[:16]}.dcm"
        unhashed.rename(self._data_dir / place)
        return self._insert(
            "instance",
            study_id=study_id,
            sop_instance_uid=sop_instance_uid,
            sop_class_uid=str(ds.SOPClassUID),
            series_instance_uid=str(ds.SeriesInstanceUID),
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            kind="image",
            modality="MG",
            laterality=ds.ImageLaterality,
            view_position=ds.ViewPosition,
            triage_detail="",
            path=place,
            size_bytes=len(content),
            dataset_sha256=sha256,
            calling_ae_title="MAMMO1",
            received_at=_MOMENT,
        )

    def _queue(self, name: str, ids: dict[str, Any], suffix: str, workflow_version: str) -> None:
        """Put work in as the engine does: arguments as JSON, one row for each."""
        workflow_id = f"{name}/{suffix}"
        self._insert(
            "workflow_status",
            workflow_uuid=workflow_id,
            status="ENQUEUED",
            name=name,
            created_at=_EPOCH_MS,
            updated_at=_EPOCH_MS,
            application_version=workflow_version,
            recovery_attempts=0,
            queue_name=name,
            priority=0,
            queue_partition_key=ids.get("destination"),
            serialization="portable_json",
            attributes="null",
            application_name="mammonode",
        )
        self._insert(
            "workflow_input",
            workflow_uuid=workflow_id,
            inputs=json.dumps({"namedArgs": ids, "positionalArgs": []}),
            retention_timestamp=_EPOCH_MS,
        )

    def _insert(self, table: str, **values: Any) -> int:
        """Add a row, and give its id; 0 for a row of the engine, which has none."""
        columns = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(f":{name}" for name in values)
        statement = f"INSERT INTO {self._table(table)} ({columns}) VALUES ({marks})"
        has_id = table not in _OF_THE_ENGINE
        with self._engine.begin() as connection:
            added = connection.execute(
                sa.text(f"{statement} RETURNING id" if has_id else statement), values
            )
            return int(added.scalar_one()) if has_id else 0

    def _table(self, name: str) -> str:
        return engine_table(self._engine.dialect.name, name) if name in _OF_THE_ENGINE else name

    def _write(self, place: str, content: bytes) -> Path:
        path = self._data_dir / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


def _make_first_tables(engine: sa.Engine) -> None:
    """Make the tables of study log 0001, by the migration that made them, and the engine's own."""
    config = _alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    queue = WorkQueue(engine.url.render_as_string(hide_password=False))
    queue.migrate()
    queue.close()


def as_record_of_format_2(path: Path) -> None:
    """Turn the outcome of an analysis into one as it was before it held image statistics."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    study = json.loads(members["study.json"])
    study["format"] = 2
    for instance in study["instances"]:
        del instance["image_statistics"]
    _write_record(path, members | {"study.json": json.dumps(study).encode()})


def as_record_of_format_1(path: Path) -> None:
    """Turn the outcome of an analysis into one as it was before `[results]` became a part of it."""
    as_record_of_format_2(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    study = json.loads(members["study.json"])
    study["format"] = 1
    del study["form"]
    _write_record(path, members | {"study.json": json.dumps(study).encode()})


def _write_record(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
