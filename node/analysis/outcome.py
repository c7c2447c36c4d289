"""What one analysis leaves behind: objects in the store, and rows of the study log for them."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydicom import dcmwrite
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.image_statistics import STATISTICS
from model.views import Laterality
from node.result_kinds import REPORT_KINDS, ResultKind
from node.results import Predecessor, ResultObject, StudyResult
from node.settings import DestinationSettings
from node.store import Store
from node.study_log.tables import Delivery, DeliveryObject, DeliveryState, Result, Revision
from node.work_queue import AnalysisWork


def predecessors_of(session: Session, revision: Revision) -> tuple[Predecessor, ...]:
    """Find the Structured Reports that this revision's reports replace.

    Those of the last earlier revision that has any (PS3.3 C.17.2, Predecessor Documents Sequence).
    """
    earlier = (
        select(Result)
        .join(Revision, Revision.id == Result.revision_id)
        .where(
            Revision.study_id == revision.study_id,
            Revision.number < revision.number,
            Result.kind.in_(REPORT_KINDS),
        )
        .order_by(Revision.number.desc(), Result.id)
    )
    results = session.scalars(earlier).all()
    return tuple(
        Predecessor(
            kind=ResultKind(result.kind),
            sop_class_uid=result.sop_class_uid,
            sop_instance_uid=result.sop_instance_uid,
            series_instance_uid=result.series_instance_uid,
        )
        for result in results
        if result.revision_id == results[0].revision_id
    )


def objects_of_others(session: Session, revision: Revision) -> dict[str, Result]:
    """Find the result objects of the study's other revisions that are here, by SOP Instance UID."""
    others = (
        select(Result)
        .join(Revision, Revision.id == Result.revision_id)
        .where(
            Revision.study_id == revision.study_id,
            Revision.id != revision.id,
            Result.removed_at.is_(None),
        )
    )
    return {result.sop_instance_uid: result for result in session.scalars(others)}


def keep(
    store: Store,
    work: AnalysisWork,
    result_object: ResultObject,
    *,
    known: Mapping[str, Result],
    created_at: datetime,
) -> Result:
    """Write one object to the store, and describe it for the log.

    Writing it again, after a crash, gives the same bytes at the same place. An object that another
    revision has made already stays as it is: a heat map is derived from its own view alone, and
    one SOP Instance UID must never stand for two data sets.

    Parameters
    ----------
    store
        Where results go.
    work
        The study and revision that it belongs to.
    result_object
        What `node.report.write.write_results` made.
    known
        Objects of the study's other revisions, by SOP Instance UID.
    created_at
        Now, aware UTC; stands in the log alone, never in the object.
    """
    ds = result_object.dataset
    same = known.get(str(ds.SOPInstanceUID))
    if same is not None:
        place, size_bytes, file_sha256 = same.path, same.size_bytes, same.file_sha256
    else:
        place = store.result_place(
            study_instance_uid=work.study_instance_uid,
            revision=work.revision,
            sop_instance_uid=str(ds.SOPInstanceUID),
        )
        buffer = io.BytesIO()
        dcmwrite(buffer, ds, enforce_file_format=True)
        content = buffer.getvalue()
        store.keep_bytes(content, place)
        size_bytes, file_sha256 = len(content), hashlib.sha256(content).hexdigest()
    return Result(
        kind=result_object.kind,
        index=result_object.index,
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        modality=str(ds.Modality),
        series_number=str(ds.SeriesNumber),
        series_description=str(ds.SeriesDescription),
        instance_number=str(ds.InstanceNumber),
        source_sop_instance_uid=result_object.source_sop_instance_uid,
        path=place,
        size_bytes=size_bytes,
        file_sha256=file_sha256,
        created_at=created_at,
    )


def write_outcome(revision: Revision, result: StudyResult) -> None:
    """Copy scores, model, triage reasons and image statistics to the log."""
    scores = {breast.laterality: breast.score for breast in result.breasts}
    point = result.manifest.operating_point
    revision.reason = "" if result.analysed else _why_skipped(result)
    revision.score = result.score
    revision.score_right = scores.get(Laterality.RIGHT)
    revision.score_left = scores.get(Laterality.LEFT)
    revision.is_suspicious = None if result.score is None else point.is_reached(result.score)
    revision.model_name = result.manifest.name
    revision.model_version = result.manifest.version
    revision.weights_sha256 = result.manifest.sha256
    by_uid = {instance.sop_instance_uid: instance for instance in result.instances}
    for outcome in revision.outcomes:
        instance = by_uid[outcome.instance.sop_instance_uid]
        outcome.score = instance.score
        outcome.triage_reason = instance.triage_reason
        outcome.triage_detail = instance.triage_detail
        statistics = instance.image_statistics
        for name in STATISTICS:
            setattr(outcome, name, None if statistics is None else getattr(statistics, name))


def make_deliveries(
    revision: Revision, destinations: Sequence[DestinationSettings], now: datetime
) -> list[Delivery]:
    """Make the delivery to each destination, and give those that have something to send.

    Parameters
    ----------
    revision
        With its results listed.
    destinations
        Each with the kinds that it gets.
    now
        Aware UTC.
    """
    deliveries = [make_delivery(revision, destination, now) for destination in destinations]
    revision.deliveries += deliveries
    return [delivery for delivery in deliveries if delivery.objects]


def make_delivery(revision: Revision, destination: DestinationSettings, now: datetime) -> Delivery:
    """Make the delivery to one destination, due now, or ended if that gets nothing of it."""
    objects = [
        DeliveryObject(result=row) for row in revision.results if row.kind in destination.kinds
    ]
    return Delivery(
        destination=destination.name,
        state=DeliveryState.PENDING if objects else DeliveryState.COMPLETED,
        attempt=0,
        due_at=now,
        reason="",
        ended_at=None if objects else now,
        objects=objects,
    )


def _why_skipped(result: StudyResult) -> str:
    """Sum up why no image was analysed."""
    reasons = Counter(i.triage_reason.value for i in result.triaged if i.triage_reason)
    counts = "; ".join(f"{count} × {reason}" for reason, count in sorted(reasons.items()))
    return f"No image could be analysed: {counts}" if counts else "The study holds no image"
